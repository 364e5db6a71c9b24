// The executor that computes on graphics processors: float32 or float64, each in true precision. Only entry:
// CreateCudaExecutor. Twin: model/cpu/cpu_executor.h. Tested by tests/model/cuda/executor_test.cc, and by
// golden_test and its like on the fake and on real devices.
//
// A call takes a worker (waiting for one if all are out), writes its rows into pinned memory, copies them to
// the worker's device, runs the graph of the next size on the ladder and copies the answers back. Workers are
// spread over the devices; two on one device overlap copies with computing.

#ifndef GLOWWORM_MODEL_CUDA_CUDA_EXECUTOR_H_
#define GLOWWORM_MODEL_CUDA_CUDA_EXECUTOR_H_

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "model/cuda/plugin.h"
#include "model/executor.h"
#include "model/plan.h"

namespace glowworm::cuda {

// Sizes that graphs are made for: a call's rows are filled up with zeros to the next.
inline constexpr int64_t kRowLadder[] = {1, 8, 32, 128, 256, 512, 1024};

// Uploads the weights, makes the workers and their graphs; blocks for that. ResourceExhausted if a device's
// memory does not hold it, Unimplemented if kernels cannot count its buffers, Internal if a device fails.
// REQUIRES: options.workers >= 1, every ordinal a device.
absl::StatusOr<std::unique_ptr<const Executor>> CreateCudaExecutor(const Plan& plan,
                                                                   const CudaPluginOptions& options);

}  // namespace glowworm::cuda

#endif  // GLOWWORM_MODEL_CUDA_CUDA_EXECUTOR_H_
