// Chunk after chunk, until the last, a cancel, the deadline or the server's end.

#include "server/sample_stream.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/convert.h"
#include "server/unary_call.h"

namespace glowworm {

SampleStream* SampleStream::Start(grpc::CallbackServerContext* grpc, const v1::SampleRequest* request,
                                  ServiceContext* service) {
  auto* stream = new SampleStream(grpc, request, service);
  service->streams.Add(stream);
  absl::Status status = stream->Open();
  if (status.ok()) {
    stream->NextChunk();
  } else {
    stream->End(std::move(status));
  }
  return stream;
}

SampleStream::SampleStream(grpc::CallbackServerContext* grpc, const v1::SampleRequest* request,
                           ServiceContext* service)
    : request_(request), service_(service), record_(Method::kStreamSamples, grpc, service) {}

absl::Status SampleStream::Open() {
  absl::StatusOr<std::shared_ptr<const ServedModel>> model =
      FindModel(request_->model(), *service_, &record_);
  if (!model.ok()) return model.status();
  const FlowInfo& flow = (*model)->info();
  absl::Status status = ValidateStream(*request_, flow, service_->limits);
  if (!status.ok()) return status;
  seed_ = SeedOf(*request_);
  // A tile for each thread, as far as a reply's, a request's and the queue's bounds allow.
  const int64_t row_bytes = Bytes(*MakeRows(*request_, flow, seed_, request_->first_index(), /*rows=*/1));
  chunk_rows_ = std::min({flow.max_tile_rows * service_->compute_threads,
                          SamplesPerReply(*request_, flow, service_->limits), service_->limits.max_rows,
                          std::max<int64_t>(1, service_->max_call_bytes / row_bytes)});
  return absl::OkStatus();
}

void SampleStream::NextChunk() {
  if (draining_.load() || service_->streams.draining()) {
    return End(Refusal(absl::StatusCode::kUnavailable, "draining",
                       absl::StrCat("the server is shutting down; go on elsewhere with ", NextSample())));
  }
  const ServedModel& model = *record_.model();
  auto payload =
      MakeRows(*request_, model.info(), seed_, request_->first_index() + static_cast<uint64_t>(sent_),
               std::min(chunk_rows_, request_->num_samples() - sent_));
  payload_ = payload.get();
  std::unique_ptr<Task> task = MakeTask(record_, std::move(payload));
  task->done = [this](absl::Status result, TaskTiming timing, Reservation reservation) {
    Write(std::move(result), timing, std::move(reservation));
  };
  absl::Status status;
  {
    MutexLock lock(&mutex_);
    status = cancelled_ ? absl::CancelledError("the caller gave up")
                        : model.batcher(Work::kSample)->ScheduleWhenRoom(&task, &task_id_);
  }
  if (absl::IsResourceExhausted(status)) {
    status = Refusal(status.code(), "process_bytes",
                     absl::StrCat(status.message(), "; go on later with ", NextSample()));
  } else if (absl::IsUnavailable(status)) {  // the model's version is being unloaded
    status = Refusal(status.code(), "draining",
                     absl::StrCat(status.message(), "; go on elsewhere with ", NextSample()));
  }
  if (!status.ok()) End(std::move(status));
}

std::string SampleStream::NextSample() const {
  return absl::StrCat("seed=", seed_,
                      " first_index=", request_->first_index() + static_cast<uint64_t>(sent_));
}

void SampleStream::Write(absl::Status result, TaskTiming timing, Reservation reservation) {
  const ServedModel& model = *record_.model();
  reservation_ = std::move(reservation);
  model.metrics()->Queued(Work::kSample, timing.queued);
  if (!result.ok()) return End(std::move(result));
  record_.AddRows(payload_->rows);
  sent_ += payload_->rows;
  response_.Clear();
  SetModelRef(model, &response_);
  FillReply(payload_, model.info(), &response_);
  record_.WriteBegun();
  StartWrite(&response_);
}

void SampleStream::OnWriteDone(bool ok) {
  record_.WriteEnded();
  reservation_.Release();
  if (!ok) return End(absl::CancelledError("the caller gave up"));
  if (sent_ == request_->num_samples()) return End(absl::OkStatus());
  NextChunk();
}

void SampleStream::End(absl::Status status) { Finish(record_.End(std::move(status))); }

void SampleStream::OnCancel() {
  TaskId id;
  {
    MutexLock lock(&mutex_);
    cancelled_ = true;
    id = task_id_;
  }
  if (id != 0) record_.model()->batcher(Work::kSample)->Cancel(id);
}

void SampleStream::OnDone() {
  service_->streams.Remove(this);
  {
    MutexLock lock(&mutex_);  // a thread that has just queued the last chunk may still hold it
  }
  delete this;
}

}  // namespace glowworm
