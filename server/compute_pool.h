// ComputePool: the process's worker threads, the one timer thread and the memory budget that all batchers
// share.
//
// Workers take batches from the batchers made on this pool (batcher.h); a free worker takes the batcher whose
// head row is oldest. The timer thread answers expired requests at their deadline and releases batches that a
// max_queue_delay held back; it sleeps until the earliest such moment and never polls.
// Tested by tests/server/batcher_*_test.cc.

#ifndef GLOWWORM_SERVER_COMPUTE_POOL_H_
#define GLOWWORM_SERVER_COMPUTE_POOL_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <thread>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/clock.h"
#include "server/mutex.h"

namespace glowworm {

struct Batch;
struct Outbox;
struct PoolState;
struct Request;

struct PoolOptions {
  int workers = 1;                       // >= 1; DefaultWorkers() of cpu_quota.h fits the machine
  int64_t max_bytes = int64_t{1} << 30;  // >= 1: inputs + outputs of all requests of all batchers
  Clock* clock = RealClock();            // outlives the pool
};

// Thread-safe.
class ComputePool {
 public:
  // Starts the threads and returns once every worker waits for work. InvalidArgument
  // for bad options; ResourceExhausted if a thread cannot be started.
  static absl::StatusOr<std::unique_ptr<ComputePool>> Create(PoolOptions options);

  // Computes and answers what destroyed batchers left behind, then joins the threads. Blocks for as long as
  // that takes. REQUIRES: every Batcher and every Reservation of this pool is gone or about to go by a
  // running `done`; not called on one of the pool's own threads.
  ~ComputePool();
  ComputePool(const ComputePool&) = delete;
  ComputePool& operator=(const ComputePool&) = delete;

  int workers() const { return options_.workers; }
  Clock* clock() const { return options_.clock; }
  // Bytes reserved now, by all batchers; also of parked tasks.
  int64_t reserved_bytes() const;

 private:
  friend class Batcher;
  friend class Reservation;

  explicit ComputePool(PoolOptions options);
  void WorkerLoop();
  void TimerLoop();
  // Waits for a batch and seals it. False once the pool ends and nothing is left to compute.
  bool NextBatch(Batch* batch, Outbox* outbox);
  // Wakes the threads, runs the `done`s and frees the memory named in *outbox; empties it.
  // REQUIRES: mutex_ is not held.
  void Send(Outbox* outbox);
  // A Reservation of *request is given back.
  void Release(Request* request);

  const PoolOptions options_;

  mutable Mutex mutex_;  // guards *state_ and every queue of this pool
  CondVar work_cv_;      // a batch may leave
  CondVar timer_cv_;     // the timer's next moment moved forward
  CondVar idle_cv_;      // a batcher became idle, or a worker is ready for its first batch
  const std::unique_ptr<PoolState> state_ ABSL_PT_GUARDED_BY(mutex_);
  bool timer_stops_ ABSL_GUARDED_BY(mutex_) = false;

  std::vector<std::thread> workers_;  // started by Create, joined by the destructor
  std::thread timer_;
};

}  // namespace glowworm

#endif  // GLOWWORM_SERVER_COMPUTE_POOL_H_
