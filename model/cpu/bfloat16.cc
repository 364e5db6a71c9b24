// Implements model/cpu/bfloat16.h.

#include "model/cpu/bfloat16.h"

#include <immintrin.h>

#include "dnnl.hpp"

namespace glowworm {
namespace {

constexpr int64_t kMinAmxRows = 16;

// Values of cpu_isa are sets of bits.
bool Has(dnnl::cpu_isa isa) {
  const auto bits = static_cast<unsigned>(isa);
  return (static_cast<unsigned>(dnnl::get_effective_cpu_isa()) & bits) == bits;
}

}  // namespace

bool HasBfloat16Products() { return Has(dnnl::cpu_isa::avx512_core_bf16); }

int64_t MinBfloat16Call() { return Has(dnnl::cpu_isa::avx512_core_amx) ? kMinAmxRows : 1; }

__attribute__((target("avx512f,avx512bf16"))) void RoundToBfloat16(int64_t n, const float* from,
                                                                   uint16_t* to) {
  for (int64_t i = 0; i < n; i += 16) {
    const __m256bh rounded = _mm512_cvtneps_pbh(_mm512_loadu_ps(from + i));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(to + i), (__m256i)rounded);
  }
}

}  // namespace glowworm
