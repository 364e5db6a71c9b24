// Launch: the one way a kernel starts. A kernel is a body, a function of one index that writes only what
// belongs to that index; on a device each index has its thread, in a host build (the same sources, compiled
// as C++ against tests/testing/fake_cuda) the indices run in shuffled order. Tested by
// tests/model/cuda/kernel_test.cc.

#ifndef GLOWWORM_MODEL_CUDA_LAUNCH_H_
#define GLOWWORM_MODEL_CUDA_LAUNCH_H_

#include <cstdint>

#include "model/cuda/queue.h"
#include "model/host_device.h"

// Stands before a body's operator().
#define GLOWWORM_BODY GLOWWORM_HOST_DEVICE

namespace glowworm::cuda {

#ifdef __CUDACC__
inline constexpr int kThreadsPerBlock = 256;
// At least, on a multiprocessor at once. Without it nvcc 13 aims for five on sm_100 and spills registers of
// splines.
inline constexpr int kBlocks = 2;

template <typename Body>
__global__ void __launch_bounds__(kThreadsPerBlock, kBlocks) RunBody(int64_t count, Body body) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * kThreadsPerBlock + threadIdx.x;
  if (i < count) body(i);
}
#endif

// Puts body(i), i = 0 .. count-1, into the queue. REQUIRES: count < 2^39; what the body points to stays until
// the work is done (forever, if it is captured into a graph).
template <typename Body>
void Launch(Queue* queue, int64_t count, const Body& body) {
  if (!queue->running() || count == 0) return;
#ifdef __CUDACC__
  const auto blocks = static_cast<unsigned>((count + kThreadsPerBlock - 1) / kThreadsPerBlock);
  RunBody<<<blocks, kThreadsPerBlock, 0, queue->stream>>>(count, body);
#else
  fake_cuda::Launch(queue->stream, count, body);
#endif
  queue->Note(cudaGetLastError());
}

}  // namespace glowworm::cuda

#endif  // GLOWWORM_MODEL_CUDA_LAUNCH_H_
