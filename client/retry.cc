// Retry decisions: see retry.h for the rules.

#include "client/retry.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "absl/strings/numbers.h"
#include "absl/strings/string_view.h"

namespace glowworm {
namespace client {
namespace {
constexpr char kPushback[] = "grpc-retry-pushback-ms";
}  // namespace

void RetryBudget::OnCall() {
  std::lock_guard<std::mutex> lock(mutex_);
  tokens_ = std::min(most_, tokens_ + ratio_);
}

bool RetryBudget::TryRetry() {
  std::lock_guard<std::mutex> lock(mutex_);
  if (tokens_ < 1) return false;
  tokens_ -= 1;
  return true;
}

absl::Duration Backoff(const RetryPolicy& policy, int retry, double uniform) {
  // The power may be infinite for a large `retry`; the cap below holds all the same.
  const double seconds =
      absl::ToDoubleSeconds(policy.initial_backoff) * std::pow(policy.multiplier, retry - 1);
  return absl::Seconds(std::min(seconds, absl::ToDoubleSeconds(policy.max_backoff)) * (0.5 + 0.5 * uniform));
}

Verdict JudgeFailure(const grpc::Status& status,
                     const std::multimap<grpc::string_ref, grpc::string_ref>& trailers) {
  const bool unavailable = status.error_code() == grpc::StatusCode::UNAVAILABLE;
  const bool exhausted = status.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED;
  Verdict verdict;
  if (!unavailable && !exhausted) return verdict;
  const auto pushback = trailers.find(kPushback);
  if (pushback == trailers.end()) {
    verdict.retry = unavailable;
    return verdict;
  }
  int64_t milliseconds = -1;
  const absl::string_view text(pushback->second.data(), pushback->second.size());
  if (!absl::SimpleAtoi(text, &milliseconds) || milliseconds < 0) return verdict;
  verdict.retry = true;
  verdict.wait = absl::Milliseconds(milliseconds);
  return verdict;
}

}  // namespace client
}  // namespace glowworm
