// Load on a server: a fixed number of calls in flight (closed loop), or calls at fixed times whatever the
// answers do (open loop). Only entry: ApplyLoad(). Tested by tests/client/bench_test.cc.

#ifndef GLOWWORM_CLIENT_COMMAND_BENCH_LOAD_H_
#define GLOWWORM_CLIENT_COMMAND_BENCH_LOAD_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "grpcpp/security/credentials.h"

namespace glowworm {
namespace client {

struct Load {
  std::string address;
  std::shared_ptr<grpc::ChannelCredentials> credentials;  // null: plaintext
  std::string server_name;                                // see ClientOptions
  std::string authorization;                              // metadata of each call; empty: none
  std::string method;                                     // "/glowworm.v1.DensityService/LogLikelihood"
  std::vector<std::string> requests;                      // serialized messages, sent in turn; at least one
  int64_t concurrency =
      1;  // calls in flight; of an open loop at most (later calls wait, their clock running)
  absl::optional<double> rate;                  // calls a second; absent: closed loop
  absl::optional<int64_t> calls;                // to measure; absent: as many as `duration` holds
  absl::Duration duration = absl::Seconds(10);  // of the measurement, if `calls` is absent
  absl::Duration warm_up = absl::Seconds(1);    // before it; its calls are not counted
  absl::Duration deadline = absl::Seconds(60);  // of each call
};

// 100 calls at once is what a server takes on one connection.
int64_t Connections(int64_t concurrency);

struct LoadResult {
  std::vector<absl::Duration> latencies;       // of calls that ended well, ascending
  std::map<absl::StatusCode, int64_t> errors;  // of the others
  absl::Duration elapsed;                      // from the end of the warm-up to the last answer
  std::string first_error;                     // the first failed call's message
};

// Blocks until every call has been answered. Latency runs from the time at which a call was due: in a closed
// loop when the call before it ended, in an open loop by the schedule, so that a slow server cannot hide by
// slowing the client. REQUIRES: concurrency > 0, rate > 0, calls > 0
LoadResult ApplyLoad(const Load& load);

// The smallest latency that `share` of all calls do not exceed; zero if there are none. REQUIRES: 0 < share
// <= 1
absl::Duration Percentile(const std::vector<absl::Duration>& ascending, double share);

}  // namespace client
}  // namespace glowworm

#endif  // GLOWWORM_CLIENT_COMMAND_BENCH_LOAD_H_
