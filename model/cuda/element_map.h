// ElementMap<T>: the map that a coupling or an autoregressive layer applies to single numbers, with
// parameters that a network gave: affine, additive or rational-quadratic spline. One kernel reads a number
// where it lies in the tile, maps it and writes it back. Twin: model/cpu/element_map.h. Tested by
// tests/model/cuda/coupling_test.cc.

#ifndef GLOWWORM_MODEL_CUDA_ELEMENT_MAP_H_
#define GLOWWORM_MODEL_CUDA_ELEMENT_MAP_H_

#include <cstdint>
#include <variant>

#include "model/cuda/queue.h"
#include "model/flow_spec.h"

namespace glowworm::cuda {

// What to map, on the device: `count` numbers of each of `groups` groups (rows, or a row's positions).
// REQUIRES: fewer than 2^31 of them.
template <typename T>
struct MappedNumbers {
  int64_t groups, count;
  // Number j of group g is x[g * x_stride + channel[j]].
  T* x;
  int64_t x_stride;
  const int32_t* channel;  // (count)
  // Its parameter p is parameters[g * group_stride + j * number_stride + p * parameter_stride].
  const T* parameters;
  int64_t group_stride, number_stride, parameter_stride;
  // The log of its map's derivative goes to log_derivative[g * log_stride + j]; null if not wanted.
  T* log_derivative;
  int64_t log_stride;
};

// Immutable.
template <typename T>
class ElementMap {
 public:
  using Transform = std::variant<AffineTransform, AdditiveTransform, SplineTransform>;
  explicit ElementMap(const Transform& transform) : transform_(transform) {}

  // P: the numbers that the network gives for each number mapped. [shift, raw scale], [shift] or [w | h | d].
  int64_t num_parameters() const;
  // Whether log_derivative is anything but 0.
  bool has_log_derivative() const { return !std::holds_alternative<AdditiveTransform>(transform_); }

  // x <- map(x), in place; log_derivative is left alone if it is 0 always.
  void Forward(Queue* queue, const MappedNumbers<T>& numbers) const { Run(queue, true, numbers); }
  // x <- map^-1(x); log_derivative of the inverse.
  void Inverse(Queue* queue, const MappedNumbers<T>& numbers) const { Run(queue, false, numbers); }

 private:
  void Run(Queue* queue, bool forward, const MappedNumbers<T>& numbers) const;

  Transform transform_;
};

}  // namespace glowworm::cuda

#endif  // GLOWWORM_MODEL_CUDA_ELEMENT_MAP_H_
