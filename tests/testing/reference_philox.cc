// See reference_philox.h. Tested by tests/model/reference_test.cc.

#include "tests/testing/reference_philox.h"

#include <cmath>
#include <limits>
#include <utility>

namespace glowworm {
namespace {

// The two uniforms of one block: first in (0, 1], second in [0, 1).
std::pair<double, double> Uniforms(uint64_t seed, uint64_t index, uint64_t block) {
  const auto low = [](uint64_t v) { return static_cast<uint32_t>(v & 0xFFFFFFFFu); };
  const auto high = [](uint64_t v) { return static_cast<uint32_t>(v >> 32); };
  const auto w = ReferencePhilox({low(block), high(block), low(index), high(index)}, {low(seed), high(seed)});
  const uint64_t a = (w[0] | static_cast<uint64_t>(w[1]) << 32) >> 11;
  const uint64_t c = (w[2] | static_cast<uint64_t>(w[3]) << 32) >> 11;
  return {std::ldexp(static_cast<double>(a + 1), -53), std::ldexp(static_cast<double>(c), -53)};
}

}  // namespace

std::array<uint32_t, 4> ReferencePhilox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  for (int round = 0; round < 10; ++round) {
    const uint64_t p0 = uint64_t{0xD2511F53} * counter[0];
    const uint64_t p1 = uint64_t{0xCD9E8D57} * counter[2];
    counter = {static_cast<uint32_t>(p1 >> 32) ^ counter[1] ^ key[0], static_cast<uint32_t>(p1),
               static_cast<uint32_t>(p0 >> 32) ^ counter[3] ^ key[1], static_cast<uint32_t>(p0)};
    key[0] += 0x9E3779B9;
    key[1] += 0xBB67AE85;
  }
  return counter;
}

double ReferenceNormal(uint64_t seed, uint64_t index, uint64_t d) {
  const double pi = std::acos(-1.0);
  const auto [u1, u2] = Uniforms(seed, index, d / 2);
  const double radius = std::sqrt(-2 * std::log(u1));
  return radius * (d % 2 == 0 ? std::cos(2 * pi * u2) : std::sin(2 * pi * u2));
}

double ReferenceClassUniform(uint64_t seed, uint64_t index) {
  return Uniforms(seed, index, std::numeric_limits<uint64_t>::max()).first;
}

}  // namespace glowworm
