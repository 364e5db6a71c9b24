// When the watchdog asks, and what makes it say that the server is stuck.

#include "server/watchdog.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "tests/testing/fake_clock.h"

namespace glowworm {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr absl::Duration kInterval = absl::Seconds(5);

// A watchdog whose probes fail where the script has an 'n'.
class WatchdogTest : public ::testing::Test {
 protected:
  void Start(const std::string& script) {
    script_ = script;
    watchdog_ = std::make_unique<Watchdog>(
        kInterval, [this] { return Probe(); }, [this](const absl::Status& status) { Stuck(status); },
        &clock_);
  }
  // Lets so many intervals pass; each probe is over before the next begins.
  void Pass(int intervals) {
    for (int i = 0; i < intervals; ++i) {
      AwaitNext();
      clock_.Advance(kInterval);
    }
  }
  // Until the last probe is over and the watchdog waits for the next.
  void AwaitNext() { clock_.AwaitWaiter(clock_.Now() + kInterval); }
  void AwaitStuck() {
    MutexLock lock(&mutex_);
    while (stuck_.empty()) stuck_changed_.wait(mutex_);
  }

  virtual absl::Status Probe() {
    MutexLock lock(&mutex_);
    asked_.push_back(absl::ToInt64Seconds(clock_.Now() - start_));
    return script_.at(asked_.size() - 1) == 'n' ? absl::UnavailableError("no answer") : absl::OkStatus();
  }
  void Stuck(const absl::Status& status) {
    MutexLock lock(&mutex_);
    stuck_.emplace_back(status.message());
    stuck_changed_.notify_all();
  }

  FakeClock clock_;
  const absl::Time start_ = clock_.Now();
  Mutex mutex_;
  CondVar stuck_changed_;
  std::string script_;
  std::vector<int64_t> asked_;  // seconds since the start
  std::vector<std::string> stuck_;
  std::unique_ptr<Watchdog> watchdog_;
};

TEST_F(WatchdogTest, AsksAtOnceAndThenEveryInterval) {
  Start("yyyy");
  Pass(3);
  AwaitNext();
  watchdog_.reset();
  EXPECT_THAT(asked_, ElementsAre(0, 5, 10, 15));
  EXPECT_THAT(stuck_, IsEmpty());
}

TEST_F(WatchdogTest, SaysOnceThatThreeFailuresInARowAreTooMany) {
  Start("ynnn");
  Pass(3);
  AwaitStuck();
  clock_.Advance(10 * kInterval);
  watchdog_.reset();
  EXPECT_THAT(asked_, ElementsAre(0, 5, 10, 15));
  EXPECT_THAT(stuck_, ElementsAre("no answer"));
}

TEST_F(WatchdogTest, ForgivesTwo) {
  Start("nnynnynn");
  Pass(7);
  AwaitNext();
  watchdog_.reset();
  EXPECT_EQ(asked_.size(), 8u);
  EXPECT_THAT(stuck_, IsEmpty());
}

class SlowProbe : public WatchdogTest {
 protected:
  absl::Status Probe() override {
    const absl::Status status = WatchdogTest::Probe();
    clock_.Advance(3 * kInterval / 2);
    return status;
  }
};

TEST_F(SlowProbe, IsFollowedAtOnceByTheNextAndMakesNoBurst) {
  Start("nnn");
  AwaitStuck();
  watchdog_.reset();
  EXPECT_THAT(asked_, ElementsAre(0, 7, 15));  // whole seconds of 0, 7.5, 15
}

class ProbeWhileTheServerStops : public WatchdogTest {
 protected:
  absl::Status Probe() override {
    const absl::Status status = WatchdogTest::Probe();
    if (asked_.size() == 3) watchdog_->Stop();  // before this one is judged
    return status;
  }
};

TEST_F(ProbeWhileTheServerStops, DoesNotCount) {
  Start("nnn");
  Pass(2);
  watchdog_.reset();
  EXPECT_THAT(stuck_, IsEmpty());
}

}  // namespace
}  // namespace glowworm
