// The real TimeSource: steady_clock, so that a step of the wall clock neither fires nor delays a retry.

#include "client/time_source.h"

#include <chrono>

#include "absl/time/clock.h"

namespace glowworm {
namespace client {
namespace {

class SteadyTime : public TimeSource {
 public:
  absl::Time Now() override { return wall_ + absl::FromChrono(std::chrono::steady_clock::now() - steady_); }

  void WaitUntil(std::condition_variable* cv, std::unique_lock<std::mutex>* lock,
                 absl::Time deadline) override {
    if (deadline == absl::InfiniteFuture()) {
      cv->wait(*lock);
    } else {
      cv->wait_until(*lock, steady_ + absl::ToChronoNanoseconds(deadline - wall_));
    }
  }

 private:
  const absl::Time wall_ = absl::Now();
  const std::chrono::steady_clock::time_point steady_ = std::chrono::steady_clock::now();
};

}  // namespace

TimeSource* RealTime() {
  static SteadyTime* const time = new SteadyTime;
  return time;
}

}  // namespace client
}  // namespace glowworm
