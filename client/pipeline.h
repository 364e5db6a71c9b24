// A pipeline of unary calls: takes requests from a source, keeps a bounded number in flight, retries what may
// be retried and delivers the replies in the order of the requests. Knows nothing of the messages. Only
// entry: RunPipeline(). Tested by tests/client/pipeline_test.cc.

#ifndef GLOWWORM_CLIENT_PIPELINE_H_
#define GLOWWORM_CLIENT_PIPELINE_H_

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/retry.h"
#include "client/time_source.h"
#include "grpcpp/client_context.h"

namespace glowworm {
namespace client {

// One request and its reply, whatever their types.
struct Exchange {
  // Begins the call and returns; `done` runs once, on a thread of gRPC's. Called again for each retry.
  std::function<void(grpc::ClientContext* context, std::function<void(grpc::Status)> done)> start;
  // Takes the reply of a call that ended well. Its failure ends the pipeline.
  std::function<absl::Status()> deliver;
  std::string what;  // put before the server's message: "rows 0 to 99"; may be empty
};

enum class Pulled {
  kExchange,  // one was given
  kLater,     // nothing yet: ask again after a delivery. Only if !may_wait
  kEnd,
};
// Gives the next exchange. With may_wait it may block; without, calls are in flight and wait for the caller's
// thread.
using ExchangeSource = std::function<absl::StatusOr<Pulled>(bool may_wait, Exchange* exchange)>;

struct PipelineOptions {
  int window = 4;                                               // exchanges begun and not delivered; > 0
  absl::Time deadline = absl::InfiniteFuture();                 // of the whole, retries included
  absl::Duration exchange_deadline = absl::InfiniteDuration();  // of each exchange, retries included
  RetryPolicy retry;
  RetryBudget* budget = nullptr;                              // not owned, never null
  TimeSource* time = nullptr;                                 // not owned, never null
  std::function<void(grpc::ClientContext* context)> prepare;  // of each attempt, before it; may be null
  std::function<double()> uniform;  // random numbers in [0, 1) for the jitter; never null
};

// Blocks until the source has ended and every reply is delivered, or something failed: then the calls in
// flight are cancelled and awaited. After a failure of the source, what was in flight is still delivered.
// `source` and `deliver` run on the calling thread. No retry is begun that could not start before the
// deadline: its call then fails as it did.
absl::Status RunPipeline(const ExchangeSource& source, const PipelineOptions& options);

}  // namespace client
}  // namespace glowworm

#endif  // GLOWWORM_CLIENT_PIPELINE_H_
