// StopRequest, by signals that the test raises in itself.

#include "model/train/stop_request.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

namespace glowworm {
namespace train {
namespace {

volatile sig_atomic_t others = 0;

void CountOther(int /*signal*/) { others = others + 1; }

TEST(StopRequest, IsNotMadeWithoutASignal) {
  const StopRequest stop;
  EXPECT_FALSE(stop.requested());
}

TEST(StopRequest, IsMadeByInterruptAndByTerminate) {
  for (int number : {SIGINT, SIGTERM}) {
    const StopRequest stop;
    raise(number);
    EXPECT_TRUE(stop.requested()) << number;
  }
}

TEST(StopRequest, IsForgottenByTheNext) {
  {
    const StopRequest stop;
    raise(SIGTERM);
  }
  const StopRequest stop;
  EXPECT_FALSE(stop.requested());
}

TEST(StopRequest, ASecondTerminateAndAFirstInterruptAfterItEndNothing) {
  const StopRequest stop;
  raise(SIGTERM);
  raise(SIGTERM);
  raise(SIGINT);
  EXPECT_TRUE(stop.requested());
}

TEST(StopRequestDeathTest, ASecondInterruptEndsTheProcess) {
  const auto interrupt_twice = [] {
    const StopRequest stop;
    raise(SIGINT);
    if (!stop.requested()) _exit(3);
    raise(SIGINT);
    _exit(4);
  };
  EXPECT_EXIT(interrupt_twice(), testing::KilledBySignal(SIGINT), "");
}

TEST(StopRequest, GivesTheOldHandlersBack) {
  for (int number : {SIGINT, SIGTERM}) {
    const auto before = signal(number, CountOther);
    others = 0;
    {
      const StopRequest stop;
      raise(number);
      EXPECT_EQ(others, 0);
    }
    raise(number);
    EXPECT_EQ(others, 1) << number;
    signal(number, before);
  }
}

}  // namespace
}  // namespace train
}  // namespace glowworm
