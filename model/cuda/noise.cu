// Implements model/cuda/noise.h.

#include "model/cuda/noise.h"

#include "model/cuda/launch.h"
#include "model/philox.h"

namespace glowworm::cuda {
namespace {

// One pair of normals of a row.
struct DrawPair {
  const uint64_t* seed;       // (rows)
  const uint64_t* index;      // (rows)
  const double* temperature;  // (rows)
  int64_t count;
  double* noise;  // (rows, count)

  GLOWWORM_BODY void operator()(int64_t i) const {
    const int64_t pairs = (count + 1) / 2;
    const int64_t row = i / pairs, block = i % pairs;
    const NormalPair pair = PhiloxNormalPair(seed[row], index[row], static_cast<uint64_t>(block));
    double* to = noise + row * count + 2 * block;
    to[0] = temperature[row] * pair.even;
    if (2 * block + 1 < count) to[1] = temperature[row] * pair.odd;
  }
};

}  // namespace

void FillNoise(Queue* queue, int64_t rows, int64_t count, const uint64_t* seed, const uint64_t* index,
               const double* temperature, double* noise) {
  Launch(queue, rows * ((count + 1) / 2), DrawPair{seed, index, temperature, count, noise});
}

}  // namespace glowworm::cuda
