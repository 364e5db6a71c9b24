// CallRecord: what happens around every RPC, whichever it is: the request id echoed, the deadline read, the
// call counted, timed and logged once, its status converted. No handler can forget any of it. Tested by
// tests/server/service_test.cc, the log line by tests/e2e/startup_test.py.

#ifndef GLOWWORM_SERVER_CALL_RECORD_H_
#define GLOWWORM_SERVER_CALL_RECORD_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/live_streams.h"
#include "server/metrics.h"
#include "server/model_metrics.h"
#include "server/model_registry.h"
#include "server/reply_timeout.h"
#include "server/validate.h"

namespace glowworm {

class Credentials;

// What every call needs of the server. Outlives all calls.
struct ServiceContext {
  const ModelRegistry* models = nullptr;
  Metrics* metrics = nullptr;
  std::shared_ptr<ModelMetrics> unknown_model;  // Metrics::ForModel("", "")
  RequestLimits limits;
  int64_t max_call_bytes = 0;  // what one call's inputs and outputs may take of the budgets at most
  int compute_threads = 1;
  LiveStreams streams;
  const Credentials* credentials = nullptr;  // null: nobody is asked who they are
  ReplyTimeout reply_timeout;
};

// Not thread-safe, but for deadline() and source().
class CallRecord {
 public:
  // The call has arrived; echoes its x-request-id in the initial metadata.
  CallRecord(Method method, grpc::CallbackServerContext* grpc, ServiceContext* service);
  ~CallRecord() { WriteEnded(); }
  CallRecord(const CallRecord&) = delete;
  CallRecord& operator=(const CallRecord&) = delete;

  // On RealClock; InfiniteFuture if the client set none.
  absl::Time deadline() const { return deadline_; }
  // The name of its token, else of its certificate, else its peer's address without the port: for fairness.
  const std::string& source() const { return source_; }

  // Whether the caller is known to be gone, or its deadline is here, to the moment. (A read that fails for
  // either looks like the end of the requests.)
  bool CallerGone() const;

  // A message of a stream is about to be handed to gRPC, and has been sent. A client that does not read it,
  // nor the reply or status that comes after End, has its call ended: see reply_timeout.h.
  void WriteBegun() { service_->reply_timeout.Begun(&reply_, grpc_->c_call()); }
  void WriteEnded() { service_->reply_timeout.Ended(&reply_); }

  // From now on the call counts under this model, if it is ready or has failed; one that still loads counts
  // as unknown. The first ready model that is named stays.
  void SetModel(const ModelEntry& entry);
  const std::shared_ptr<const ServedModel>& model() const { return model_; }
  // The call goes on counting under its model, and keeps it in memory no longer: for a stream that may be
  // idle while the model is unloaded. model() is null from then on.
  void LetModelGo();
  void AddRows(int64_t rows) { rows_ += rows; }

  // Counts the refusal that `status` is, if it is one: of a stream's message. End counts a call's.
  void CountRefusal(const absl::Status& status) const;

  // The call ends: counts, times and logs it (at info if it failed, but for RESOURCE_EXHAUSTED, or came with
  // an x-request-id), adds the trailers of an overload. The result is for Finish. A call that was cancelled
  // because its deadline has passed ends with DEADLINE_EXCEEDED. REQUIRES: called once.
  grpc::Status End(absl::Status status);

 private:
  bool DeadlinePassed(absl::Time now) const;
  std::string ModelLabel() const;  // for the log
  ModelMetrics* metrics() const;
  void AddOverloadTrailers(const absl::Status& status);
  void LogEnd(const absl::Status& status, absl::Duration took) const;

  const Method method_;
  grpc::CallbackServerContext* const grpc_;
  ServiceContext* const service_;
  const absl::Time start_;
  const absl::Time deadline_;
  const std::string source_;
  std::string request_id_;
  std::shared_ptr<const ServedModel> model_;
  std::shared_ptr<ModelMetrics> metrics_of_model_;  // that it let go
  std::shared_ptr<ModelMetrics> failed_model_;
  std::string model_label_;  // likewise
  int64_t rows_ = 0;
  ReplyTimeout::Reply reply_;
};

}  // namespace glowworm

#endif  // GLOWWORM_SERVER_CALL_RECORD_H_
