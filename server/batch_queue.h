// BatchQueue: one batcher's waiting rows, and PoolState: what the queues of one pool share. Inside of
// batcher.h; no other code includes this. Tested by tests/server/batcher_*_test.cc.
//
// Nothing here locks or calls back. Every function REQUIRES the pool's mutex; what must happen without it
// (answers, memory to free, threads to wake) goes into an Outbox, which ComputePool::Send empties after the
// lock is released. So each locked section reads: change the queues, Settle, unlock, Send.

#ifndef GLOWWORM_SERVER_BATCH_QUEUE_H_
#define GLOWWORM_SERVER_BATCH_QUEUE_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/batcher.h"
#include "server/compute_estimate.h"
#include "server/deadline_heap.h"
#include "server/fair_share.h"
#include "server/intrusive_list.h"

namespace glowworm {

// One task from Schedule until its answer, its last running part and its Reservation are gone.
//   parked -> waiting (some rows unsealed) -> running (all sealed) -> ended; a deadline, a cancel or a drain
//   ends it from any state, and sealed parts may still run then.
struct Request {
  std::shared_ptr<BatchQueue> queue;
  std::unique_ptr<Task> task;  // goes after `done`, or with the last running part if that is later
  TaskId id = 0;
  int64_t rows = 0;
  int64_t bytes = 0;
  absl::Time deadline;
  absl::Time admitted;
  absl::Time first_sealed = absl::InfiniteFuture();
  FairShare::Source* source = nullptr;  // from admission on

  int64_t sealed = 0;    // rows
  int64_t computed = 0;  // rows
  int running_parts = 0;
  absl::Duration compute;
  bool parked = false;
  bool stream = false;  // came by ScheduleWhenRoom
  bool ended = false;
  bool reserved = false;  // a Reservation is out

  uint64_t turn = 0;      // when it joined the end of the round, among all queues of the pool
  int64_t turn_left = 0;  // rows it may still give in this turn
  int64_t part = -1;      // its part in the batch that is being filled

  ListHook<Request> round_hook;  // waiting: the round robin; parked: the order of parking
  ListHook<Request> age_hook;    // waiting: the order of admission
  int64_t expiry_slot = -1;
  int64_t urgency_slot = -1;

  int64_t unsealed() const { return rows - sealed; }
};

using RoundList = IntrusiveList<Request, &Request::round_hook>;
using AgeList = IntrusiveList<Request, &Request::age_hook>;

// What a worker carries.
struct Batch {
  std::shared_ptr<BatchQueue> queue;
  std::vector<Part> parts;
  std::vector<Request*> requests;  // of parts[i]
  int64_t rows = 0;
  BatchReason reason = BatchReason::kIdleWorker;
  absl::Duration oldest_wait;

  // Empty again, with the vectors' memory kept.
  void Clear();
};

// An answer to give.
struct Ending {
  std::shared_ptr<BatchQueue> queue;
  absl::AnyInvocable<void(absl::Status, TaskTiming, Reservation)> done;
  absl::Status status;
  TaskTiming timing;
  Reservation reservation;
  std::unique_ptr<Task> task;  // released after done; null if a part of it still runs
};

// What is left to do once the lock is released.
struct Outbox {
  std::vector<Ending> endings;
  std::vector<std::unique_ptr<Request>> retired;  // to free
  std::vector<std::unique_ptr<Task>> tasks;       // to free
  int wake_workers = 0;
  bool wake_timer = false;
  bool maybe_idle = false;  // some queue became idle

  bool empty() const {
    return endings.empty() && retired.empty() && tasks.empty() && wake_workers == 0 && !wake_timer &&
           !maybe_idle;
  }
};

// What the queues of one pool share.
struct PoolState {
  int64_t max_bytes = 0;
  int64_t reserved_bytes = 0;  // of admitted and of parked requests
  int64_t stream_bytes = 0;    // of those, the ones of streams
  int workers = 0;
  int idle_workers = 0;    // waiting for work
  int waking_workers = 0;  // of those, the ones already notified
  uint64_t next_turn = 0;
  bool stopping = false;                                   // the pool ends: nothing is held back
  absl::Time timer_at = absl::InfiniteFuture();            // when the timer thread looks next
  std::vector<BatchQueue*> active;                         // with waiting or parked requests
  DeadlineHeap<Request, &Request::expiry_slot> deadlines;  // of every request that has not ended

