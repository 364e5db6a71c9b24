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

struct PoolOptions {
  int workers = 1;                       // >= 1; DefaultWorkers() of cpu_quota.h fits the machine
  int64_t max_bytes = int64_t{1} << 30;  // >= 1: inputs + outputs of all admitted requests of all batchers
  Clock* clock = RealClock();            // outlives the pool
  std::function<void()>
      worker_init;  // run once on each worker before its first batch (FTZ/DAZ, OpenMP threads)
};

// Thread-safe.
class ComputePool {
 public:
  // Starts the threads. InvalidArgument for bad options; ResourceExhausted if a thread cannot be started.
  static absl::StatusOr<std::unique_ptr<ComputePool>> Create(PoolOptions options);

  // Computes and answers what destroyed batchers left behind, then joins the threads. Blocks for as long as
  // that takes. REQUIRES: every Batcher and every Reservation of this pool is gone or about to go by a
  // running `done`; not called on one of the pool's own threads.
  ~ComputePool();
  ComputePool(const ComputePool&) = delete;
  ComputePool& operator=(const ComputePool&) = delete;

  int workers() const { return options_.workers; }
  Clock* clock() const { return options_.clock; }
  // Bytes reserved now, by all batchers.
  int64_t reserved_bytes() const;

 private:
  explicit ComputePool(PoolOptions options);

  const PoolOptions options_;
};

}  // namespace glowworm

#endif  // GLOWWORM_SERVER_COMPUTE_POOL_H_
