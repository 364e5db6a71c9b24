// Activate: a conditioner's activation of one number. Twin: model/cpu/activation.h. Tested by
// tests/model/cuda/conditioner_test.cc.

#ifndef GLOWWORM_MODEL_CUDA_ACTIVATION_H_
#define GLOWWORM_MODEL_CUDA_ACTIVATION_H_

#include <cmath>

#include "model/cuda/launch.h"
#include "model/flow_spec.h"

namespace glowworm::cuda {

// NaN stays NaN, whatever the kind.
template <typename T>
GLOWWORM_BODY inline T Activate(ActivationKind kind, T slope, T x) {
  const T zero = 0, one = 1;
  switch (kind) {
    case ActivationKind::kRelu:
      return x < zero ? zero : x;
    case ActivationKind::kLeakyRelu:
      return x < zero ? slope * x : x;
    case ActivationKind::kTanh:
      return std::tanh(x);
    case ActivationKind::kElu:
      return x < zero ? std::expm1(x) : x;
    case ActivationKind::kSilu:
      return x / (one + std::exp(-x));
    case ActivationKind::kGelu:
      return T(0.5) * x * (one + std::erf(x * T(0.70710678118654752440)));
    case ActivationKind::kSigmoid:
      return one / (one + std::exp(-x));
    case ActivationKind::kSoftplus:
      return (x < zero ? zero : x) + std::log1p(std::exp(x < zero ? x : -x));
  }
  return x;
}

}  // namespace glowworm::cuda

#endif  // GLOWWORM_MODEL_CUDA_ACTIVATION_H_
