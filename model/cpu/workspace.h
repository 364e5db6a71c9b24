// Workspace: one worker's memory for one flow, and WorkspacePool, which hands them out. Tested by
// tests/model/flow_test.cc.

#ifndef GLOWWORM_MODEL_CPU_WORKSPACE_H_
#define GLOWWORM_MODEL_CPU_WORKSPACE_H_

#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "model/cpu/arena.h"
#include "model/cpu/onednn.h"

namespace glowworm {

struct Workspace {
  explicit Workspace(const PrimitiveSet* primitive_set) : primitives(primitive_set) {}
  Arena arena;
  bool measuring = false;  // see ProductScratch
  PrimitiveRunner primitives;
};

// Thread-safe. The pool outlives every lease.
class WorkspacePool {
 public:
  explicit WorkspacePool(const PrimitiveSet* primitives) : primitives_(primitives) {}

  // One workspace, given back when destroyed.
  class Lease {
   public:
    Lease(WorkspacePool* pool, std::unique_ptr<Workspace> workspace)
        : pool_(pool), workspace_(std::move(workspace)) {}
    ~Lease() {
      if (workspace_ != nullptr) pool_->Return(std::move(workspace_));
    }
    Lease(Lease&&) = default;
    Lease& operator=(Lease&&) = delete;
    Workspace* operator->() const { return workspace_.get(); }

   private:
    WorkspacePool* const pool_;
    std::unique_ptr<Workspace> workspace_;
  };

  // The one used last, whose memory is warmest; a new one if all are out.
  Lease Take() {
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      if (!free_.empty()) {
        std::unique_ptr<Workspace> workspace = std::move(free_.back());
        free_.pop_back();
        return Lease(this, std::move(workspace));
      }
    }
    return Lease(this, std::make_unique<Workspace>(primitives_));
  }

 private:
  void Return(std::unique_ptr<Workspace> workspace) {
    workspace->arena.Consolidate();
    const std::lock_guard<std::mutex> lock(mutex_);
    free_.push_back(std::move(workspace));
  }

  const PrimitiveSet* const primitives_;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Workspace>> free_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace glowworm

#endif  // GLOWWORM_MODEL_CPU_WORKSPACE_H_
