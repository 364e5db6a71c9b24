// When a failed call is tried again, and how long after: exponential backoff with jitter, the server's
// grpc-retry-pushback-ms, and a budget that keeps retries a small share of all calls while everything fails.
// Decisions only; pipeline.cc makes the calls. Tested by tests/client/retry_test.cc.

#ifndef GLOWWORM_CLIENT_RETRY_H_
#define GLOWWORM_CLIENT_RETRY_H_

#include <map>
#include <mutex>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "grpcpp/support/status.h"
#include "grpcpp/support/string_ref.h"

namespace glowworm {
namespace client {

struct RetryPolicy {
  int max_attempts = 4;  // of one call, the first included; 1: never retry
  absl::Duration initial_backoff = absl::Milliseconds(100);
  absl::Duration max_backoff = absl::Seconds(5);
  double multiplier = 2;
  // Each call earns `budget_ratio` of a retry, and at most `budget` are saved up; a client starts with
  // `budget`.
  double budget_ratio = 0.1;
  double budget = 10;
};

// Shared by all calls of a client. Thread-safe.
class RetryBudget {
 public:
  explicit RetryBudget(const RetryPolicy& policy)
      : ratio_(policy.budget_ratio), most_(policy.budget), tokens_(policy.budget) {}

  void OnCall();    // a call's first attempt
  bool TryRetry();  // false: none left, and the call fails with what it has

 private:
  const double ratio_;
  const double most_;
  std::mutex mutex_;
  double tokens_ ABSL_GUARDED_BY(mutex_);
};

// How long to wait before retry number `retry` (1, 2, ...): uniform between half and all of the exponential
// step. REQUIRES: 0 <= uniform < 1
absl::Duration Backoff(const RetryPolicy& policy, int retry, double uniform);

struct Verdict {
  bool retry = false;
  absl::optional<absl::Duration> wait;  // the server's wish; absent: use Backoff()
};

// UNAVAILABLE is retried; RESOURCE_EXHAUSTED only if the server names a time in grpc-retry-pushback-ms
// (without it, it may be a message that is too large, which no retry mends). A negative or unreadable time
// means: do not.
Verdict JudgeFailure(const grpc::Status& status,
                     const std::multimap<grpc::string_ref, grpc::string_ref>& trailers);

}  // namespace client
}  // namespace glowworm

#endif  // GLOWWORM_CLIENT_RETRY_H_
