// bfloat16 for conditioner networks: whether this processor multiplies in it, and rounding to it. The
// products themselves are Product<float>'s. Tested by tests/model/bfloat16_test.cc.

#ifndef GLOWWORM_MODEL_CPU_BFLOAT16_H_
#define GLOWWORM_MODEL_CPU_BFLOAT16_H_

#include <cstdint>

namespace glowworm {

// Whether oneDNN has instructions for bfloat16 here, AVX512-BF16 or AMX; DNNL_MAX_CPU_ISA may hide them.
bool HasBfloat16Products();

// Positions that a bfloat16 product must have at least, so that every size picks one implementation: AMX's is
// not chosen for fewer than 16.
int64_t MinBfloat16Call();

// to[i] = the bfloat16 nearest to from[i], ties to even; denormals become 0. Reads and writes up to the next
// multiple of 16. REQUIRES: HasBfloat16Products(), from is padded to that (as Arena's memory is), and to too.
void RoundToBfloat16(int64_t n, const float* from, uint16_t* to);

}  // namespace glowworm

#endif  // GLOWWORM_MODEL_CPU_BFLOAT16_H_
