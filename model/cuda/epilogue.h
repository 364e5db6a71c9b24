// What follows a product: y = activation(y + bias), in place. Tested by tests/model/cuda/conditioner_test.cc
// and pointwise_test.cc.

#ifndef GLOWWORM_MODEL_CUDA_EPILOGUE_H_
#define GLOWWORM_MODEL_CUDA_EPILOGUE_H_

#include <cstdint>
#include <optional>

#include "model/cuda/constants.h"
#include "model/cuda/queue.h"
#include "model/flow_spec.h"

namespace glowworm::cuda {

// y: (n, width), in a buffer of an Arena; bias: (width), or empty. Launches nothing where there is neither.
// REQUIRES: fewer than 2^31 numbers.
template <typename T>
void AddBias(Queue* queue, int64_t n, int64_t width, const Constant<T>& bias,
             const std::optional<Activation>& activation, T* y);

}  // namespace glowworm::cuda

#endif  // GLOWWORM_MODEL_CUDA_EPILOGUE_H_
