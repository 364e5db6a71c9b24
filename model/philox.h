// Normals as a pure function of (seed, sample index, latent index): Philox4x32-10 (Salmon et al. 2011,
// "Parallel random numbers: as easy as 1, 2, 3") and Box-Muller in float64, so that any split of a request
// draws the same numbers, on the host and on a device. Tested by tests/model/philox_test.cc and
// tests/model/cuda/noise_test.cc.

#ifndef GLOWWORM_MODEL_PHILOX_H_
#define GLOWWORM_MODEL_PHILOX_H_

#include <array>
#include <cmath>
#include <cstdint>

#include "model/host_device.h"

namespace glowworm {

GLOWWORM_HOST_DEVICE inline std::array<uint32_t, 4> Philox4x32(std::array<uint32_t, 4> counter,
                                                               std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    if (round > 0) {
      key[0] += 0x9E3779B9u;
      key[1] += 0xBB67AE85u;
    }
    const uint64_t p0 = uint64_t{0xD2511F53u} * counter[0];
    const uint64_t p1 = uint64_t{0xCD9E8D57u} * counter[2];
    counter = {static_cast<uint32_t>(p1 >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(p1),
               static_cast<uint32_t>(p0 >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(p0)};
  }
  return counter;
}

// Two uniforms of block `block` of sample `index`: u1 in (0, 1], u2 in [0, 1), multiples of 2^-53.
struct UniformPair {
  double u1, u2;
};
GLOWWORM_HOST_DEVICE inline UniformPair PhiloxUniforms(uint64_t seed, uint64_t index, uint64_t block) {
  const auto low = [](uint64_t v) { return static_cast<uint32_t>(v); };
  const auto high = [](uint64_t v) { return static_cast<uint32_t>(v >> 32); };
  const std::array<uint32_t, 4> w =
      Philox4x32({low(block), high(block), low(index), high(index)}, {low(seed), high(seed)});
  constexpr double kUlp = 1.0 / 9007199254740992.0;  // 2^-53
  const uint64_t a = (w[0] | uint64_t{w[1]} << 32) >> 11;
  const uint64_t c = (w[2] | uint64_t{w[3]} << 32) >> 11;
  return {static_cast<double>(a + 1) * kUlp, static_cast<double>(c) * kUlp};
}

// The normals 2 block and 2 block + 1 of sample `index`.
struct NormalPair {
  double even, odd;
};
GLOWWORM_HOST_DEVICE inline NormalPair PhiloxNormalPair(uint64_t seed, uint64_t index, uint64_t block) {
  constexpr double kTwoPi = 6.283185307179586476925286766559;
  const UniformPair u = PhiloxUniforms(seed, index, block);
  const double radius = std::sqrt(-2.0 * std::log(u.u1));
  return {radius * std::cos(kTwoPi * u.u2), radius * std::sin(kTwoPi * u.u2)};
}

// noise[d] = scale * (normal d of sample `index`), d = 0 .. count-1.
inline void PhiloxNormals(uint64_t seed, uint64_t index, double scale, int64_t count, double* noise) {
  for (int64_t d = 0; d < count; d += 2) {
    const NormalPair pair = PhiloxNormalPair(seed, index, static_cast<uint64_t>(d) / 2);
    noise[d] = scale * pair.even;
    if (d + 1 < count) noise[d + 1] = scale * pair.odd;
  }
}

// The block that draws a mixture's component.
inline constexpr uint64_t kClassBlock = ~uint64_t{0};

}  // namespace glowworm

#endif  // GLOWWORM_MODEL_PHILOX_H_
