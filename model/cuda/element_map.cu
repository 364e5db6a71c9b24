// Implements model/cuda/element_map.h. One number a thread.

#include "model/cuda/element_map.h"

#include "model/cuda/launch.h"
#include "model/cuda/scale_map.h"
#include "model/cuda/spline.h"

namespace glowworm::cuda {
namespace {

// Where number i of MappedNumbers and what belongs to it lie.
template <typename T>
struct Place {
  T* x;                // one number
  const T* parameter;  // the first of its P
  T* log_derivative;   // one number; null if not wanted

  GLOWWORM_BODY Place(const MappedNumbers<T>& n, int64_t i) {
    const auto count = static_cast<uint32_t>(n.count);
    const uint32_t group = static_cast<uint32_t>(i) / count, j = static_cast<uint32_t>(i) % count;
    x = n.x + group * n.x_stride + n.channel[j];
    parameter = n.parameters + group * n.group_stride + j * n.number_stride;
    log_derivative = n.log_derivative == nullptr ? nullptr : n.log_derivative + group * n.log_stride + j;
  }
};

template <typename T>
struct AffineMapForward {
  MappedNumbers<T> numbers;
  ScaleOf<T> scale_of;
  bool scale_first;

  GLOWWORM_BODY void operator()(int64_t i) const {
    const Place<T> at(numbers, i);
    const T shift = *at.parameter, b = *at.x;
    const Scale<T> s = scale_of(at.parameter[numbers.parameter_stride]);
    *at.x = scale_first ? s.value * b + shift : (b + shift) * s.value;
    if (at.log_derivative != nullptr) *at.log_derivative = s.log;
  }
};

template <typename T>
struct AffineMapInverse {
  MappedNumbers<T> numbers;
  ScaleOf<T> scale_of;
  bool scale_first;

  GLOWWORM_BODY void operator()(int64_t i) const {
    const Place<T> at(numbers, i);
    const T shift = *at.parameter, b = *at.x;
    const Scale<T> s = scale_of(at.parameter[numbers.parameter_stride]);
    *at.x = scale_first ? (b - shift) / s.value : b / s.value - shift;
    if (at.log_derivative != nullptr) *at.log_derivative = -s.log;
  }
};

template <typename T>
struct Shift {
  MappedNumbers<T> numbers;
  T sign;

  GLOWWORM_BODY void operator()(int64_t i) const {
    const Place<T> at(numbers, i);
    *at.x += sign * *at.parameter;
  }
};

template <typename T>
struct SplineMapForward {
  MappedNumbers<T> numbers;
  SplineTransform spline;

  GLOWWORM_BODY void operator()(int64_t i) const {
    const Place<T> at(numbers, i);
    const auto x = static_cast<double>(*at.x);
    const SplineBin bin = BinOfX(spline, SplineNumbers<T>{at.parameter, numbers.parameter_stride}, x);
    const SplinePoint point = EvaluateSpline(spline.tail_bound, bin, x);
    *at.x = static_cast<T>(point.value);
    if (at.log_derivative != nullptr) *at.log_derivative = static_cast<T>(point.log_derivative);
  }
};

template <typename T>
struct SplineMapInverse {
  MappedNumbers<T> numbers;
  SplineTransform spline;

  GLOWWORM_BODY void operator()(int64_t i) const {
    const Place<T> at(numbers, i);
    const auto y = static_cast<double>(*at.x);
    const SplineBin bin = BinOfY(spline, SplineNumbers<T>{at.parameter, numbers.parameter_stride}, y);
    const SplinePoint point = InvertSpline(spline.tail_bound, bin, y);
    *at.x = static_cast<T>(point.value);
    if (at.log_derivative != nullptr) *at.log_derivative = static_cast<T>(point.log_derivative);
  }
};

}  // namespace

template <typename T>
int64_t ElementMap<T>::num_parameters() const {
  if (std::holds_alternative<AffineTransform>(transform_)) return 2;
  if (const auto* spline = std::get_if<SplineTransform>(&transform_)) return 3 * spline->bins - 1;
  return 1;
}

template <typename T>
void ElementMap<T>::Run(Queue* queue, bool forward, const MappedNumbers<T>& numbers) const {
  const int64_t n = numbers.groups * numbers.count;
  if (const auto* affine = std::get_if<AffineTransform>(&transform_)) {
    const ScaleOf<T> scale_of(*affine);
    const bool scale_first = affine->order == AffineOrder::kScaleThenShift;
    if (forward) {
      Launch(queue, n, AffineMapForward<T>{numbers, scale_of, scale_first});
    } else {
      Launch(queue, n, AffineMapInverse<T>{numbers, scale_of, scale_first});
    }
  } else if (const auto* spline = std::get_if<SplineTransform>(&transform_)) {
    if (forward) {
      Launch(queue, n, SplineMapForward<T>{numbers, *spline});
    } else {
      Launch(queue, n, SplineMapInverse<T>{numbers, *spline});
    }
  } else {
    Launch(queue, n, Shift<T>{numbers, forward ? T(1) : T(-1)});
  }
}

template class ElementMap<float>;
template class ElementMap<double>;

}  // namespace glowworm::cuda
