// Each method starts the object that is the call.

#include "server/density_service.h"

#include <unistd.h>

#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/convert.h"
#include "server/log_likelihood_stream.h"
#include "server/sample_stream.h"
#include "server/unary_call.h"
#include "server/version.h"

namespace glowworm {
namespace {

// A call that is answered at once.
class ImmediateCall final : public grpc::ServerUnaryReactor {
 public:
  ImmediateCall(Method method, grpc::CallbackServerContext* grpc, ServiceContext* service)
      : record_(method, grpc, service) {}

  CallRecord* record() { return &record_; }
  ImmediateCall* End(absl::Status status) {
    Finish(record_.End(std::move(status)));
    return this;
  }

 private:
  void OnDone() override { delete this; }

  CallRecord record_;
};

void FillEntry(const ModelEntry& entry, const RequestLimits& limits, v1::Model* model) {
  model->mutable_ref()->set_name(entry.name);
  model->mutable_ref()->set_version(entry.version);
  model->set_state(static_cast<v1::ModelState>(entry.state));
  if (!entry.error.ok()) model->set_error(ToGrpcStatus(entry.error).error_message());
  if (entry.served == nullptr) return;
  FillModel(entry.served->info(), model);
  model->mutable_limits()->set_max_rows(limits.max_rows);
  model->mutable_limits()->set_max_samples(limits.max_samples);
  model->mutable_limits()->set_max_message_bytes(limits.max_message_bytes);
  model->mutable_limits()->set_max_reply_bytes(limits.max_reply_bytes);
}

}  // namespace

uint64_t SeedOf(const v1::SampleRequest& request) {
  if (request.has_seed()) return request.seed();
  uint64_t seed = 0;
  if (getentropy(&seed, sizeof(seed)) != 0) seed = static_cast<uint64_t>(absl::GetCurrentTimeNanos());
  return seed;
}

grpc::ServerUnaryReactor* DensityService::ListModels(grpc::CallbackServerContext* grpc,
                                                     const v1::ListModelsRequest* request,
                                                     v1::ListModelsResponse* response) {
  auto* call = new ImmediateCall(Method::kListModels, grpc, context_);
  for (const ModelEntry& entry : context_->models->List()) {
    FillEntry(entry, context_->limits, response->add_models());
  }
  response->set_server_version(kServerVersion);
  auto bytes = static_cast<int64_t>(response->ByteSizeLong());
  if (bytes > context_->limits.max_reply_bytes) {
    for (v1::Model& model : *response->mutable_models()) {
      model.clear_layers();
      model.clear_provenance();
    }
    bytes = static_cast<int64_t>(response->ByteSizeLong());
  }
  if (bytes > context_->limits.max_reply_bytes) {
    response->Clear();
    return call->End(absl::ResourceExhaustedError(
        absl::StrCat("the list of models takes ", bytes, " bytes, the server sends at most ",
                     context_->limits.max_reply_bytes, ": ask GetModel for one of them")));
  }
  return call->End(absl::OkStatus());
}

grpc::ServerUnaryReactor* DensityService::GetModel(grpc::CallbackServerContext* grpc,
                                                   const v1::GetModelRequest* request, v1::Model* response) {
  auto* call = new ImmediateCall(Method::kGetModel, grpc, context_);
  absl::Status status = ValidateModelRef(request->model());
  if (!status.ok()) return call->End(std::move(status));
  const absl::StatusOr<ModelEntry> entry =
      context_->models->Describe(request->model().name(), request->model().version());
  if (!entry.ok()) return call->End(entry.status());
  call->record()->SetModel(*entry);
  FillEntry(*entry, context_->limits, response);
  return call->End(absl::OkStatus());
}

grpc::ServerUnaryReactor* DensityService::LogLikelihood(grpc::CallbackServerContext* grpc,
                                                        const v1::LogLikelihoodRequest* request,
                                                        v1::LogLikelihoodResponse* response) {
  return UnaryCall<v1::LogLikelihoodRequest>::Start(grpc, request, response, context_);
}

grpc::ServerUnaryReactor* DensityService::Encode(grpc::CallbackServerContext* grpc,
                                                 const v1::EncodeRequest* request,
                                                 v1::EncodeResponse* response) {
  return UnaryCall<v1::EncodeRequest>::Start(grpc, request, response, context_);
}

grpc::ServerUnaryReactor* DensityService::Decode(grpc::CallbackServerContext* grpc,
                                                 const v1::DecodeRequest* request,
                                                 v1::DecodeResponse* response) {
  return UnaryCall<v1::DecodeRequest>::Start(grpc, request, response, context_);
}

grpc::ServerUnaryReactor* DensityService::Sample(grpc::CallbackServerContext* grpc,
                                                 const v1::SampleRequest* request,
                                                 v1::SampleResponse* response) {
  return UnaryCall<v1::SampleRequest>::Start(grpc, request, response, context_);
}

grpc::ServerWriteReactor<v1::SampleResponse>* DensityService::StreamSamples(
    grpc::CallbackServerContext* grpc, const v1::SampleRequest* request) {
  return SampleStream::Start(grpc, request, context_);
}

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* DensityService::StreamLogLikelihood(
    grpc::CallbackServerContext* grpc) {
  return LogLikelihoodStream::Start(grpc, context_);
}

}  // namespace glowworm
