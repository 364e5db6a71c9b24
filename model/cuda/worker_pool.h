// WorkerPool: an executor's workers, lent one call at a time. Tested by tests/model/cuda/executor_test.cc
// and concurrency_test.cc.

#ifndef GLOWWORM_MODEL_CUDA_WORKER_POOL_H_
#define GLOWWORM_MODEL_CUDA_WORKER_POOL_H_

#include <condition_variable>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "model/cuda/worker.h"

namespace glowworm::cuda {

// Thread-safe. The pool outlives every lease.
class WorkerPool {
 public:
  // One worker, given back when destroyed.
  class Lease {
   public:
    Lease(WorkerPool* pool, std::unique_ptr<Worker> worker) : pool_(pool), worker_(std::move(worker)) {}
    ~Lease() { pool_->Add(std::move(worker_)); }
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    Worker* get() const { return worker_.get(); }

   private:
    WorkerPool* const pool_;
    std::unique_ptr<Worker> worker_;
  };

  void Add(std::unique_ptr<Worker> worker);
  // The worker that has been idle longest, so that calls go round the devices; blocks while all are out.
  Lease Take();

 private:
  std::mutex mutex_;
  std::condition_variable added_;
  std::vector<std::unique_ptr<Worker>> free_ ABSL_GUARDED_BY(mutex_);  // idle longest first
};

}  // namespace glowworm::cuda

#endif  // GLOWWORM_MODEL_CUDA_WORKER_POOL_H_
