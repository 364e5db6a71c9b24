// The highest rate of calls at which a server keeps a bound on latency, by bisection over open loops.
// Entries: FindLimit() and LimitReport(). Tested by tests/client/find_limit_test.cc.

#ifndef GLOWWORM_CLIENT_COMMAND_FIND_LIMIT_H_
#define GLOWWORM_CLIENT_COMMAND_FIND_LIMIT_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "client/command/bench_load.h"

namespace glowworm {
namespace client {

struct LatencyBound {
  absl::Duration latency;
  double share = 0.99;  // of the calls that must be answered within it; in (0, 1]
};

struct Trial {
  double rate = 0;         // calls a second, offered
  absl::Duration latency;  // of the bound's share of the calls that ended well
  int64_t answered = 0;
  int64_t failed = 0;
  bool holds = false;  // none failed, and latency <= the bound
};

struct Limit {
  double rate = 0;            // the highest that held; 0 if none did
  std::vector<Trial> trials;  // in the order they were made
};

// `apply` offers a rate and reports what became of it. Begins at `first_rate`, goes up or down until one rate
// holds and one does not, and halves the gap until they are within kLimitResolution. A rate counts as failing
// after it failed twice, since one bad moment of a shared machine says nothing. At most kMaxTrials trials.
// REQUIRES: first_rate > 0
Limit FindLimit(double first_rate, const LatencyBound& bound,
                const std::function<LoadResult(double rate)>& apply);

constexpr double kLimitResolution = 0.05;  // of the rate
constexpr int kMaxTrials = 40;

// A table of the trials and the limit, or one JSON object.
std::string LimitReport(const Limit& limit, const LatencyBound& bound, int64_t rows_per_call, bool json);

}  // namespace client
}  // namespace glowworm

#endif  // GLOWWORM_CLIENT_COMMAND_FIND_LIMIT_H_
