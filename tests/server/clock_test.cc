// The real clock, and deadlines that come from the wall clock.

#include "server/clock.h"

#include <gtest/gtest.h>

#include "absl/time/clock.h"
#include "tests/testing/fake_clock.h"

namespace glowworm {
namespace {

TEST(FromWallClock, KeepsTheTimeThatIsLeft) {
  FakeClock clock;
  const absl::Time start = clock.Now();
  const absl::Time wall = absl::FromUnixSeconds(2'000'000'000);
  EXPECT_EQ(FromWallClock(wall + absl::Seconds(3), wall, &clock), start + absl::Seconds(3));
  EXPECT_EQ(FromWallClock(wall - absl::Seconds(3), wall, &clock), start - absl::Seconds(3));
  clock.Advance(absl::Seconds(5));
  EXPECT_EQ(FromWallClock(wall + absl::Seconds(3), wall, &clock), start + absl::Seconds(8));
}

TEST(FromWallClock, AStepOfTheWallClockMovesNoDeadline) {
  FakeClock clock;
  const absl::Time wall = absl::FromUnixSeconds(2'000'000'000);
  for (const absl::Duration step : {-absl::Hours(1), absl::ZeroDuration(), absl::Hours(1)}) {
    const absl::Time stepped = wall + step;
    EXPECT_EQ(FromWallClock(stepped + absl::Seconds(3), stepped, &clock), clock.Now() + absl::Seconds(3));
  }
}

TEST(FromWallClock, NoDeadlineStaysNone) {
  FakeClock clock;
  EXPECT_EQ(FromWallClock(absl::InfiniteFuture(), absl::Now(), &clock), absl::InfiniteFuture());
  EXPECT_EQ(FromWallClock(absl::InfiniteFuture(), absl::Now(), RealClock()), absl::InfiniteFuture());
}

TEST(RealClock, NeverGoesBack) {
  absl::Time last = RealClock()->Now();
  for (int i = 0; i < 1000; ++i) {
    const absl::Time now = RealClock()->Now();
    EXPECT_GE(now, last);
    last = now;
  }
}

}  // namespace
}  // namespace glowworm
