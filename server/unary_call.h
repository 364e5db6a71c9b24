// UnaryCall: LogLikelihood, Encode, Decode and Sample, which differ only in their messages. Validates, queues
// the rows and finishes from whichever thread computed the last of them; never computes or blocks. Tested by
// tests/server/service_test.cc and tests/e2e.

#ifndef GLOWWORM_SERVER_UNARY_CALL_H_
#define GLOWWORM_SERVER_UNARY_CALL_H_

#include <grpcpp/support/server_callback.h>

#include <memory>
#include <type_traits>
#include <utility>

#include "glowworm/v1/density.pb.h"
#include "server/batcher.h"
#include "server/call_record.h"
#include "server/convert.h"
#include "server/payload.h"
#include "server/validate.h"

namespace glowworm {

// The request's seed, or one drawn for it.
uint64_t SeedOf(const v1::SampleRequest& request);

// What differs between the methods.
template <typename Request>
struct MethodTraits;
template <>
struct MethodTraits<v1::LogLikelihoodRequest> {
  using Response = v1::LogLikelihoodResponse;
  static constexpr Method kMethod = Method::kLogLikelihood;
  static constexpr Work kWork = Work::kEncode;
};
template <>
struct MethodTraits<v1::EncodeRequest> {
  using Response = v1::EncodeResponse;
  static constexpr Method kMethod = Method::kEncode;
  static constexpr Work kWork = Work::kEncode;
};
template <>
struct MethodTraits<v1::DecodeRequest> {
  using Response = v1::DecodeResponse;
  static constexpr Method kMethod = Method::kDecode;
  static constexpr Work kWork = Work::kDecode;
};
template <>
struct MethodTraits<v1::SampleRequest> {
  using Response = v1::SampleResponse;
  static constexpr Method kMethod = Method::kSample;
  static constexpr Work kWork = Work::kSample;
};

inline std::shared_ptr<SamplePayload> TakeRows(v1::SampleRequest* request, const FlowInfo& flow) {
  return MakeRows(*request, flow, SeedOf(*request), request->first_index(), request->num_samples());
}

// Tells a reply which model made it.
template <typename Response>
void SetModelRef(const ServedModel& model, Response* response) {
  response->mutable_model()->set_name(model.name());
  response->mutable_model()->set_version(model.version());
}

// Finds the model that a request means and notes it in the call's record. The name is checked before it is
// looked up.
inline absl::StatusOr<std::shared_ptr<const ServedModel>> FindModel(const v1::ModelRef& ref,
                                                                    const ServiceContext& service,
                                                                    CallRecord* record) {
  if (service.streams.draining()) {
    return Refusal(absl::StatusCode::kUnavailable, "draining", "the server is shutting down");
  }
  absl::Status status = ValidateModelRef(ref);
  if (!status.ok()) return status;
  const absl::StatusOr<ModelEntry> entry = service.models->Describe(ref.name(), ref.version());
  if (!entry.ok()) return entry.status();
  record->SetModel(*entry);
  return ModelRegistry::Served(*entry);
}

// The task that carries a call's rows; `done` is left to the caller.
template <typename Payload>
std::unique_ptr<Task> MakeTask(const CallRecord& record, std::shared_ptr<Payload> payload) {
  auto task = std::make_unique<Task>();
  task->rows = payload->rows;
  task->bytes = Bytes(*payload);
  task->deadline = record.deadline();
  task->source = record.source();
  task->payload = std::move(payload);
  return task;
}

// Deletes itself when the call is over.
template <typename Request>
class UnaryCall final : public grpc::ServerUnaryReactor {
 public:
  using Traits = MethodTraits<Request>;
  using Response = typename Traits::Response;

  static UnaryCall* Start(grpc::CallbackServerContext* grpc, const Request* request, Response* response,
                          ServiceContext* service) {
    auto* call = new UnaryCall(grpc, request, response, service);
    call->Admit();
    return call;
  }

 private:
  UnaryCall(grpc::CallbackServerContext* grpc, const Request* request, Response* response,
            ServiceContext* service)
      : grpc_(grpc),
        // gRPC made this message for this call and reads it no more, so its bytes may be moved out.
        request_(const_cast<Request*>(request)),
        response_(response),
        service_(service),
        record_(Traits::kMethod, grpc, service) {}

  void Admit() {
    absl::Status status = Schedule();
    if (!status.ok()) Finish(record_.End(std::move(status)));
  }

  absl::Status Schedule() {
    absl::StatusOr<std::shared_ptr<const ServedModel>> model =
        FindModel(request_->model(), *service_, &record_);
    if (!model.ok()) return model.status();
    const FlowInfo& flow = (*model)->info();
    absl::Status status = Validate(*request_, flow, service_->limits);
    if (!status.ok()) return status;
    if (grpc_->IsCancelled()) return absl::CancelledError("the caller gave up before the call was admitted");
    auto payload = TakeRows(request_, flow);
    payload_ = payload.get();
    record_.AddRows(payload->rows);

    std::unique_ptr<Task> task = MakeTask(record_, std::move(payload));
    task->done = [this](absl::Status result, TaskTiming timing, Reservation reservation) {
      Answer(std::move(result), timing, std::move(reservation));
    };
    return (*model)->batcher(Traits::kWork)->Schedule(&task, &task_id_);
  }

  // On a worker, the timer thread, or the thread that cancels or drains.
  void Answer(absl::Status result, TaskTiming timing, Reservation reservation) {
    const ServedModel& model = *record_.model();
    reservation_ = std::move(reservation);
    model.metrics()->Queued(Traits::kWork, timing.queued);
    if (result.ok()) {
      SetModelRef(model, response_);
      FillReply(payload_, model.info(), response_);
      if constexpr (std::is_same_v<Request, v1::LogLikelihoodRequest>) {
        response_->mutable_request_id()->swap(*request_->mutable_request_id());
      }
    }
    Finish(record_.End(std::move(result)));  // *this may be gone from here on
  }

  void OnCancel() override {
    if (task_id_ != 0) record_.model()->batcher(Traits::kWork)->Cancel(task_id_);
  }
  void OnDone() override { delete this; }
  // gRPC's own, not API: without it gRPC wakes one more thread for each OnDone and OnCancel. Neither blocks
  // here, and no lock is held where gRPC may run them: in Finish, or on its own threads.
  bool InternalInlineable() override { return true; }

  using Payload =
      typename decltype(TakeRows(std::declval<Request*>(), std::declval<const FlowInfo&>()))::element_type;

  grpc::CallbackServerContext* const grpc_;
  Request* const request_;
  Response* const response_;
  ServiceContext* const service_;
  CallRecord record_;
  Payload* payload_ = nullptr;  // the batcher's task owns it
  TaskId task_id_ = 0;          // set before this call is returned to gRPC, so before any reaction
  Reservation reservation_;     // held until the reply has been sent
};

}  // namespace glowworm

#endif  // GLOWWORM_SERVER_UNARY_CALL_H_
