// Implements model/cuda/worker_pool.h.

#include "model/cuda/worker_pool.h"

namespace glowworm::cuda {

void WorkerPool::Add(std::unique_ptr<Worker> worker) {
  const std::lock_guard<std::mutex> lock(mutex_);
  free_.push_back(std::move(worker));
  added_.notify_one();
}

WorkerPool::Lease WorkerPool::Take() {
  std::unique_lock<std::mutex> lock(mutex_);
  added_.wait(lock, [this]() ABSL_NO_THREAD_SAFETY_ANALYSIS { return !free_.empty(); });
  std::unique_ptr<Worker> worker = std::move(free_.front());
  free_.erase(free_.begin());
  return Lease(this, std::move(worker));
}

}  // namespace glowworm::cuda
