#include "client/command/find_limit.h"

#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace glowworm {
namespace client {
namespace {

constexpr double kStep = 2;  // while no bracket is known

class Search {
 public:
  Search(const LatencyBound& bound, const std::function<LoadResult(double rate)>& apply)
      : bound_(bound), apply_(apply) {}

  // One more chance for a rate that fails.
  bool Holds(double rate) { return Try(rate) || Try(rate); }
  bool Exhausted() const { return limit_.trials.size() >= kMaxTrials; }
  Limit Take(double rate) {
    limit_.rate = rate;
    return std::move(limit_);
  }

 private:
  bool Try(double rate) {
    if (Exhausted()) return false;
    const LoadResult result = apply_(rate);
    Trial trial;
    trial.rate = rate;
    trial.latency = Percentile(result.latencies, bound_.share);
    trial.answered = static_cast<int64_t>(result.latencies.size());
    for (const auto& error : result.errors) trial.failed += error.second;
    trial.holds = trial.failed == 0 && trial.answered > 0 && trial.latency <= bound_.latency;
    limit_.trials.push_back(trial);
    return trial.holds;
  }

  const LatencyBound bound_;
  const std::function<LoadResult(double rate)>& apply_;
  Limit limit_;
};

// Whether so many answers have a percentile that is not just the slowest of them.
bool Resolves(double share, int64_t answers) { return static_cast<double>(answers) * (1 - share) > 1 - 1e-9; }

}  // namespace

Limit FindLimit(double first_rate, const LatencyBound& bound,
                const std::function<LoadResult(double rate)>& apply) {
  Search search(bound, apply);
  double low = 0, high = 0;  // the highest that held, the lowest that did not; 0: not known
  for (double rate = first_rate; (low == 0 || high == 0) && !search.Exhausted();
       rate = low == 0 ? high / kStep : low * kStep) {
    (search.Holds(rate) ? low : high) = rate;
  }
  while (low > 0 && high > low * (1 + kLimitResolution) && !search.Exhausted()) {
    const double rate = std::sqrt(low * high);
    (search.Holds(rate) ? low : high) = rate;
  }
  return search.Take(low);
}

std::string LimitReport(const Limit& limit, const LatencyBound& bound, int64_t rows_per_call, bool json) {
  const double bound_ms = absl::ToDoubleMilliseconds(bound.latency);
  std::string out = json
                        ? absl::StrFormat(
                              "{\"latency_bound_ms\":%g,\"share\":%g,\"rows_per_call\":%d,"
                              "\"calls_per_second\":%.3f,\"rows_per_second\":%.3f,\"trials\":[",
                              bound_ms, bound.share, rows_per_call, limit.rate,
                              limit.rate * static_cast<double>(rows_per_call))
                        : absl::StrFormat("%12s %12s %10s %8s\n", "calls/s",
                                          absl::StrFormat("p%g ms", 100 * bound.share), "answered", "failed");
  for (size_t i = 0; i < limit.trials.size(); ++i) {
    const Trial& trial = limit.trials[i];
    const double ms = absl::ToDoubleMilliseconds(trial.latency);
    if (json) {
      absl::StrAppendFormat(&out,
                            "%s{\"calls_per_second\":%.3f,\"latency_ms\":%.4f,\"answered\":%d,\"failed\":%d,"
                            "\"holds\":%s}",
                            i == 0 ? "" : ",", trial.rate, ms, trial.answered, trial.failed,
                            trial.holds ? "true" : "false");
    } else {
      absl::StrAppendFormat(&out, "%12.1f %12.3f %10d %8d  %s\n", trial.rate, ms, trial.answered,
                            trial.failed, trial.holds ? "holds" : "does not hold");
    }
  }
  if (json) return absl::StrCat(out, "]}\n");
  if (limit.rate == 0) {
    return absl::StrFormat("%sno rate that was tried kept p%g within %g ms\n", out, 100 * bound.share,
                           bound_ms);
  }
  absl::StrAppendFormat(&out, "limit       %.1f calls/s  %.1f rows/s with p%g within %g ms\n", limit.rate,
                        limit.rate * static_cast<double>(rows_per_call), 100 * bound.share, bound_ms);
  for (const Trial& trial : limit.trials) {
    if (trial.rate != limit.rate || !trial.holds || Resolves(bound.share, trial.answered)) continue;
    absl::StrAppendFormat(&out,
                          "uncertain   p%g of %d answers is the slowest of them; give a longer --duration\n",
                          100 * bound.share, trial.answered);
  }
  return out;
}

}  // namespace client
}  // namespace glowworm
