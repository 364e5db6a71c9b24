// Who gets in: admission, parking, cancel and drain. What happens to a task then is in batch_queue.cc.
// Tested by tests/server/batcher_*_test.cc.

#include "server/batcher.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "server/batch_queue.h"

namespace glowworm {
namespace {

absl::Status Draining() {
  return Refusal(absl::StatusCode::kUnavailable, "draining",
                 "no new requests are taken: the server or this model version is stopping");
}

absl::Status Full(absl::string_view reason, absl::string_view whose, int64_t used, int64_t limit,
                  absl::string_view unit) {
  return Refusal(absl::StatusCode::kResourceExhausted, reason,
                 absl::StrCat(whose, " is full: ", used, " of ", limit, " ", unit, " are taken"));
}

}  // namespace

absl::Status Refusal(absl::StatusCode code, absl::string_view reason, absl::string_view message) {
  absl::Status status(code, message);
  status.SetPayload(kRefusalReason, absl::Cord(reason));
  return status;
}

absl::string_view BatchReasonName(BatchReason reason) {
  switch (reason) {
    case BatchReason::kFull:
      return "full";
    case BatchReason::kIdleWorker:
      return "idle_worker";
    case BatchReason::kDelay:
      return "delay";
    case BatchReason::kDeadline:
      return "deadline";
    case BatchReason::kDrain:
      return "drain";
  }
  return "unknown";
}

// The policy of admission, in the order in which it is asked.

absl::Status BatchQueue::CheckHopeless(const Task& task, absl::Time now) const {
  if (task.rows < 1 || task.rows > options.max_queue_rows) {
    return absl::InvalidArgumentError(
        absl::StrCat("a request may have 1 to ", options.max_queue_rows, " rows, this one has ", task.rows));
  }
  const int64_t max_bytes = std::min(options.max_queue_bytes, pool->max_bytes);
  if (task.bytes < 0 || task.bytes > max_bytes) {
    return absl::InvalidArgumentError(absl::StrCat("a request and its reply may take up to ", max_bytes,
                                                   " bytes, this one takes ", task.bytes));
  }
  if (draining) return Draining();
  if (task.deadline <= now) {
    return Refusal(absl::StatusCode::kDeadlineExceeded, "deadline", "the deadline had passed on arrival");
  }
  return absl::OkStatus();
}

// Rows bound how long the last one waits; bytes bound memory, here for one batcher and below for the process.
// Streams have half of the bytes, because it is their clients who say when a reply leaves: however many read
// nothing, the other half goes on. One that holds nothing gets in alone, whatever its size.
bool WithinStreams(int64_t more, int64_t held, int64_t limit) {
  return held == 0 || more <= limit / 2 - held;
}

absl::Status BatchQueue::CheckRoom(int64_t more_rows, int64_t more_bytes, bool stream) const {
  if (more_rows > options.max_queue_rows - rows) {
    return Full("queue_rows", "the queue", rows, options.max_queue_rows, "rows");
  }
  if (more_bytes > options.max_queue_bytes - reserved_bytes) {
    return Full("queue_bytes", "the queue", reserved_bytes, options.max_queue_bytes, "bytes");
  }
  if (stream && !WithinStreams(more_bytes, stream_bytes, options.max_queue_bytes)) {
    return Full("queue_bytes", "the streams' half of the queue", stream_bytes, options.max_queue_bytes / 2,
                "bytes");
  }
  return absl::OkStatus();
}

absl::Status BatchQueue::CheckMemory(int64_t more_bytes, bool stream) const {
  if (more_bytes > pool->max_bytes - pool->reserved_bytes) {
    return Full("process_bytes", "the server", pool->reserved_bytes, pool->max_bytes, "bytes");
  }
  if (stream && !WithinStreams(more_bytes, pool->stream_bytes, pool->max_bytes)) {
    return Full("process_bytes", "the streams' half of the server", pool->stream_bytes, pool->max_bytes / 2,
                "bytes");
  }
  return absl::OkStatus();
}

// Below half full anyone may take what there is: a single client needs the room, and the other half is left
// for the first request of the next one. Rows leave by themselves, so a client that is alone may have all of
// theirs; bytes leave when their client reads, so they may not.
absl::Status BatchQueue::CheckShare(const Task& task, absl::Time now) {
  const FairShare::Source* source = sources.Ask(task.source, now);
  const auto check = [](int64_t used, int64_t limit, int64_t share, int64_t held, int64_t more,
                        absl::string_view unit) {
    if (used < limit / 2 || held + more <= share) return absl::OkStatus();
    return Refusal(absl::StatusCode::kResourceExhausted, "fair_share",
                   absl::StrCat("the queue is busy and a client's share is ", share, " ", unit,
                                ": this one holds ", held, " and asks for ", more, " more"));
  };
  absl::Status status = check(rows, options.max_queue_rows, sources.Share(options.max_queue_rows),
                              source->rows, task.rows, "rows");
  if (!status.ok()) return status;
  const int64_t share = std::min(sources.Share(options.max_queue_bytes), options.max_queue_bytes / 2);
  return check(reserved_bytes, options.max_queue_bytes, share, source->bytes, task.bytes, "bytes");
}

// An empty queue never refuses, so that an estimate that is too slow is measured again.
absl::Status BatchQueue::CheckWait(const Task& task, absl::Time now) const {
  const absl::Duration wait = ExpectedWait(task.rows);
  if (wait <= absl::ZeroDuration() || task.deadline - now >= wait) return absl::OkStatus();
  return Refusal(absl::StatusCode::kDeadlineExceeded, "expected_wait",
                 absl::StrCat("the deadline is ", absl::ToInt64Milliseconds(task.deadline - now),
                              " ms away, the wait about ", absl::ToInt64Milliseconds(wait), " ms"));
}

// Round robin puts at most one turn of each waiting request before each turn of the new one.
absl::Duration BatchQueue::ExpectedWait(int64_t more_rows) const {
  const int64_t turns = (more_rows + turn_rows - 1) / turn_rows;
  const int64_t ahead = std::min(rows, round.size() * turn_rows * turns);
  if (ahead == 0) return absl::ZeroDuration();
  const int64_t tile = std::min(RoundUpToLadder(ahead), options.max_batch_rows);
  const int64_t batches = (ahead + tile - 1) / tile;
  return estimate.AtLeast(tile) * batches / pool->workers;
}

TaskId BatchQueue::Accept(std::shared_ptr<BatchQueue> self, std::unique_ptr<Task> task, bool stream,
                          bool park, absl::Time now) {
  auto* request = new Request;  // RetireIfDone hands it to an Outbox, which frees it
  request->queue = std::move(self);
  request->id = ++last_id;
  request->rows = task->rows;
  request->bytes = task->bytes;
  request->deadline = task->deadline;
  request->admitted = now;
  request->task = std::move(task);
  request->stream = stream;
  pool->reserved_bytes += request->bytes;
  if (stream) pool->stream_bytes += request->bytes;
  requests.emplace(request->id, request);
  pool->deadlines.Push(request);
  if (park) {
    request->parked = true;
    parked.PushBack(request);
    UpdateActive();
  } else {
    Enter(request, now);
  }
  return request->id;
}

void BatchQueue::Enter(Request* request, absl::Time now) {
  request->admitted = now;
  request->source = sources.Ask(request->task->source, now);
  request->source->rows += request->rows;
  request->source->bytes += request->bytes;
  request->turn = ++pool->next_turn;
  request->turn_left = turn_rows;
  round.PushBack(request);
  by_age.PushBack(request);
  if (options.max_queue_delay > absl::ZeroDuration()) urgent.Push(request);  // nothing else asks for urgency
  rows += request->rows;
  reserved_bytes += request->bytes;
  if (request->stream) stream_bytes += request->bytes;
  counters.rows_admitted += request->rows;
  UpdateActive();
}

void BatchQueue::AdmitParked(absl::Time now) {
  while (Request* request = parked.front()) {
    if (!CheckRoom(request->rows, request->bytes, /*stream=*/true).ok()) return;
    parked.Remove(request);
    request->parked = false;
    Enter(request, now);
  }
}

// The batcher itself: each method is one locked section.

absl::StatusOr<std::unique_ptr<Batcher>> Batcher::Create(ComputePool* pool, BatcherOptions options) {
  if (options.max_batch_rows < 1 || options.max_batch_rows > kLadder.back()) {
    return absl::InvalidArgumentError(
        absl::StrCat("max_batch_rows must be 1 to ", kLadder.back(), ", not ", options.max_batch_rows));
  }
  if (options.max_queue_rows < 1 || options.max_queue_bytes < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("max_queue_rows must be positive and max_queue_bytes not negative, not ",
                     options.max_queue_rows, " and ", options.max_queue_bytes));
  }
  if (options.max_queue_delay < absl::ZeroDuration() || options.max_queue_delay > absl::Minutes(1)) {
    return absl::InvalidArgumentError(absl::StrCat("max_queue_delay must be 0 to 60 s, not ",
                                                   absl::FormatDuration(options.max_queue_delay)));
  }
  if (options.compute == nullptr) return absl::InvalidArgumentError("a batcher needs something to compute");
  return std::unique_ptr<Batcher>(
      new Batcher(std::make_shared<BatchQueue>(pool, pool->state_.get(), std::move(options))));
}

