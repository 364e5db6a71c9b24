// FakeClock: time that a test moves. Threads that wait on it are woken by Advance, never by real time
// passing. Tested by tests/server/batcher_parts_test.cc.

#ifndef GLOWWORM_TESTS_TESTING_FAKE_CLOCK_H_
#define GLOWWORM_TESTS_TESTING_FAKE_CLOCK_H_

#include <list>

#include "absl/time/time.h"
#include "server/clock.h"
#include "server/mutex.h"

namespace glowworm {

// Thread-safe. REQUIRES: Advance is not called with a mutex held that a waiting thread waits with, nor while
// such a thread's condition variable is being destroyed.
class FakeClock final : public Clock {
 public:
  // Starts at second 1000 of the epoch.
  absl::Time Now() override;
  void WaitUntil(CondVar* cv, Mutex* mutex, absl::Time deadline) override;

  // Moves time forward and wakes every thread whose deadline has come.
  void Advance(absl::Duration by);

  // Blocks until some thread waits until exactly `deadline`; ends the program if none comes within a minute.
  void AwaitWaiter(absl::Time deadline);

 private:
  struct Waiter {
    CondVar* cv;
    Mutex* mutex;
    absl::Time deadline;
  };

  Mutex mutex_;
  CondVar waiters_changed_;
  absl::Time now_ ABSL_GUARDED_BY(mutex_) = absl::FromUnixSeconds(1000);
  std::list<Waiter> waiters_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace glowworm

#endif  // GLOWWORM_TESTS_TESTING_FAKE_CLOCK_H_