  // The queue that a free worker serves: of those with rows that may leave, the one whose head row is oldest.
  BatchQueue* Oldest(absl::Time now);
  // Ends at most `limit` requests whose deadline has come: a bound, so that the lock is not held for long.
  void Expire(absl::Time now, int limit, Outbox* outbox);
  // After any change: lets parked tasks in, wakes as many workers as are useful, sets the timer.
  void Settle(absl::Time now, Outbox* outbox);
};

class BatchQueue {
 public:
  BatchQueue(ComputePool* compute_pool, PoolState* pool, BatcherOptions options);

  // Who gets in (batcher.cc).

  // Refuses what can not be answered, now or ever.
  absl::Status CheckHopeless(const Task& task, absl::Time now) const;
  // Refuses what there is no room for in the queue now; what is refused may be parked. Less is a stream's.
  absl::Status CheckRoom(int64_t more_rows, int64_t more_bytes, bool stream) const;
  // Refuses what there is no memory for in the process now, parked or not.
  absl::Status CheckMemory(int64_t more_bytes, bool stream) const;
  // Refuses a source above its share. Marks it active.
  absl::Status CheckShare(const Task& task, absl::Time now);
  // Refuses a deadline nearer than the expected wait.
  absl::Status CheckWait(const Task& task, absl::Time now) const;
  // Takes the task over, as waiting or parked.
  TaskId Accept(std::shared_ptr<BatchQueue> self, std::unique_ptr<Task> task, bool stream, bool park,
                absl::Time now);
  // Lets parked tasks in while there is room for the first of them.
  void AdmitParked(absl::Time now);
  // What the rows that go before the last of `more_rows` new ones take, at least.
  absl::Duration ExpectedWait(int64_t more_rows) const;

  // Who goes when (batch_queue.cc).

  // Rows that may leave now; the rest is held back to gather.
  int64_t Leaving(absl::Time now);
  // When more may leave, if nothing happens before; InfiniteFuture if a free worker is all that is missing.
  absl::Time NextLeaving() const;
  // Rows per tile when `leaving` rows meet this many free workers.
  int64_t TileRows(int64_t leaving, int free_workers) const;
  // Fills *batch, which is empty, and seals its rows. May find nothing but expired requests.
  void Take(int free_workers, absl::Time now, Batch* batch, Outbox* outbox);
  // The batch's results are there, or it failed: joins the parts, or ends their requests.
  void Finish(const Batch& batch, const absl::Status& result, absl::Duration compute, absl::Time now,
              Outbox* outbox);
  // Ends a request that has not ended: drops its unsealed rows, if it has any, counts them in *dropped, and
  // writes its answer.
  void End(Request* request, absl::Status status, int64_t* dropped, absl::Time now, Outbox* outbox);
  // Frees a request that has ended, once neither a part runs nor a Reservation is out.
  void RetireIfDone(Request* request, Outbox* outbox);

  bool idle() const { return rows == 0 && parked.empty() && running_batches == 0 && answering == 0; }
  uint64_t head_turn() const { return round.front()->turn; }  // REQUIRES: rows > 0

  const BatcherOptions options;
  ComputePool* const compute_pool;
  PoolState* const pool;
  // Rows that a request gives before the next one's turn: a batch has room for four turns, so a small request
  // leaves whole and a large one cannot keep it waiting.
  const int64_t turn_rows;

  RoundList round;                                       // waiting requests, the next to give rows first
  AgeList by_age;                                        // the same, the first admitted first
  RoundList parked;                                      // not admitted yet
  DeadlineHeap<Request, &Request::urgency_slot> urgent;  // waiting requests
  absl::flat_hash_map<TaskId, Request*> requests;        // not ended
  FairShare sources;
  ComputeEstimate estimate;

  int64_t rows = 0;      // unsealed
  int64_t released = 0;  // of those, the ones that need not gather any longer
  BatchReason released_because = BatchReason::kIdleWorker;
  int64_t reserved_bytes = 0;
  int64_t stream_bytes = 0;  // of those, the ones of streams
  int64_t running_batches = 0;
  int64_t answering = 0;  // endings whose `done` has not returned
  TaskId last_id = 0;
  bool draining = false;
  BatcherCounters counters;

 private:
  void Enter(Request* request, absl::Time now);
  void Seal(Request* request, int64_t rows_to_seal, absl::Time now, Batch* batch);
  // `gone` rows of a waiting request are sealed or dropped.
  void LeaveRows(Request* request, int64_t gone);
  void UpdateActive();
};

}  // namespace glowworm

#endif  // GLOWWORM_SERVER_BATCH_QUEUE_H_
