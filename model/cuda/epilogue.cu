// Implements model/cuda/epilogue.h.

#include "model/cuda/epilogue.h"

#include "model/cuda/activation.h"
#include "model/cuda/launch.h"
#include "model/cuda/pack.h"

namespace glowworm::cuda {
namespace {

// One pack of y a thread.
template <typename T>
struct BiasAndActivate {
  T* y;           // (n, width)
  const T* bias;  // (width); null: none
  uint32_t width;
  ActivationKind kind;
  bool activates;
  T slope;

  GLOWWORM_BODY void operator()(int64_t i) const {
    Pack<T> pack = LoadPack(y, i);
    uint32_t at = static_cast<uint32_t>(i * Pack<T>::kSize) % width;
    for (int j = 0; j < Pack<T>::kSize; ++j) {
      if (bias != nullptr) pack.v[j] += bias[at];
      if (activates) pack.v[j] = Activate(kind, slope, pack.v[j]);
      if (++at == width) at = 0;
    }
    StorePack(y, i, pack);
  }
};

}  // namespace

template <typename T>
void AddBias(Queue* queue, int64_t n, int64_t width, const Constant<T>& bias,
             const std::optional<Activation>& activation, T* y) {
  if (bias.size == 0 && !activation) return;
  const Activation a = activation.value_or(Activation{});
  Launch(queue, Packs<T>(n * width),
         BiasAndActivate<T>{y, bias.on(*queue), static_cast<uint32_t>(width), a.kind, activation.has_value(),
                            static_cast<T>(a.slope)});
}

template void AddBias(Queue*, int64_t, int64_t, const Constant<float>&, const std::optional<Activation>&,
                      float*);
template void AddBias(Queue*, int64_t, int64_t, const Constant<double>&, const std::optional<Activation>&,
                      double*);

}  // namespace glowworm::cuda
