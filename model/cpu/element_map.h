// ElementMap<T>: the map that a coupling or an autoregressive layer applies to single numbers, with
// parameters that a network gave: affine, additive or rational-quadratic spline. Tested by
// tests/model/differential_test.cc and spline_test.cc.

#ifndef GLOWWORM_MODEL_CPU_ELEMENT_MAP_H_
#define GLOWWORM_MODEL_CPU_ELEMENT_MAP_H_

#include <cstdint>
#include <variant>

#include "model/cpu/arena.h"
#include "model/cpu/spline.h"
#include "model/flow_spec.h"

namespace glowworm {

// Immutable. All buffers are 64-byte aligned and padded to a multiple of 16, as Arena::Take gives them; x and
// log_derivative are (n). An affine or additive map's parameters have per_number 1 and are padded likewise.
template <typename T>
class ElementMap {
 public:
  using Transform = std::variant<AffineTransform, AdditiveTransform, SplineTransform>;
  explicit ElementMap(const Transform& transform) : transform_(transform) {}

  // P: the numbers that the network gives for each number mapped. [shift, raw scale], [shift] or [w | h | d].
  int64_t num_parameters() const;
  // Whether log_derivative is anything but 0.
  bool has_log_derivative() const { return !std::holds_alternative<AdditiveTransform>(transform_); }

  // x_i <- map_i(x_i); log_derivative_i = log of its derivative, left alone if that is 0 always; null
  // if not wanted. May overwrite the parameters.
  void Forward(int64_t n, const Parameters<T>& parameters, T* x, T* log_derivative, Arena* arena) const {
    Run(true, n, parameters, x, log_derivative, arena);
  }
  // x_i <- map_i^-1(x_i); log_derivative_i of the inverse.
  void Inverse(int64_t n, const Parameters<T>& parameters, T* x, T* log_derivative, Arena* arena) const {
    Run(false, n, parameters, x, log_derivative, arena);
  }

 private:
  void Run(bool forward, int64_t n, const Parameters<T>& parameters, T* x, T* log_derivative,
           Arena* arena) const;
  void RunAffine(const AffineTransform& affine, bool forward, int64_t n, const Parameters<T>& parameters,
                 T* x, T* log_derivative, Arena* arena) const;
  void RunSpline(const SplineTransform& spline, bool forward, int64_t n, const Parameters<T>& parameters,
                 T* x, T* log_derivative, Arena* arena) const;

  Transform transform_;
};

}  // namespace glowworm

#endif  // GLOWWORM_MODEL_CPU_ELEMENT_MAP_H_
