// TimeSource: the client's clock and the only place where it waits, so that tests set the time and never
// sleep. Two implementations: the real one here, FakeTime in tests/client/fake_time.h.

#ifndef GLOWWORM_CLIENT_TIME_SOURCE_H_
#define GLOWWORM_CLIENT_TIME_SOURCE_H_

#include <condition_variable>
#include <mutex>

#include "absl/time/time.h"

namespace glowworm {
namespace client {

// Thread-safe.
class TimeSource {
 public:
  virtual ~TimeSource() = default;
  virtual absl::Time Now() = 0;
  // Waits until `cv` is notified or this clock reaches `deadline` (InfiniteFuture: until notified). May wake
  // spuriously. REQUIRES: *lock is held; it is released while waiting.
  virtual void WaitUntil(std::condition_variable* cv, std::unique_lock<std::mutex>* lock,
                         absl::Time deadline) = 0;
};

// The process's monotonic clock, anchored to wall time at its first use. Never deleted.
TimeSource* RealTime();

}  // namespace client
}  // namespace glowworm

#endif  // GLOWWORM_CLIENT_TIME_SOURCE_H_
