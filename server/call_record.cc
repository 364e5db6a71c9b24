// Arrival and end of a call.

#include "server/call_record.h"

#include <algorithm>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "server/batcher.h"
#include "server/caller.h"
#include "server/clock.h"
#include "server/convert.h"
#include "server/log.h"

namespace glowworm {
namespace {

constexpr char kRequestId[] = "x-request-id";
constexpr size_t kMaxRequestIdHeader = 128;
constexpr absl::Duration kLeastPushback = absl::Milliseconds(20);
constexpr absl::Duration kMostPushback = absl::Seconds(10);

std::string RequestId(const grpc::CallbackServerContext& grpc) {
  const auto it = grpc.client_metadata().find(kRequestId);
  if (it == grpc.client_metadata().end()) return "";
  return Sanitized(absl::string_view(it->second.data(), it->second.size()), kMaxRequestIdHeader);
}

// The caller's clock started before ours, and gRPC rounds long timeouts up by a percent or so: a cancel this
// near to the deadline is the deadline.
absl::Duration DeadlineSlack(absl::Duration timeout) {
  return std::max(absl::Milliseconds(20), timeout / 50);
}

// On RealClock. gRPC's is by the wall clock, whose steps must not end a call, nor keep it.
absl::Time Deadline(const grpc::CallbackServerContext& grpc) {
  const auto deadline = grpc.deadline();
  if (deadline == std::chrono::system_clock::time_point::max()) return absl::InfiniteFuture();
  return FromWallClock(absl::FromChrono(deadline), absl::Now(), RealClock());
}

}  // namespace

CallRecord::CallRecord(Method method, grpc::CallbackServerContext* grpc, ServiceContext* service)
    : method_(method),
      grpc_(grpc),
      service_(service),
      start_(RealClock()->Now()),
      deadline_(Deadline(*grpc)),
      source_(CallerOf(*grpc, service->credentials)),
      request_id_(RequestId(*grpc)) {
  service_->metrics->CallStarted();
  if (!request_id_.empty()) grpc_->AddInitialMetadata(kRequestId, request_id_);
}

void CallRecord::SetModel(const ModelEntry& entry) {
  if (model_ == nullptr && metrics_of_model_ == nullptr) model_ = entry.served;
  if (entry.state == ModelState::kFailed && failed_model_ == nullptr) {
    failed_model_ = service_->metrics->ForModel(entry.name, absl::StrCat(entry.version));
  }
}

void CallRecord::LetModelGo() {
  if (model_ == nullptr) return;
  metrics_of_model_ = service_->metrics->ForModel(model_->name(), absl::StrCat(model_->version()));
  model_label_ = ModelLabel();
  model_ = nullptr;
}

std::string CallRecord::ModelLabel() const {
  if (model_ == nullptr) return model_label_;
  return absl::StrCat(" model=", model_->name(), " version=", model_->version());
}

bool CallRecord::DeadlinePassed(absl::Time now) const {
  return now >= deadline_ - DeadlineSlack(deadline_ - start_);
}

bool CallRecord::CallerGone() const { return grpc_->IsCancelled() || RealClock()->Now() >= deadline_; }

ModelMetrics* CallRecord::metrics() const {
  return model_ != nullptr              ? model_->metrics()
         : metrics_of_model_ != nullptr ? metrics_of_model_.get()
         : failed_model_ != nullptr     ? failed_model_.get()
                                        : service_->unknown_model.get();
}

void CallRecord::CountRefusal(const absl::Status& status) const {
  if (const auto reason = status.GetPayload(kRefusalReason)) metrics()->Refused(std::string(*reason));
}

grpc::Status CallRecord::End(absl::Status status) {
  const absl::Time now = RealClock()->Now();
  if (absl::IsCancelled(status) && DeadlinePassed(now)) {
    status = absl::DeadlineExceededError("the call's deadline passed before its answer was ready");
  }
  if (!status.ok()) AddOverloadTrailers(status);
  CountRefusal(status);
  metrics()->CallEnded(method_, static_cast<int>(status.code()), now - start_);
  service_->metrics->CallEnded();
  LogEnd(status, now - start_);
  WriteBegun();  // what the caller hands to Finish
  return ToGrpcStatus(status);
}

void CallRecord::AddOverloadTrailers(const absl::Status& status) {
  if (const auto reason = status.GetPayload(kRefusalReason)) {
    grpc_->AddTrailingMetadata(kRefusalReason, std::string(*reason));
  }
  if (!absl::IsResourceExhausted(status)) return;
  absl::Duration wait = absl::ZeroDuration();
  if (model_ != nullptr) {
    for (const Work work : {Work::kEncode, Work::kDecode, Work::kSample}) {
      wait = std::max(wait, model_->batcher(work)->ExpectedWait());
    }
  }
  wait = std::min(std::max(wait, kLeastPushback), kMostPushback);
  grpc_->AddTrailingMetadata("grpc-retry-pushback-ms", absl::StrCat(absl::ToInt64Milliseconds(wait)));
}

// A call that ended well, or was refused for overload, and that nobody named is told at debug only: at
// thousands a second, each line costs as much as a row, or as a fifth of a refusal. (Metrics count them all.)
// So is one whose batch failed on the device: served_model.cc has told of that.
void CallRecord::LogEnd(const absl::Status& status, absl::Duration took) const {
  const bool ours = absl::IsInternal(status) || absl::IsUnknown(status) || absl::IsDataLoss(status);
  const bool usual =
      status.ok() || absl::IsResourceExhausted(status) || status.GetPayload(kLogged).has_value();
  const LogLevel level = ours && !usual                   ? LogLevel::kError
                         : !usual || !request_id_.empty() ? LogLevel::kInfo
                                                          : LogLevel::kDebug;
  if (!Logs(level)) return;
  std::string line =
      absl::StrCat("call method=", MethodName(method_), " code=", absl::StatusCodeToString(status.code()),
                   " seconds=", absl::ToDoubleSeconds(took), " rows=", rows_);
  line += ModelLabel();
  if (!request_id_.empty()) absl::StrAppend(&line, " request_id=", request_id_);
  absl::StrAppend(&line, " peer=", Sanitized(grpc_->peer(), 64));
  if (service_->credentials != nullptr) absl::StrAppend(&line, " source=", source_);
  if (!status.ok()) {
    absl::StrAppend(&line, " error=", LogText(ToGrpcStatus(status).error_message()));
  }
  glowworm::Log(level, line);
}

}  // namespace glowworm
