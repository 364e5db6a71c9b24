// The threads: workers that carry batches, and the timer. What they decide is in batch_queue.cc.
// Tested by tests/server/batcher_*_test.cc.

#include "server/compute_pool.h"

#include <algorithm>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/batch_queue.h"

namespace glowworm {
namespace {

// Requests that the timer ends in one locked section: some tens of microseconds, so that admission is not
// held up when ten thousand expire together.
constexpr int kExpireAtOnce = 64;

}  // namespace

absl::StatusOr<std::unique_ptr<ComputePool>> ComputePool::Create(PoolOptions options) {
  if (options.workers < 1 || options.max_bytes < 1) {
    return absl::InvalidArgumentError(absl::StrCat("a pool needs at least 1 worker and 1 byte, not ",
                                                   options.workers, " and ", options.max_bytes));
  }
  std::unique_ptr<ComputePool> pool(new ComputePool(std::move(options)));
  try {
    pool->timer_ = std::thread([p = pool.get()] { p->TimerLoop(); });
    for (int i = 0; i < pool->options_.workers; ++i) {
      pool->workers_.emplace_back([p = pool.get()] { p->WorkerLoop(); });
    }
  } catch (const std::system_error&) {
    return absl::ResourceExhaustedError(absl::StrCat("only ", pool->workers_.size(), " of ",
                                                     pool->options_.workers, " workers could be started"));
  }
  MutexLock lock(&pool->mutex_);
  while (pool->state_->idle_workers < pool->options_.workers) pool->idle_cv_.wait(pool->mutex_);
  return pool;
}

ComputePool::ComputePool(PoolOptions options)
    : options_(std::move(options)), state_(std::make_unique<PoolState>()) {
  MutexLock lock(&mutex_);
  state_->max_bytes = options_.max_bytes;
  state_->workers = options_.workers;
}

ComputePool::~ComputePool() {
  {
    MutexLock lock(&mutex_);
    state_->stopping = true;
  }
  work_cv_.notify_all();
  for (std::thread& worker : workers_) worker.join();
  {
    MutexLock lock(&mutex_);
    timer_stops_ = true;
  }
  timer_cv_.notify_all();
  if (timer_.joinable()) timer_.join();
}

int64_t ComputePool::reserved_bytes() const {
  MutexLock lock(&mutex_);
  return state_->reserved_bytes;
}

void ComputePool::WorkerLoop() {
  Outbox outbox;
  Batch batch;
  while (NextBatch(&batch, &outbox)) {
    Send(&outbox);
    if (batch.rows == 0) continue;  // every row that was to leave had expired
    const BatcherOptions& options = batch.queue->options;
    const absl::Time start = clock()->Now();
    const absl::Status result = options.compute(batch.parts);
    const absl::Time end = clock()->Now();
    if (options.on_batch) {
      options.on_batch({batch.rows, static_cast<int64_t>(batch.parts.size()), batch.reason, batch.oldest_wait,
                        end - start});
    }
    {
      MutexLock lock(&mutex_);
      batch.queue->Finish(batch, result, end - start, end, &outbox);
      state_->Settle(end, &outbox);
    }
    Send(&outbox);
    batch.Clear();
  }
  Send(&outbox);
}

bool ComputePool::NextBatch(Batch* batch, Outbox* outbox) {
  MutexLock lock(&mutex_);
  for (;;) {
    const absl::Time now = clock()->Now();
    if (BatchQueue* queue = state_->Oldest(now)) {
      queue->Take(state_->idle_workers + 1, now, batch, outbox);
      state_->Settle(now, outbox);
      return true;
    }
    if (state_->stopping) return false;
    if (++state_->idle_workers == options_.workers) idle_cv_.notify_all();  // Create waits for the first time
    work_cv_.wait(mutex_);
    --state_->idle_workers;
    state_->waking_workers = std::max(0, state_->waking_workers - 1);  // wakes may be spurious
  }
}

void ComputePool::TimerLoop() {
  Outbox outbox;
  for (;;) {
    {
      MutexLock lock(&mutex_);
      if (timer_stops_) return;
      const absl::Time now = clock()->Now();
      state_->Expire(now, kExpireAtOnce, &outbox);
      state_->timer_at = absl::InfiniteFuture();
      state_->Settle(now, &outbox);  // sets timer_at
      outbox.wake_timer = false;     // this is the timer
      if (outbox.empty()) clock()->WaitUntil(&timer_cv_, &mutex_, state_->timer_at);
    }
    Send(&outbox);
  }
}

void ComputePool::Send(Outbox* outbox) {
  for (; outbox->wake_workers > 0; --outbox->wake_workers) work_cv_.notify_one();
  if (outbox->wake_timer) timer_cv_.notify_one();
  for (Ending& ending : outbox->endings) {
    ending.done(std::move(ending.status), ending.timing, std::move(ending.reservation));
    ending.done = nullptr;
    ending.task.reset();
  }
  outbox->tasks.clear();
  if (!outbox->endings.empty()) {
    MutexLock lock(&mutex_);
    for (const Ending& ending : outbox->endings) {
      --ending.queue->answering;
      if (ending.queue->idle()) outbox->maybe_idle = true;
    }
  }
  if (outbox->maybe_idle) idle_cv_.notify_all();
  outbox->endings.clear();
  outbox->retired.clear();
  outbox->wake_timer = false;
  outbox->maybe_idle = false;
}

void ComputePool::Release(Request* request) {
  Outbox outbox;
  {
    MutexLock lock(&mutex_);
    request->reserved = false;
    request->queue->RetireIfDone(request, &outbox);
    state_->Settle(clock()->Now(), &outbox);
  }
  Send(&outbox);
}

}  // namespace glowworm
