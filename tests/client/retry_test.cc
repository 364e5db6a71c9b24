// Retry decisions (client/retry.h) and the conversion of statuses (client/convert.h).

#include "client/retry.h"

#include "client/convert.h"
#include "gtest/gtest.h"

namespace glowworm {
namespace client {
namespace {

using Trailers = std::multimap<grpc::string_ref, grpc::string_ref>;
using grpc::StatusCode;

Verdict Judge(StatusCode code, const Trailers& trailers = {}) {
  return JudgeFailure({code, "why"}, trailers);
}
Trailers Pushback(const char* ms) { return {{"grpc-retry-pushback-ms", ms}}; }

TEST(Retry, BackoffDoublesUpToItsCapAndJitterTakesAtMostHalf) {
  const RetryPolicy policy;
  EXPECT_EQ(Backoff(policy, 1, 0), absl::Milliseconds(50));
  EXPECT_EQ(Backoff(policy, 2, 0), absl::Milliseconds(100));
  EXPECT_EQ(Backoff(policy, 3, 0), absl::Milliseconds(200));
  EXPECT_GT(Backoff(policy, 1, 0.99), absl::Milliseconds(99));
  EXPECT_LT(Backoff(policy, 1, 0.99), absl::Milliseconds(100));
  EXPECT_EQ(Backoff(policy, 5000, 0), policy.max_backoff / 2);
}

TEST(Retry, UnavailableIsRetriedAndOtherFailuresAreNot) {
  EXPECT_TRUE(Judge(StatusCode::UNAVAILABLE).retry);
  EXPECT_FALSE(Judge(StatusCode::UNAVAILABLE).wait.has_value());
  for (StatusCode code : {StatusCode::INVALID_ARGUMENT, StatusCode::DEADLINE_EXCEEDED, StatusCode::INTERNAL,
                          StatusCode::CANCELLED, StatusCode::NOT_FOUND}) {
    EXPECT_FALSE(Judge(code, Pushback("10")).retry) << code;
  }
}

TEST(Retry, ExhaustedIsRetriedOnlyWhenTheServerSaysWhen) {
  EXPECT_FALSE(Judge(StatusCode::RESOURCE_EXHAUSTED).retry);
  const Verdict verdict = Judge(StatusCode::RESOURCE_EXHAUSTED, Pushback("250"));
  EXPECT_TRUE(verdict.retry);
  EXPECT_EQ(verdict.wait, absl::Milliseconds(250));
}

TEST(Retry, ANegativeOrUnreadablePushbackForbids) {
  EXPECT_FALSE(Judge(StatusCode::UNAVAILABLE, Pushback("-1")).retry);
  EXPECT_FALSE(Judge(StatusCode::UNAVAILABLE, Pushback("soon")).retry);
  EXPECT_FALSE(Judge(StatusCode::RESOURCE_EXHAUSTED, Pushback("")).retry);
}

TEST(Retry, BudgetAllowsATenthOfSustainedFailuresAndAFewMore) {
  const RetryPolicy policy;
  RetryBudget budget(policy);
  int retries = 0;
  for (int call = 0; call < 10000; ++call) {
    budget.OnCall();
    while (budget.TryRetry()) ++retries;
  }
  EXPECT_GE(retries, 1000);
  EXPECT_LE(retries, 1000 + static_cast<int>(policy.budget));
}

TEST(Retry, BudgetSavesUpNoMoreThanItsCap) {
  RetryPolicy policy;
  policy.budget = 3;
  RetryBudget budget(policy);
  for (int call = 0; call < 1000; ++call) budget.OnCall();
  EXPECT_TRUE(budget.TryRetry() && budget.TryRetry() && budget.TryRetry());
  EXPECT_FALSE(budget.TryRetry());
}

TEST(Convert, KeepsTheCodeAndSaysWhereItHappened) {
  const absl::Status status = ToAbsl({StatusCode::NOT_FOUND, "no such model"}, "rows 0 to 9");
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(status.message(), "in rows 0 to 9: no such model");
  EXPECT_EQ(ToAbsl({StatusCode::INTERNAL, "x"}, "").message(), "x");
  EXPECT_TRUE(ToAbsl(grpc::Status::OK, "rows").ok());
}

TEST(Convert, TellsTheServersFailuresFromOurs) {
  EXPECT_TRUE(FromServer(ToAbsl({StatusCode::INVALID_ARGUMENT, "x"}, "")));
  EXPECT_FALSE(FromServer(absl::InvalidArgumentError("x")));
  EXPECT_FALSE(FromServer(absl::OkStatus()));
}

}  // namespace
}  // namespace client
}  // namespace glowworm
