// Queue: what one worker puts its work into: a stream of a device, in order, and what that work needs at
// hand. Tested by tests/model/cuda/kernel_test.cc.

#ifndef GLOWWORM_MODEL_CUDA_QUEUE_H_
#define GLOWWORM_MODEL_CUDA_QUEUE_H_

#include <cublas_v2.h>
#include <cuda_runtime.h>

#include <cstdint>

namespace glowworm::cuda {

class Arena;

// Used by one thread at a time. Whatever fails leaves its error here, and everything after that does nothing:
// the executor looks once, at the end.
struct Queue {
  cudaStream_t stream = nullptr;
  cublasHandle_t blas = nullptr;
  const unsigned char* constants = nullptr;  // on the device: see constants.h
  Arena* arena = nullptr;
  bool measuring = false;  // nothing is put into the stream; the arena sees how much it must hold

  cudaError_t error = cudaSuccess;                    // the first
  cublasStatus_t blas_error = CUBLAS_STATUS_SUCCESS;  // the first

  bool ok() const { return error == cudaSuccess && blas_error == CUBLAS_STATUS_SUCCESS; }
  // Whether work may be put into the stream.
  bool running() const { return !measuring && ok(); }
  void Note(cudaError_t result) {
    if (error == cudaSuccess) error = result;
  }
  void Note(cublasStatus_t result) {
    if (blas_error == CUBLAS_STATUS_SUCCESS) blas_error = result;
  }
};

}  // namespace glowworm::cuda

#endif  // GLOWWORM_MODEL_CUDA_QUEUE_H_
