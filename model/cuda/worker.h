// Worker: what carries one call at a time over one device: a stream, a cuBLAS handle, scratch memory and
// graphs. Twin: model/cpu/workspace.h. Tested by tests/model/cuda/executor_test.cc and failure_test.cc.

#ifndef GLOWWORM_MODEL_CUDA_WORKER_H_
#define GLOWWORM_MODEL_CUDA_WORKER_H_

#include <cstdint>
#include <map>
#include <memory>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "model/cuda/arena.h"
#include "model/cuda/device_memory.h"
#include "model/cuda/io_block.h"
#include "model/cuda/queue.h"

namespace glowworm::cuda {

// What a graph computes.
enum class Work { kEncode, kDecode, kSample };

// Of cuBLAS, one a handle, so that products of several streams do not share it, and a captured one keeps it.
inline constexpr int64_t kBlasWorkspaceBytes = 32 << 20;

// Used by one thread at a time.
class Worker {
 public:
  struct Sizes {
    IoLayout io;
    int64_t arena_bytes = 0;
    int64_t columns = kColumns;  // of every matrix product's call
  };
  // constants: on the device `ordinal`; they outlive the worker.
  static absl::StatusOr<std::unique_ptr<Worker>> Create(int ordinal, const void* constants,
                                                        const Sizes& sizes);
  // Waits for what is under way.
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Does once what `compute` puts into the queue, and blocks until it is done: kernels are loaded when they
  // first run, which they may not be while a graph is captured.
  absl::Status WarmUp(absl::FunctionRef<void(Queue*)> compute);
  // Captures what `compute` puts into the queue, to be run by Run(work, rows).
  absl::Status Capture(Work work, int64_t rows, absl::FunctionRef<void(Queue*)> compute);

  // One call: Begin, then In for what it reads, Run, Out for what it gives, and Finish, which blocks until
  // all of it is done and tells whether any of it failed. All but Finish return at once; after a failure they
  // do nothing.
  void Begin();
  template <typename T>
  void In(const Section<T>& section, int64_t rows) {
    Copy(section.offset, rows * section.per_row * static_cast<int64_t>(sizeof(T)), cudaMemcpyHostToDevice);
  }
  // REQUIRES: captured.
  void Run(Work work, int64_t rows);
  template <typename T>
  void Out(const Section<T>& section, int64_t rows) {
    Copy(section.offset, rows * section.per_row * static_cast<int64_t>(sizeof(T)), cudaMemcpyDeviceToHost);
  }
  absl::Status Finish();

  void* device_io() const { return device_io_.get(); }
  void* host_io() const { return host_io_.get(); }

 private:
  explicit Worker(int ordinal) : ordinal_(ordinal) {}
  absl::Status Prepare(const void* constants, const Sizes& sizes);
  void Copy(int64_t offset, int64_t bytes, cudaMemcpyKind kind);
  void Reset();
  void Record(int event);

  const int ordinal_;
  Stream stream_;
  Blas blas_;
  Event events_[4];  // before and after the copies in; before and after the copies out
  DeviceMemory blas_workspace_, scratch_, device_io_;
  PinnedMemory host_io_;
  Arena arena_;
  Queue queue_;
  std::map<std::pair<Work, int64_t>, GraphExec> graphs_;
};

}  // namespace glowworm::cuda

#endif  // GLOWWORM_MODEL_CUDA_WORKER_H_
