// A queue of exchanges; whatever happens, the lock is taken, the change noted, and Advance() does the rest.

#include "server/log_likelihood_stream.h"

#include <grpcpp/impl/codegen/proto_utils.h>

#include <utility>
#include <vector>

#include "server/convert.h"
#include "server/unary_call.h"

namespace glowworm {

LogLikelihoodStream* LogLikelihoodStream::Start(grpc::CallbackServerContext* grpc, ServiceContext* service) {
  auto* stream = new LogLikelihoodStream(grpc, service);
  service->streams.Add(stream);
  MutexLock lock(&stream->mutex_);
  stream->draining_ = stream->draining_ || service->streams.draining();
  stream->Advance();
  return stream;
}

LogLikelihoodStream::LogLikelihoodStream(grpc::CallbackServerContext* grpc, ServiceContext* service)
    : service_(service), record_(Method::kStreamLogLikelihood, grpc, service) {}

void LogLikelihoodStream::BeginDrain() {
  MutexLock lock(&mutex_);
  draining_ = true;
  Advance();
}

void LogLikelihoodStream::OnReadDone(bool ok) {
  MutexLock lock(&mutex_);
  reading_ = false;
  if (!ok) {
    reads_ended_ = true;
    if (fatal_.ok() && record_.CallerGone()) fatal_ = absl::CancelledError("the caller gave up");
  } else if (!ended_ && fatal_.ok()) {
    exchanges_.push_back(std::make_unique<Exchange>());
    Accept(exchanges_.back().get());
  }
  Advance();
}

void LogLikelihoodStream::Accept(Exchange* exchange) {
  exchange->bytes = static_cast<int64_t>(incoming_.Length());
  bytes_in_flight_ += exchange->bytes;
  v1::LogLikelihoodRequest request;
  absl::Status status;
  if (grpc::SerializationTraits<v1::LogLikelihoodRequest>::Deserialize(&incoming_, &request).ok()) {
    // Before the rows are scheduled: from then on a worker may be filling the response.
    if (request.request_id().size() <= kMaxRequestIdBytes) {
      exchange->response.set_request_id(request.request_id());
    }
    status = Schedule(&request, exchange);
  } else {
    status =
        absl::InvalidArgumentError("expected a LogLikelihoodRequest, got bytes that do not parse as one");
  }
  incoming_.Clear();
  if (status.ok()) return;
  exchange->answered = true;
  // A server that drains says so as the reason; a model that still loads is Unavailable without one.
  const bool draining = absl::IsUnavailable(status) && status.GetPayload(kRefusalReason).has_value();
  if (draining || absl::IsDeadlineExceeded(status)) {
    exchange->fatal = std::move(status);  // every later message would meet the same
  } else {
    record_.CountRefusal(status);
    SetError(status, exchange->response.mutable_error());
  }
}

absl::Status LogLikelihoodStream::Schedule(v1::LogLikelihoodRequest* request, Exchange* exchange) {
  absl::StatusOr<std::shared_ptr<const ServedModel>> model = FindModel(request->model(), *service_, &record_);
  if (!model.ok()) return model.status();
  exchange->model = *model;
  record_.LetModelGo();
  absl::Status status = Validate(*request, (*model)->info(), service_->limits);
  if (!status.ok()) return status;
  auto payload = TakeRows(request, (*model)->info());
  exchange->payload = payload.get();

  std::unique_ptr<Task> task = MakeTask(record_, std::move(payload));
  task->done = [this, exchange](absl::Status result, TaskTiming timing, Reservation reservation) {
    Computed(exchange, std::move(result), timing, std::move(reservation));
  };
  status = (*model)->batcher(Work::kEncode)->ScheduleWhenRoom(&task, &exchange->task_id);
  if (status.ok()) ++tasks_;
  return status;
}

void LogLikelihoodStream::Computed(Exchange* exchange, absl::Status result, TaskTiming timing,
                                   Reservation reservation) {
  const ServedModel& model = *exchange->model;
  model.metrics()->Queued(Work::kEncode, timing.queued);
  if (result.ok()) {
    SetModelRef(model, &exchange->response);
    FillReply(exchange->payload, model.info(), &exchange->response);
  }
  MutexLock lock(&mutex_);
  --tasks_;
  if (result.ok()) record_.AddRows(exchange->payload->rows);
  exchange->reservation = std::move(reservation);
  exchange->answered = true;
  exchange->task_id = 0;
  exchange->fatal = std::move(result);
  Advance();
}

bool LogLikelihoodStream::MayEnd() const {
  if (writing_ || tasks_ > 0) return false;
  return !fatal_.ok() || ((reads_ended_ || draining_) && exchanges_.empty());
}

void LogLikelihoodStream::Advance() {
  if (ended_) return;
  if (fatal_.ok() && !writing_ && !exchanges_.empty() && exchanges_.front()->answered) {
    Exchange* const oldest = exchanges_.front().get();
    if (oldest->fatal.ok()) {
      writing_ = true;
      bool own_buffer;
      // Fails only for a message beyond 2 GiB; replies are bounded at admission.
      grpc::SerializationTraits<v1::LogLikelihoodResponse>::Serialize(oldest->response, &oldest->reply,
                                                                      &own_buffer);
      record_.WriteBegun();
      StartWrite(&oldest->reply);
    } else {
      fatal_ = oldest->fatal;
    }
  }
  if (MayEnd()) {
    ended_ = true;
    absl::Status status = fatal_;
    if (status.ok() && !reads_ended_) {
      status = Refusal(absl::StatusCode::kUnavailable, "draining",
                       "the server is shutting down; every answer written so far stands");
    }
    Finish(record_.End(std::move(status)));
    return;
  }
  if (fatal_.ok() && !reading_ && !reads_ended_ && !draining_ && exchanges_.size() < kMaxMessagesInFlight &&
      bytes_in_flight_ < kMaxBytesInFlight) {
    reading_ = true;
    StartRead(&incoming_);
  }
}

void LogLikelihoodStream::OnWriteDone(bool ok) {
  if (!ok) CancelTasks();
  MutexLock lock(&mutex_);
  writing_ = false;
  record_.WriteEnded();
  if (!ok && fatal_.ok()) fatal_ = absl::CancelledError("the caller gave up");
  bytes_in_flight_ -= exchanges_.front()->bytes;
  exchanges_.pop_front();
  Advance();
}

void LogLikelihoodStream::OnCancel() {
  {
    MutexLock lock(&mutex_);
    if (fatal_.ok()) fatal_ = absl::CancelledError("the caller gave up");
  }
  CancelTasks();
  MutexLock lock(&mutex_);
  Advance();
}

void LogLikelihoodStream::CancelTasks() {
  std::vector<std::pair<Batcher*, TaskId>> tasks;
  {
    MutexLock lock(&mutex_);
    for (const auto& exchange : exchanges_) {
      if (exchange->task_id != 0)
        tasks.emplace_back(exchange->model->batcher(Work::kEncode), exchange->task_id);
    }
  }
  for (const auto& [batcher, id] : tasks) batcher->Cancel(id);  // runs Computed on this thread
}

void LogLikelihoodStream::OnDone() {
  service_->streams.Remove(this);
  {
    MutexLock lock(&mutex_);  // the thread that called Finish may still hold it
  }
  delete this;
}

}  // namespace glowworm
