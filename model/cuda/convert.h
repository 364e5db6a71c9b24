// ConvertNumbers: from one number type to another. Tested by tests/model/cuda/executor_test.cc.

#ifndef GLOWWORM_MODEL_CUDA_CONVERT_H_
#define GLOWWORM_MODEL_CUDA_CONVERT_H_

#include <cstdint>

#include "model/cuda/queue.h"

namespace glowworm::cuda {

// to_i = from_i for n numbers, rounded to nearest. REQUIRES: buffers of an Arena, or as padded as those.
template <typename From, typename To>
void ConvertNumbers(Queue* queue, int64_t n, const From* from, To* to);

}  // namespace glowworm::cuda

#endif  // GLOWWORM_MODEL_CUDA_CONVERT_H_
