// Batcher: rows of many requests -> one batch for one worker. One per model version and kind of work.
//
// No gRPC, no proto, no Flow in these files: a task's payload is opaque, and the batcher's `compute` knows
// it. Start here; then batcher.cc (who gets in), batch_queue.cc (who goes when), compute_pool.cc (the
// threads). Tested by tests/server/batcher_*_test.cc: the contract clause by clause on a FakeClock, split and
// join as a property, expiry in real time, and a stress of all of it under ThreadSanitizer.

#ifndef GLOWWORM_SERVER_BATCHER_H_
#define GLOWWORM_SERVER_BATCHER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "server/compute_pool.h"
#include "server/reservation.h"

namespace glowworm {

class BatchQueue;

// What a finished task is told, beside its status.
struct TaskTiming {
  absl::Duration queued;   // admission until its first row was sealed (or until it ended unsealed)
  absl::Duration compute;  // longest batch among those that carried its rows; zero if none
};

// One request's rows.
struct Task {
  int64_t rows = 0;   // > 0
  int64_t bytes = 0;  // inputs + outputs, >= 0
  absl::Time deadline = absl::InfiniteFuture();
  std::string source;  // who asks (token, certificate or peer address), for fairness
  // Inputs and outputs. Kept alive until no batch that holds rows of it runs any more, also after `done`;
  // released after `done`, never under a lock.
  std::shared_ptr<void> payload;
  // Runs exactly once if Schedule returned OK, never under a lock, on a worker, the timer thread or the
  // caller of Schedule's siblings Cancel, Drain and Abandon: OK when every row was computed,
  // DEADLINE_EXCEEDED, CANCELLED, UNAVAILABLE, or what `compute` returned of the first batch with rows of it
  // that failed. It must not block (the timer thread answers everybody's
  // deadlines) and must not throw; it may call any method of any batcher but WaitUntilIdle, and it may
  // destroy the Batcher.
  absl::AnyInvocable<void(absl::Status, TaskTiming, Reservation)> done;
};

// Consecutive rows of one task inside a batch. A batch holds at most one part of a task.
struct Part {
  void* payload;
  int64_t begin;  // first row
  int64_t rows;
};

// Why a batch left the queue.
enum class BatchReason {
  kFull,        // max_batch_rows were waiting
  kIdleWorker,  // a worker was free and nothing is held back (max_queue_delay == 0)
  kDelay,       // its oldest row had waited for max_queue_delay
  kDeadline,    // waiting longer would have cost its most urgent row the deadline
  kDrain,       // the batcher drains
};
absl::string_view BatchReasonName(BatchReason reason);  // "full", "idle_worker", "delay", "deadline", "drain"

struct BatchReport {
  int64_t rows;
  int64_t parts;
  BatchReason reason;
  absl::Duration oldest_wait;  // of the request that was admitted first among the batch's
  absl::Duration compute;
};

struct BatcherOptions {
  // Rows that one worker takes at once: 1..1024. Smaller for wide rows, so that a tile's activations stay in
  // cache.
  int64_t max_batch_rows = 256;
  // Rows admitted and not sealed yet: bounds the wait of the last one.
  int64_t max_queue_rows = 65536;
  // Bytes of all admitted requests until their replies are sent: bounds memory. The pool has a bound of its
  // own.
  int64_t max_queue_bytes = int64_t{256} << 20;
  // How long rows may be held back to gather more, although a worker is idle. Zero: not at all.
  absl::Duration max_queue_delay = absl::ZeroDuration();
  // What one row's compute is expected to take before any batch has been timed; zero: unknown.
  absl::Duration expected_row_compute = absl::ZeroDuration();
  // Computes a batch: total rows in 1..max_batch_rows, parts of different tasks. Another status than OK ends
  // every task that has a part in it; no other task. Called by several workers at once, so it must be
  // thread-safe, and it must not throw. It may outlive the Batcher, so it owns what it uses.
  std::function<absl::Status(absl::Span<const Part>)> compute;
  // Told of each batch after its compute, failed or not, and before its tasks' `done`, on the worker, outside
  // the lock; may be empty. Thread-safe, does not throw, owns what it uses.
  std::function<void(const BatchReport&)> on_batch;
};

// Since creation. Of the rows admitted, each one ends as exactly one of computed, failed, expired, cancelled
// or abandoned.
struct BatcherCounters {
  int64_t rows_admitted = 0;
  int64_t rows_computed = 0;   // went through `compute`, which returned OK
  int64_t rows_discarded = 0;  // of those, the rows whose request had ended before their batch did
  int64_t rows_failed = 0;     // of batches that failed, and those never computed for such a batch
  int64_t rows_expired = 0;    // never computed, for the deadline
  int64_t rows_cancelled = 0;  // never computed, for a cancel
  int64_t rows_abandoned = 0;  // never computed, for Abandon
  int64_t batches = 0;
};

// Names one scheduled task of one batcher; never 0, never used twice.
using TaskId = uint64_t;

// Refusals (RESOURCE_EXHAUSTED, UNAVAILABLE, DEADLINE_EXCEEDED) carry a status payload under this name that
// holds one of: queue_rows, queue_bytes, process_bytes, fair_share, draining, deadline, expected_wait.
inline constexpr char kRefusalReason[] = "glowworm-reason";
absl::Status Refusal(absl::StatusCode code, absl::string_view reason, absl::string_view message);

// Thread-safe. No method but WaitUntilIdle blocks (each takes the pool's lock for some microseconds).
class Batcher {
 public:
  // InvalidArgument says which option is out of range. REQUIRES: `pool` outlives the batcher; options.compute
  // is set.
  static absl::StatusOr<std::unique_ptr<Batcher>> Create(ComputePool* pool, BatcherOptions options);

