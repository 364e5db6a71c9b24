// Clock: where the server's time comes from, so that tests set it. Two implementations: the real one here,
// FakeClock in tests/testing/fake_clock.h. Tested by tests/server/clock_test.cc and batcher_realtime_test.cc.

#ifndef GLOWWORM_SERVER_CLOCK_H_
#define GLOWWORM_SERVER_CLOCK_H_

#include "absl/time/time.h"
#include "server/mutex.h"

namespace glowworm {

// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  virtual absl::Time Now() = 0;
  // Waits on `cv`, which *mutex guards, until notified or until this clock reaches `deadline`
  // (InfiniteFuture: until notified). May wake spuriously. REQUIRES: *mutex is held; it is released while
  // waiting.
  virtual void WaitUntil(CondVar* cv, Mutex* mutex, absl::Time deadline) = 0;
};

// The process's monotonic clock, anchored to wall time at start: later steps of the wall clock do not move
// it. Never deleted.
Clock* RealClock();

// When `clock` will show the moment that the wall clock, which shows `wall_now`, calls `deadline`: the time
// that is left counts, however far the two clocks have drifted apart. InfiniteFuture stays what it is.
absl::Time FromWallClock(absl::Time deadline, absl::Time wall_now, Clock* clock);

}  // namespace glowworm

#endif  // GLOWWORM_SERVER_CLOCK_H_
