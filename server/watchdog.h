// Watchdog: asks again and again whether the server still works, and says so once when it does not. What is
// asked is accept_probe.h; what follows is main.cc. Tested by tests/server/watchdog_test.cc and
// tests/e2e/faults_test.py.

#ifndef GLOWWORM_SERVER_WATCHDOG_H_
#define GLOWWORM_SERVER_WATCHDOG_H_

#include <functional>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/clock.h"
#include "server/mutex.h"

namespace glowworm {

class Watchdog {
 public:
  static constexpr int kFailures = 3;  // in a row

  // Calls `probe` at once and then every `interval`, or when the last one ends if that is later; on kFailures
  // failures in a row calls `stuck` with the last, and asks no more. Both are called on the watchdog's
  // thread. REQUIRES: interval > 0; `probe` ends by itself; `clock` outlives the watchdog.
  Watchdog(absl::Duration interval, std::function<absl::Status()> probe,
           std::function<void(const absl::Status&)> stuck, Clock* clock);
  ~Watchdog();  // Stop, and waits for a probe that is under way
  Watchdog(const Watchdog&) = delete;
  Watchdog& operator=(const Watchdog&) = delete;

  // Never blocks; a probe that is under way counts no more. Thread-safe.
  void Stop();

 private:
  void Watch();
  // Whether to go on, once `time` has come.
  bool WaitUntil(absl::Time time);

  const absl::Duration interval_;
  const std::function<absl::Status()> probe_;
  const std::function<void(const absl::Status&)> stuck_;
  Clock* const clock_;

  Mutex mutex_;
  CondVar stopping_changed_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;

  std::thread thread_;  // last: uses all of the above
};

}  // namespace glowworm

#endif  // GLOWWORM_SERVER_WATCHDOG_H_