  // Drains, and does not wait: rows already queued are still computed and answered. Call Drain and
  // WaitUntilIdle first where something that `compute` or a `done` uses goes away with it.
  ~Batcher();
  Batcher(const Batcher&) = delete;
  Batcher& operator=(const Batcher&) = delete;

  // Admits a task; takes *task over and sets *id (before `done` can run; id may be null) exactly if it
  // returns OK. Otherwise *task is untouched and `done` will not run:
  // - INVALID_ARGUMENT: it could never fit: more rows or bytes than a whole budget, or rows < 1 or bytes < 0;
  // - RESOURCE_EXHAUSTED: the queue's rows or bytes, or the process's bytes, are taken; or half of the
  // queue's
  //   rows (or bytes) are, and the task's source would hold more of them than its share, max_queue_rows (or
  //   max_queue_bytes) / active sources, and never more than half of the bytes. A source is active while it
  //   has rows queued or bytes reserved, and for 10 s after it last asked;
  // - DEADLINE_EXCEEDED: the deadline has passed, or is nearer than the expected wait; an empty queue, or one
  //   whose batches have not been timed yet, refuses nothing on expectation;
  // - UNAVAILABLE: the batcher drains.
  absl::Status Schedule(std::unique_ptr<Task>* task, TaskId* id);

  // The same for streams: where Schedule would return RESOURCE_EXHAUSTED for want of room in the queue, the
  // task is parked and enters, in the order of parking, as room appears; there is no fair share here, but all
  // of these together hold at most half of the queue's and of the process's bytes (or a single one more, if
  // it is larger). Until then it holds nothing of the queue's budgets, but its bytes count for the process's,
  // and where those are taken it is refused. Deadline and Cancel work on a parked task as on a queued one;
  // Drain ends it with UNAVAILABLE. Room that appears goes to parked tasks before Schedule sees it.
  absl::Status ScheduleWhenRoom(std::unique_ptr<Task>* task, TaskId* id);

  // Ends the task with CANCELLED, on this thread, before returning true; its unsealed rows are never
  // computed. False if it has ended already.
  bool Cancel(TaskId id);

  // From now on everything is refused with UNAVAILABLE; queued rows leave without delay; parked tasks end
  // with UNAVAILABLE on this thread. Idempotent.
  void Drain();

  // Drain's hard end: also ends every task that has not ended, queued or running, with UNAVAILABLE on this
  // thread. Batches that run are finished and their results discarded.
  void Abandon();

  // Waits until nothing is queued, parked or running and every `done` has returned, or until the pool's clock
  // reaches `deadline`; returns whether it is so. REQUIRES: not called by a `done`, `compute` or `on_batch`.
  bool WaitUntilIdle(absl::Time deadline);

  // Rows admitted and not sealed yet.
  int64_t pending_rows() const;
  // Bytes reserved in the queue now; of parked tasks none.
  int64_t reserved_bytes() const;
  // How long the rows queued now will take, by the batches timed so far; zero if none was. For retry advice.
  absl::Duration ExpectedWait() const;
  BatcherCounters counters() const;

 private:
  explicit Batcher(std::shared_ptr<BatchQueue> queue);
  absl::Status Admit(std::unique_ptr<Task>* task, bool may_park, TaskId* id);
  void Close(bool abandon);

  const std::shared_ptr<BatchQueue> queue_;
};

}  // namespace glowworm

#endif  // GLOWWORM_SERVER_BATCHER_H_
