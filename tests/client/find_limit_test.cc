// The search for the highest rate within a latency bound (client/command/find_limit.h).

#include "client/command/find_limit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "tests/client/run_command.h"
#include "tests/testing/fake_density_server.h"

namespace glowworm {
namespace client {
namespace {

using testing::HasSubstr;
using testing::Not;

// An M/M/1 queue's 99th percentile: ln(100) / (capacity - rate); beyond capacity it fails calls.
LoadResult Queue(double capacity, double rate) {
  LoadResult result;
  if (rate >= capacity) {
    result.errors[absl::StatusCode::kResourceExhausted] = 1;
  } else {
    result.latencies.assign(100, absl::Seconds(std::log(100.0) / (capacity - rate)));
  }
  return result;
}

TEST(FindLimit, FindsWhereTheLatencyMeetsTheBound) {
  const double capacity = 1000;
  const LatencyBound bound{absl::Milliseconds(20), 0.99};
  const double truth = capacity - std::log(100.0) / 0.020;
  for (const double first : {3.0, 700.0, 769.0, 5000.0}) {
    const Limit limit = FindLimit(first, bound, [&](double rate) { return Queue(capacity, rate); });
    EXPECT_LE(limit.rate, truth) << first;
    EXPECT_GE(limit.rate, truth / (1 + kLimitResolution)) << first;
  }
}

TEST(FindLimit, ARefusedCallBreaksTheBoundHoweverFastTheOthersAre) {
  const LatencyBound bound{absl::Seconds(10), 0.99};
  const Limit limit = FindLimit(100, bound, [](double rate) { return Queue(50, rate); });
  EXPECT_LT(limit.rate, 50);
  EXPECT_GE(limit.rate, 50 / (1 + kLimitResolution) * 0.98);
}

TEST(FindLimit, OneBadMomentDoesNotMoveTheLimit) {
  int calls = 0;
  const LatencyBound bound{absl::Milliseconds(20), 0.99};
  const Limit limit = FindLimit(700, bound, [&](double rate) {
    return ++calls % 4 == 1 ? Queue(1, rate) : Queue(1000, rate);  // every fourth trial is disturbed
  });
  const double truth = 1000 - std::log(100.0) / 0.020;
  EXPECT_LE(limit.rate, truth);
  EXPECT_GE(limit.rate, truth / (1 + kLimitResolution));
}

TEST(FindLimit, EndsWhereNoRateHolds) {
  const LatencyBound bound{absl::Milliseconds(1), 0.99};
  const Limit limit = FindLimit(100, bound, [](double rate) { return Queue(0, rate); });
  EXPECT_EQ(limit.rate, 0);
  EXPECT_EQ(limit.trials.size(), static_cast<size_t>(kMaxTrials));
}

TEST(FindLimit, EndsWhereEveryRateHolds) {
  const LatencyBound bound{absl::Seconds(1), 0.99};
  const Limit limit = FindLimit(1, bound, [](double rate) { return Queue(1e300, rate); });
  EXPECT_EQ(limit.trials.size(), static_cast<size_t>(kMaxTrials));
  EXPECT_EQ(limit.rate, limit.trials.back().rate);
}

TEST(LimitReport, SaysTheLimitAndEveryTrial) {
  const LatencyBound bound{absl::Milliseconds(20), 0.99};
  const Limit limit{
      96, {{100, absl::Milliseconds(25), 500, 0, false}, {96, absl::Milliseconds(5), 480, 0, true}}};
  const std::string text = LimitReport(limit, bound, 4, /*json=*/false);
  EXPECT_THAT(text, HasSubstr("limit       96.0 calls/s  384.0 rows/s with p99 within 20 ms"));
  EXPECT_THAT(text, HasSubstr("       100.0       25.000        500        0  does not hold"));
  EXPECT_THAT(LimitReport(limit, bound, 4, /*json=*/true),
              HasSubstr("\"calls_per_second\":96.000,\"rows_per_second\":384.000,\"trials\":[{"));
  EXPECT_THAT(LimitReport({}, bound, 4, /*json=*/false), HasSubstr("no rate that was tried kept p99"));
}

TEST(LimitReport, SaysThatAPercentileOfFewAnswersIsTheSlowest) {
  const LatencyBound bound{absl::Milliseconds(20), 0.99};
  const auto report = [&](int64_t answered) {
    return LimitReport({96, {{96, absl::Milliseconds(5), answered, 0, true}}}, bound, 1, /*json=*/false);
  };
  EXPECT_THAT(report(99), HasSubstr("uncertain   p99 of 99 answers is the slowest of them"));
  EXPECT_THAT(report(100), Not(HasSubstr("uncertain")));
}

class FindLimitCommandTest : public testing::Test {
 protected:
  Outcome Run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"bench", "--json"});
    return RunCommand(server_.address(), arguments);
  }

  FakeDensityServer server_{FakeModel({2})};
};

TEST_F(FindLimitCommandTest, MeasuresARunningServer) {
  const Outcome outcome = Run({"--find_limit=20ms", "--duration=50ms", "--warmup=0s"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("{\"latency_bound_ms\":20,\"share\":0.99,\"rows_per_call\":1,"));
}

TEST_F(FindLimitCommandTest, SetsTheRateAndTheNumberOfCallsItself) {
  for (const char* other : {"--rate=5", "--calls=5"}) {
    const Outcome outcome = Run({"--find_limit=1s", other});
    EXPECT_NE(outcome.code, 0);
    EXPECT_THAT(outcome.err, HasSubstr("--find_limit"));
  }
}

}  // namespace
}  // namespace client
}  // namespace glowworm
