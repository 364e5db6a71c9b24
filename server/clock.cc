#include "server/clock.h"

#include <algorithm>
#include <chrono>

#include "absl/time/clock.h"

namespace glowworm {
namespace {

// A wait is cut here, so that no deadline, however far, overflows the steady clock's count. It may wake
// spuriously.
constexpr absl::Duration kLongestWait = absl::Hours(24);

class SteadyClock final : public Clock {
 public:
  absl::Time Now() override {
    return wall_start_ + absl::FromChrono(std::chrono::steady_clock::now() - steady_start_);
  }

  void WaitUntil(CondVar* cv, Mutex* mutex, absl::Time deadline) override {
    if (deadline == absl::InfiniteFuture()) {
      cv->wait(*mutex);
      return;
    }
    const absl::Duration left = std::min(deadline - Now(), kLongestWait);
    if (left <= absl::ZeroDuration()) return;
    cv->wait_until(*mutex, std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(left));
  }

 private:
  const absl::Time wall_start_ = absl::Now();
  const std::chrono::steady_clock::time_point steady_start_ = std::chrono::steady_clock::now();
};

}  // namespace

Clock* RealClock() {
  static Clock* const clock = new SteadyClock;
  return clock;
}

absl::Time FromWallClock(absl::Time deadline, absl::Time wall_now, Clock* clock) {
  return clock->Now() + (deadline - wall_now);  // infinite durations stay infinite
}

}  // namespace glowworm
