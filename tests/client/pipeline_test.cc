// The pipeline of calls (client/pipeline.h), with calls that are closures: no server, no waiting.

#include "client/pipeline.h"

#include <algorithm>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "client/convert.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/client/fake_time.h"

namespace glowworm {
namespace client {
namespace {

using grpc::StatusCode;
using testing::ElementsAre;
using Done = std::function<void(grpc::Status)>;

// Runs a pipeline over exchanges 0 .. count-1 and notes what happens.
class PipelineTest : public testing::Test {
 protected:
  PipelineTest() {
    options_.budget = &budget_;
    options_.time = &time_;
    options_.uniform = [] { return 0.0; };
  }

  absl::Status Run(int count) {
    int next = 0;
    return RunPipeline(
        [&](bool, Exchange* exchange) -> absl::StatusOr<Pulled> {
          if (next == count) return Pulled::kEnd;
          *exchange = Make(next++);
          return Pulled::kExchange;
        },
        options_);
  }

  Exchange Make(int i) {
    Exchange exchange;
    exchange.what = "exchange " + std::to_string(i);
    exchange.start = [this, i](grpc::ClientContext*, Done done) {
      started_.push_back(i);
      most_in_flight_ = std::max(most_in_flight_, static_cast<int>(started_.size() - delivered_.size()));
      start_(i, std::move(done));
    };
    exchange.deliver = [this, i] {
      delivered_.push_back(i);
      return deliver_status_;
    };
    return exchange;
  }

