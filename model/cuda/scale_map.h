// The maps from an affine transform's raw scale r to its scale s and log s, of one number. Only entry:
// ScaleOf::operator(). The formulas stand in proto/glowworm/v1/flow_spec.proto. Twin: model/cpu/scale_map.h.
// Tested by tests/model/cuda/scale_map_test.cc.

#ifndef GLOWWORM_MODEL_CUDA_SCALE_MAP_H_
#define GLOWWORM_MODEL_CUDA_SCALE_MAP_H_

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "model/cuda/launch.h"
#include "model/flow_spec.h"

namespace glowworm::cuda {

template <typename T>
struct Scale {
  T value, log;
};

// log(1 + exp(x)), for any size of x; NaN stays NaN.
template <typename T>
GLOWWORM_BODY inline T Softplus(T x) {
  return std::max(x, T(0)) + std::log1p(std::exp(-std::abs(x)));
}

// Part of a kernel's body.
template <typename T>
class ScaleOf {
 public:
  explicit ScaleOf(const AffineTransform& transform)
      : map_(transform.scale_map),
        offset_(static_cast<T>(transform.offset)),
        epsilon_(static_cast<T>(transform.epsilon)),
        clamp_(static_cast<T>(transform.clamp)),
        most_(std::log(std::numeric_limits<T>::max())),
        least_(std::log(std::numeric_limits<T>::min())) {}

  // s = map(raw) and its logarithm, without the cancellation of log(map(raw)): for the sigmoid, log s =
  // -softplus(-a). A scale that leaves the type's normal range is 0 or Inf, so that the row shows as not
  // finite and not as a wrong number.
  GLOWWORM_BODY Scale<T> operator()(T raw) const {
    Scale<T> s = Mapped(raw);
    if (s.log > most_) s.value = std::numeric_limits<T>::infinity();
    if (s.log < least_) s.value = 0;
    return s;
  }

 private:
  GLOWWORM_BODY static Scale<T> FromLog(T log) { return {std::exp(log), log}; }

  GLOWWORM_BODY Scale<T> Mapped(T r) const {
    switch (map_) {
      case ScaleMap::kExp:
        return FromLog(r);
      case ScaleMap::kSigmoid: {
        const T a = -(r + offset_), s = 1 / (1 + std::exp(a));
        if (epsilon_ > 0) return {s + epsilon_, std::log(s + epsilon_)};
        return {s, -Softplus(a)};
      }
      case ScaleMap::kInverseSigmoid: {
        const T a = -(r + offset_);
        return {1 + std::exp(a), Softplus(a)};
      }
      case ScaleMap::kSoftplus: {
        const T unclamped = Softplus(r) + epsilon_;
        const T s = clamp_ > 0 ? std::min(unclamped, clamp_) : unclamped;
        // Far below zero softplus(r) is exp(r) to the last bit, and its logarithm must not see exp underflow.
        return {s, epsilon_ <= 0 && r < kSoftplusIsExp ? r : std::log(s)};
      }
      case ScaleMap::kTanhExp:
        return FromLog(clamp_ * std::tanh(r));
      case ScaleMap::kAtanExp:
        return FromLog(clamp_ * T(0.636) * std::atan(r / clamp_));
      case ScaleMap::kSoftclipExp:
        return FromLog(r / (1 + std::abs(r) / clamp_));
    }
    return {r, r};
  }

  // Below this, log softplus(r) = r - exp(r) / 2 + ... rounds to r.
  static constexpr T kSoftplusIsExp = std::is_same_v<T, float> ? T(-17) : T(-38);

  ScaleMap map_;
  T offset_, epsilon_, clamp_;
  T most_, least_;  // log s of what the type holds
};

}  // namespace glowworm::cuda

#endif  // GLOWWORM_MODEL_CUDA_SCALE_MAP_H_
