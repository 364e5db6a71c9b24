// Implements model/cpu/activation.h.

#include "model/cpu/activation.h"

#include <cmath>

#include "model/cpu/elementwise.h"

namespace glowworm {
namespace {

template <typename T>
void ActivateLanes(const Activation& activation, int64_t n, const T* from, T* to) {
  const ConstLanes<T> x(from, n);
  Lanes<T> y(to, n);
  switch (activation.kind) {
    case ActivationKind::kRelu:
      y = x.max(T(0));
      return;
    case ActivationKind::kLeakyRelu:
      y = x.max(T(0)) + x.min(T(0)) * static_cast<T>(activation.slope);
      return;
    case ActivationKind::kTanh:
      y = x.tanh();
      return;
    case ActivationKind::kElu:
      y = x.max(T(0)) + x.min(T(0)).expm1();
      return;
    case ActivationKind::kSilu:
      y = x / (1 + (-x).exp());
      return;
    case ActivationKind::kGelu: {
      constexpr T kInverseSqrt2 = T(0.70710678118654752440);
      y = x.unaryExpr([](T v) { return T(0.5) * v * (1 + std::erf(v * kInverseSqrt2)); });
      return;
    }
    case ActivationKind::kSigmoid:
      y = (1 + (-x).exp()).inverse();
      return;
    case ActivationKind::kSoftplus:
      y = x.max(T(0)) + (-x.abs()).exp().log1p();
      return;
  }
}

}  // namespace

void Activate(const Activation& activation, int64_t n, const float* x, float* y) {
  ActivateLanes(activation, n, x, y);
}
void Activate(const Activation& activation, int64_t n, const double* x, double* y) {
  ActivateLanes(activation, n, x, y);
}

}  // namespace glowworm
