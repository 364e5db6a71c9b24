// What a device gives and must get back: memory, pinned host memory, streams, events, handles, graphs. Each
// is freed with its owner. Tested by tests/model/cuda/failure_test.cc.

#ifndef GLOWWORM_MODEL_CUDA_DEVICE_MEMORY_H_
#define GLOWWORM_MODEL_CUDA_DEVICE_MEMORY_H_

#include <cublas_v2.h>
#include <cuda_runtime.h>

#include <cstdint>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace glowworm::cuda {

// OK, or a sentence that says what could not be done and why. `doing` completes "the device could not ...".
// ResourceExhausted where memory ran out, FailedPrecondition where there is no device or driver, else
// Internal.
absl::Status StatusOf(cudaError_t error, absl::string_view doing);
absl::Status StatusOf(cublasStatus_t error, absl::string_view doing);

// Frees `T` with `kFree` when it goes. A failure to free is not told: it would be a later call's news.
template <typename T, auto kFree>
class Owned {
 public:
  Owned() = default;
  explicit Owned(T value) : value_(value) {}
  Owned(Owned&& other) noexcept : value_(std::exchange(other.value_, T{})) {}
  Owned& operator=(Owned&& other) noexcept {
    std::swap(value_, other.value_);
    return *this;
  }
  ~Owned() {
    if (value_ != T{}) kFree(value_);
  }
  T get() const { return value_; }
  T* out() { return &value_; }  // for a call that makes it. REQUIRES: empty

 private:
  T value_{};
};

using DeviceMemory = Owned<void*, cudaFree>;
using PinnedMemory = Owned<void*, cudaFreeHost>;
using Stream = Owned<cudaStream_t, cudaStreamDestroy>;
using Event = Owned<cudaEvent_t, cudaEventDestroy>;
using Blas = Owned<cublasHandle_t, cublasDestroy>;
using Graph = Owned<cudaGraph_t, cudaGraphDestroy>;
using GraphExec = Owned<cudaGraphExec_t, cudaGraphExecDestroy>;

}  // namespace glowworm::cuda

#endif  // GLOWWORM_MODEL_CUDA_DEVICE_MEMORY_H_
