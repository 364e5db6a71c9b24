// Who goes when: batches are filled, their rows sealed, their parts joined, and requests ended. No locks and
// no callbacks here; see batch_queue.h. Tested by tests/server/batcher_*_test.cc.

#include "server/batch_queue.h"

#include <algorithm>
#include <utility>

namespace glowworm {

BatchQueue::BatchQueue(ComputePool* the_compute_pool, PoolState* the_pool, BatcherOptions the_options)
    : options(std::move(the_options)),
      compute_pool(the_compute_pool),
      pool(the_pool),
      turn_rows(std::max<int64_t>(1, options.max_batch_rows / 4)),
      estimate(options.expected_row_compute) {}

// Work-conserving: nothing is held back for a worker that is free. Only a max_queue_delay holds rows, and
// what was released once stays released, whatever arrives behind it.
int64_t BatchQueue::Leaving(absl::Time now) {
  if (draining || pool->stopping) {
    released = rows;
    released_because = BatchReason::kDrain;
  } else if (options.max_queue_delay <= absl::ZeroDuration()) {
    released = rows;
    released_because = BatchReason::kIdleWorker;
  } else if (released % options.max_batch_rows != 0) {
    released = rows;  // a batch that leaves less than full takes along what has come meanwhile
  } else if (rows > released) {
    const int64_t whole_batches = rows - rows % options.max_batch_rows;
    if (whole_batches > released) {
      released = whole_batches;
      released_because = BatchReason::kFull;
    }
    if (now >= NextLeaving()) {
      const absl::Time by_delay = by_age.front()->admitted + options.max_queue_delay;
      released = rows;
      released_because = now >= by_delay ? BatchReason::kDelay : BatchReason::kDeadline;
    }
  }
  return released;
}

absl::Time BatchQueue::NextLeaving() const {
  if (rows == 0 || released > 0) return absl::InfiniteFuture();
  const absl::Duration compute = estimate.Expected(std::min(rows, options.max_batch_rows));
  return std::min(by_age.front()->admitted + options.max_queue_delay, urgent.earliest() - compute);
}

int64_t BatchQueue::TileRows(int64_t leaving, int free_workers) const {
  const int64_t share = (leaving + free_workers - 1) / free_workers;
  return std::min(RoundUpToLadder(share), options.max_batch_rows);
}

// Round robin: the front request gives up to turn_rows, then goes to the end of the round, so that one row
// never waits for all of a large request. A batch may go round more than once; a request's rows stay one
// part.
void BatchQueue::Take(int free_workers, absl::Time now, Batch* batch, Outbox* outbox) {
  const int64_t leaving = Leaving(now);
  int64_t room = std::min(leaving, TileRows(leaving, free_workers));
  batch->reason = released_because;
  while (room > 0 && rows > 0) {
    Request* request = round.front();
    if (request->deadline <= now) {  // the timer thread has not come to it yet
      End(request, absl::DeadlineExceededError("the deadline passed in the queue"), &counters.rows_expired,
          now, outbox);
      continue;
    }
    const int64_t count = std::min({room, request->turn_left, request->unsealed()});
    room -= count;
    Seal(request, count, now, batch);
  }
  if (batch->rows == 0) return;
  for (Request* request : batch->requests) request->part = -1;
  if (batch->rows == options.max_batch_rows && batch->reason == BatchReason::kIdleWorker) {
    batch->reason = BatchReason::kFull;
  }
  batch->queue = batch->requests[0]->queue;
  ++running_batches;
}

void BatchQueue::Seal(Request* request, int64_t count, absl::Time now, Batch* batch) {
  if (request->part < 0) {
    request->part = static_cast<int64_t>(batch->parts.size());
    batch->parts.push_back({request->task->payload.get(), request->sealed, 0});
    batch->requests.push_back(request);
    batch->oldest_wait = std::max(batch->oldest_wait, now - request->admitted);
    ++request->running_parts;
  }
  batch->parts[request->part].rows += count;
  batch->rows += count;
  request->first_sealed = std::min(request->first_sealed, now);
  request->sealed += count;
  request->turn_left -= count;
  released -= count;
  LeaveRows(request, count);
  if (request->unsealed() > 0 && request->turn_left == 0) {
    round.MoveToBack(request);
    request->turn = ++pool->next_turn;
    request->turn_left = turn_rows;
  }
}

void BatchQueue::LeaveRows(Request* request, int64_t gone) {
  rows -= gone;
  released = std::min(released, rows);
  request->source->rows -= gone;
  if (request->sealed == request->rows || request->ended) {
    round.Remove(request);
    by_age.Remove(request);
    urgent.Remove(request);
    UpdateActive();
  }
}

void BatchQueue::Finish(const Batch& batch, const absl::Status& result, absl::Duration compute,
                        absl::Time now, Outbox* outbox) {
  if (result.ok()) estimate.Record(batch.rows, compute);  // a failure may come at once, or after a time limit
  (result.ok() ? counters.rows_computed : counters.rows_failed) += batch.rows;
  ++counters.batches;
  --running_batches;
  for (size_t i = 0; i < batch.parts.size(); ++i) {
    Request* request = batch.requests[i];
    --request->running_parts;
    if (request->ended) {  // its caller has been answered: nobody reads the slot
      if (result.ok()) counters.rows_discarded += batch.parts[i].rows;
      RetireIfDone(request, outbox);
      continue;
    }
    request->computed += batch.parts[i].rows;
    request->compute = std::max(request->compute, compute);
    if (!result.ok() || request->computed == request->rows) {
      End(request, result, &counters.rows_failed, now, outbox);
    }
  }
  if (idle()) outbox->maybe_idle = true;
}

void BatchQueue::End(Request* request, absl::Status status, int64_t* dropped, absl::Time now,
                     Outbox* outbox) {
  request->ended = true;
  requests.erase(request->id);
  pool->deadlines.Remove(request);
  if (request->parked) {
    parked.Remove(request);
    UpdateActive();
  } else if (request->unsealed() > 0) {
    *dropped += request->unsealed();
    LeaveRows(request, request->unsealed());
  }
  ++answering;
  Ending ending;
  ending.queue = request->queue;
  ending.done = std::move(request->task->done);
  ending.status = std::move(status);
  ending.timing = {std::min(request->first_sealed, now) - request->admitted, request->compute};
  if (!request->parked) {
    request->reserved = true;
    ending.reservation = Reservation(request);
  }
  if (request->running_parts == 0) ending.task = std::move(request->task);
  outbox->endings.push_back(std::move(ending));
  RetireIfDone(request, outbox);
}

void BatchQueue::RetireIfDone(Request* request, Outbox* outbox) {
  if (request->running_parts > 0) return;
  if (request->task != nullptr) outbox->tasks.push_back(std::move(request->task));
  if (request->reserved) return;
  pool->reserved_bytes -= request->bytes;
  if (request->stream) pool->stream_bytes -= request->bytes;
  if (!request->parked) {
    reserved_bytes -= request->bytes;
    if (request->stream) stream_bytes -= request->bytes;
    if (request->bytes > 0) request->source->bytes -= request->bytes;  // without bytes it may be forgotten
  }
  outbox->retired.emplace_back(request);
}

void BatchQueue::UpdateActive() {
  const bool wanted = rows > 0 || !parked.empty();
  const auto at = std::find(pool->active.begin(), pool->active.end(), this);
  if (wanted && at == pool->active.end()) pool->active.push_back(this);
  if (!wanted && at != pool->active.end()) pool->active.erase(at);
}

void Batch::Clear() {
  queue.reset();
  parts.clear();
  requests.clear();
  rows = 0;
  oldest_wait = absl::ZeroDuration();
}

BatchQueue* PoolState::Oldest(absl::Time now) {
  BatchQueue* oldest = nullptr;
  for (BatchQueue* queue : active) {
    if (queue->Leaving(now) == 0) continue;
    if (oldest == nullptr || queue->head_turn() < oldest->head_turn()) oldest = queue;
  }
  return oldest;
}

void PoolState::Expire(absl::Time now, int limit, Outbox* outbox) {
  for (int i = 0; i < limit && deadlines.earliest() <= now; ++i) {
    Request* request = deadlines.top();
    BatchQueue* queue = request->queue.get();
    queue->End(request, absl::DeadlineExceededError("the deadline passed before every row was computed"),
               &queue->counters.rows_expired, now, outbox);
  }
}

void PoolState::Settle(absl::Time now, Outbox* outbox) {
  int64_t useful = 0;
  absl::Time next = deadlines.earliest();
  for (size_t i = 0; i < active.size(); ++i) {
    BatchQueue* queue = active[i];
    queue->AdmitParked(now);
    const int64_t leaving = queue->Leaving(now);
    if (leaving > 0 && idle_workers > 0) {
      const int64_t tile = queue->TileRows(leaving, idle_workers);
      useful += (leaving + tile - 1) / tile;
    }
    next = std::min(next, queue->NextLeaving());
  }
  const int wake = static_cast<int>(std::min<int64_t>(useful, idle_workers)) - waking_workers;
  if (wake > 0) {
    waking_workers += wake;
    outbox->wake_workers += wake;
  }
  if (next < timer_at) {
    timer_at = next;
    outbox->wake_timer = true;
  }
}

}  // namespace glowworm