Batcher::Batcher(std::shared_ptr<BatchQueue> queue) : queue_(std::move(queue)) {}

Batcher::~Batcher() { Drain(); }

absl::Status Batcher::Schedule(std::unique_ptr<Task>* task, TaskId* id) {
  return Admit(task, /*may_park=*/false, id);
}

absl::Status Batcher::ScheduleWhenRoom(std::unique_ptr<Task>* task, TaskId* id) {
  return Admit(task, /*may_park=*/true, id);
}

absl::Status Batcher::Admit(std::unique_ptr<Task>* task, bool may_park, TaskId* id) {
  ComputePool* pool = queue_->compute_pool;
  Outbox outbox;
  {
    MutexLock lock(&pool->mutex_);
    const absl::Time now = pool->clock()->Now();
    absl::Status status = queue_->CheckHopeless(**task, now);
    if (!status.ok()) return status;
    const absl::Status room = queue_->CheckRoom((*task)->rows, (*task)->bytes, may_park);
    status = queue_->CheckMemory((*task)->bytes, may_park);
    bool park = false;
    if (may_park) {
      park = !room.ok() || !queue_->parked.empty();  // nobody overtakes those who wait already
    } else {
      if (!room.ok()) status = room;
      // Asked even when there is no room: whoever is refused for another's flood becomes active by asking.
      const absl::Status share = queue_->CheckShare(**task, now);
      if (status.ok()) status = share;
    }
    if (status.ok() && !park) status = queue_->CheckWait(**task, now);
    if (!status.ok()) return status;
    const TaskId accepted = queue_->Accept(queue_, std::move(*task), /*stream=*/may_park, park, now);
    if (id != nullptr) *id = accepted;
    pool->state_->Settle(now, &outbox);
  }
  pool->Send(&outbox);
  return absl::OkStatus();
}