  FakeTime time_;
  RetryBudget budget_{RetryPolicy()};
  PipelineOptions options_;
  std::function<void(int, Done)> start_ = [](int, Done done) { done(grpc::Status::OK); };
  absl::Status deliver_status_;
  std::vector<int> started_, delivered_;
  int most_in_flight_ = 0;
};

TEST_F(PipelineTest, DeliversInOrderWhenRepliesComeInReverse) {
  std::vector<Done> waiting;
  start_ = [&](int, Done done) {
    waiting.push_back(std::move(done));
    if (waiting.size() < 4) return;
    std::reverse(waiting.begin(), waiting.end());
    for (Done& last_first : waiting) last_first(grpc::Status::OK);
  };
  EXPECT_TRUE(Run(4).ok());
  EXPECT_THAT(delivered_, ElementsAre(0, 1, 2, 3));
}

TEST_F(PipelineTest, NeverHasMoreThanItsWindowInFlight) {
  options_.window = 3;
  EXPECT_TRUE(Run(20).ok());
  EXPECT_EQ(delivered_.size(), 20u);
  EXPECT_EQ(most_in_flight_, 3);
}

TEST_F(PipelineTest, EndsAtOnceWithNothingToDo) {
  EXPECT_TRUE(Run(0).ok());
  EXPECT_TRUE(started_.empty());
}

TEST_F(PipelineTest, RetriesWhatIsUnavailableAfterGrowingWaits) {
  start_ = [&](int, Done done) {
    done(started_.size() < 4 ? grpc::Status(StatusCode::UNAVAILABLE, "down") : grpc::Status::OK);
  };
  EXPECT_TRUE(Run(1).ok());
  EXPECT_THAT(started_, ElementsAre(0, 0, 0, 0));
  EXPECT_THAT(time_.waits(),
              ElementsAre(absl::Milliseconds(50), absl::Milliseconds(100), absl::Milliseconds(200)));
}

TEST_F(PipelineTest, GivesUpAfterMaxAttemptsAndSaysSo) {
  start_ = [](int, Done done) { done({StatusCode::UNAVAILABLE, "down"}); };
  const absl::Status status = Run(1);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(status.message(), "in exchange 0: down (after 4 attempts)");
  EXPECT_TRUE(FromServer(status));
  EXPECT_EQ(started_.size(), 4u);
}

TEST_F(PipelineTest, DoesNotRetryWhatNoRetryMends) {
  start_ = [](int, Done done) { done({StatusCode::INVALID_ARGUMENT, "bad"}); };
  EXPECT_EQ(Run(1).code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(started_.size(), 1u);
}

TEST_F(PipelineTest, BeginsNoRetryThatTheDeadlineForbids) {
  options_.deadline = time_.Now() + absl::Milliseconds(120);
  start_ = [](int, Done done) { done({StatusCode::UNAVAILABLE, "down"}); };
  EXPECT_EQ(Run(1).code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(time_.waits(),
              ElementsAre(absl::Milliseconds(50)));  // a second wait of 100 ms would end after it
}

TEST_F(PipelineTest, OneDeadlineCoversAllCalls) {
  options_.window = 1;
  options_.deadline = time_.Now() + absl::Seconds(10);
  start_ = [&](int, Done done) {
    time_.Advance(absl::Seconds(4));
    done(grpc::Status::OK);
  };
  EXPECT_EQ(Run(10).code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(delivered_, ElementsAre(0, 1, 2));
}

TEST_F(PipelineTest, AnExchangeDeadlineStartsAnewForEachCall) {
  options_.window = 1;
  options_.exchange_deadline = absl::Seconds(10);
  start_ = [&](int, Done done) {
    time_.Advance(absl::Seconds(4));
    done(grpc::Status::OK);
  };
  EXPECT_TRUE(Run(10).ok());
}

TEST_F(PipelineTest, RetriesStopWhenTheBudgetIsSpent) {
  options_.window = 1;
  options_.retry.max_attempts = 1000;
  start_ = [](int, Done done) { done({StatusCode::UNAVAILABLE, "down"}); };
  for (int call = 0; call < 100; ++call) EXPECT_FALSE(Run(1).ok());
  EXPECT_LE(started_.size(), 100u + 10 + 10);
  EXPECT_GE(started_.size(), 100u + 10);
}

TEST_F(PipelineTest, AfterAFailureWaitsForTheCallsInFlight) {
  options_.window = 2;
  Done held;
  start_ = [&](int i, Done done) {
    if (i == 0) {
      held = std::move(done);
      return;
    }
    done({StatusCode::INTERNAL, "broken"});
    held(grpc::Status::CANCELLED);  // as gRPC does for a cancelled call
  };
  EXPECT_EQ(Run(5).code(), absl::StatusCode::kInternal);
  EXPECT_TRUE(delivered_.empty());
}

TEST_F(PipelineTest, AFailedDeliveryEndsIt) {
  deliver_status_ = absl::DataLossError("disk full");
  EXPECT_EQ(Run(5).message(), "disk full");
  EXPECT_THAT(delivered_, ElementsAre(0));
}

TEST_F(PipelineTest, AFailingSourceStillGetsItsEarlierRepliesDelivered) {
  int next = 0;
  const absl::Status status = RunPipeline(
      [&](bool, Exchange* exchange) -> absl::StatusOr<Pulled> {
        if (next == 3) return absl::InvalidArgumentError("row 4 is bad");
        *exchange = Make(next++);
        return Pulled::kExchange;
      },
      options_);
  EXPECT_EQ(status.message(), "row 4 is bad");
  EXPECT_FALSE(FromServer(status));
  EXPECT_THAT(delivered_, ElementsAre(0, 1, 2));
}

TEST_F(PipelineTest, ASourceThatSaysLaterIsAskedAgainAfterADelivery) {
  int next = 0;
  bool waited_with_calls_in_flight = false;
  const absl::Status status = RunPipeline(
      [&](bool may_wait, Exchange* exchange) -> absl::StatusOr<Pulled> {
        const bool in_flight = started_.size() > delivered_.size();
        waited_with_calls_in_flight = waited_with_calls_in_flight || (may_wait && in_flight);
        if (next == 3) return Pulled::kEnd;
        if (!may_wait) return Pulled::kLater;
        *exchange = Make(next++);
        return Pulled::kExchange;
      },
      options_);
  EXPECT_TRUE(status.ok());
  EXPECT_FALSE(waited_with_calls_in_flight);
  EXPECT_THAT(delivered_, ElementsAre(0, 1, 2));
}

}  // namespace
}  // namespace client
}  // namespace glowworm
