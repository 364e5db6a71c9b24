// Standardised noise drawn on the device: the normals of model/philox.h, its words bit for bit, the normals
// within 4 ulp of the host's (whose math library rounds otherwise). Tested by tests/model/cuda/noise_test.cc.

#ifndef GLOWWORM_MODEL_CUDA_NOISE_H_
#define GLOWWORM_MODEL_CUDA_NOISE_H_

#include <cstdint>

#include "model/cuda/queue.h"

namespace glowworm::cuda {

// noise(r, d) = temperature[r] * (normal d of sample index[r] of seed[r]). All on the device.
void FillNoise(Queue* queue, int64_t rows, int64_t count,
               const uint64_t* seed,       // (rows)
               const uint64_t* index,      // (rows)
               const double* temperature,  // (rows)
               double* noise);             // (rows, count)

}  // namespace glowworm::cuda

#endif  // GLOWWORM_MODEL_CUDA_NOISE_H_