bool Batcher::Cancel(TaskId id) {
  ComputePool* pool = queue_->compute_pool;
  Outbox outbox;
  {
    MutexLock lock(&pool->mutex_);
    const auto found = queue_->requests.find(id);
    if (found == queue_->requests.end()) return false;
    const absl::Time now = pool->clock()->Now();
    queue_->End(found->second, absl::CancelledError("the caller cancelled"), &queue_->counters.rows_cancelled,
                now, &outbox);
    pool->state_->Settle(now, &outbox);
  }
  pool->Send(&outbox);
  return true;
}

void Batcher::Drain() { Close(/*abandon=*/false); }

void Batcher::Abandon() { Close(/*abandon=*/true); }

void Batcher::Close(bool abandon) {
  const std::shared_ptr<BatchQueue> queue = queue_;  // a `done` may destroy this batcher
  ComputePool* pool = queue->compute_pool;
  Outbox outbox;
  {
    MutexLock lock(&pool->mutex_);
    const absl::Time now = pool->clock()->Now();
    queue->draining = true;
    int64_t* const dropped = &queue->counters.rows_abandoned;
    while (Request* request = queue->parked.front()) queue->End(request, Draining(), dropped, now, &outbox);
    if (abandon) {
      std::vector<Request*> left;
      for (const auto& [id, request] : queue->requests) left.push_back(request);
      for (Request* request : left) {
        queue->End(request, absl::UnavailableError("the server stopped before every row was computed"),
                   dropped, now, &outbox);
      }
    }
    pool->state_->Settle(now, &outbox);
  }
  pool->Send(&outbox);
}

bool Batcher::WaitUntilIdle(absl::Time deadline) {
  ComputePool* pool = queue_->compute_pool;
  MutexLock lock(&pool->mutex_);
  while (!queue_->idle()) {
    if (pool->clock()->Now() >= deadline) return false;
    pool->clock()->WaitUntil(&pool->idle_cv_, &pool->mutex_, deadline);
  }
  return true;
}

int64_t Batcher::pending_rows() const {
  MutexLock lock(&queue_->compute_pool->mutex_);
  return queue_->rows;
}

int64_t Batcher::reserved_bytes() const {
  MutexLock lock(&queue_->compute_pool->mutex_);
  return queue_->reserved_bytes;
}

absl::Duration Batcher::ExpectedWait() const {
  MutexLock lock(&queue_->compute_pool->mutex_);
  return queue_->ExpectedWait(queue_->rows);
}

BatcherCounters Batcher::counters() const {
  MutexLock lock(&queue_->compute_pool->mutex_);
  return queue_->counters;
}

}  // namespace glowworm
