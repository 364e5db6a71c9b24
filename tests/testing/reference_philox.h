// The random numbers of the gold standard: Philox4x32-10 and the normals made from it, written from their
// definition and apart from model/philox.h. Tested by tests/model/reference_test.cc.

#ifndef GLOWWORM_TESTS_TESTING_REFERENCE_PHILOX_H_
#define GLOWWORM_TESTS_TESTING_REFERENCE_PHILOX_H_

#include <array>
#include <cstdint>

namespace glowworm {

std::array<uint32_t, 4> ReferencePhilox(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);

// The standard normal that latent `d` of sample `index` uses.
double ReferenceNormal(uint64_t seed, uint64_t index, uint64_t d);

// The number in (0, 1] that draws the class of sample `index`.
double ReferenceClassUniform(uint64_t seed, uint64_t index);

}  // namespace glowworm

#endif  // GLOWWORM_TESTS_TESTING_REFERENCE_PHILOX_H_
