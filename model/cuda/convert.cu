// Implements model/cuda/convert.h.

#include "model/cuda/convert.h"

#include "model/cuda/launch.h"
#include "model/cuda/pack.h"

namespace glowworm::cuda {
namespace {

// Four numbers a thread: one pack of float32, two of float64.
template <typename From, typename To>
struct Convert {
  static constexpr int kNumbers = 4;
  const From* from;  // (n)
  To* to;            // (n)

  GLOWWORM_BODY void operator()(int64_t i) const {
    From in[kNumbers];
    for (int j = 0; j < kNumbers; j += Pack<From>::kSize) {
      const Pack<From> pack = LoadPack(from, (i * kNumbers + j) / Pack<From>::kSize);
      for (int k = 0; k < Pack<From>::kSize; ++k) in[j + k] = pack.v[k];
    }
    for (int j = 0; j < kNumbers; j += Pack<To>::kSize) {
      Pack<To> pack;
      for (int k = 0; k < Pack<To>::kSize; ++k) pack.v[k] = static_cast<To>(in[j + k]);
      StorePack(to, (i * kNumbers + j) / Pack<To>::kSize, pack);
    }
  }
};

}  // namespace

template <typename From, typename To>
void ConvertNumbers(Queue* queue, int64_t n, const From* from, To* to) {
  using Body = Convert<From, To>;
  Launch(queue, (n + Body::kNumbers - 1) / Body::kNumbers, Body{from, to});
}

template void ConvertNumbers(Queue*, int64_t, const double*, float*);
template void ConvertNumbers(Queue*, int64_t, const float*, double*);

}  // namespace glowworm::cuda
