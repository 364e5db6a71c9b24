// Implements model/cpu/element_map.h.

#include "model/cpu/element_map.h"

#include <algorithm>

#include "model/cpu/elementwise.h"
#include "model/cpu/scale_map.h"
#include "model/cpu/spline.h"

namespace glowworm {

template <typename T>
int64_t ElementMap<T>::num_parameters() const {
  if (std::holds_alternative<AffineTransform>(transform_)) return 2;
  if (const auto* spline = std::get_if<SplineTransform>(&transform_)) return 3 * spline->bins - 1;
  return 1;
}

template <typename T>
void ElementMap<T>::Run(bool forward, int64_t n, const Parameters<T>& parameters, T* x, T* log_derivative,
                        Arena* arena) const {
  if (const auto* affine = std::get_if<AffineTransform>(&transform_)) {
    RunAffine(*affine, forward, n, parameters, x, log_derivative, arena);
  } else if (const auto* spline = std::get_if<SplineTransform>(&transform_)) {
    RunSpline(*spline, forward, n, parameters, x, log_derivative, arena);
  } else {
    const int64_t padded = RoundUpToLane(n);
    const ConstLanes<T> shift(parameters.at(0, 0), padded);
    Lanes<T> b(x, padded);
    if (forward) {
      b += shift;
    } else {
      b -= shift;
    }
  }
}

template <typename T>
void ElementMap<T>::RunAffine(const AffineTransform& affine, bool forward, int64_t n,
                              const Parameters<T>& parameters, T* x, T* log_derivative, Arena* arena) const {
  const Arena::Mark mark = arena->mark();
  const int64_t padded = RoundUpToLane(n);
  T* log_scale = log_derivative != nullptr ? log_derivative : arena->Take<T>(n);
  T* scale = parameters.at(0, 1);
  MapScale(affine, padded, scale, scale, log_scale);
  Lanes<T> b(x, padded);
  const ConstLanes<T> t(parameters.at(0, 0), padded), s(scale, padded);
  const bool scale_first = affine.order == AffineOrder::kScaleThenShift;
  if (forward && scale_first) {
    b = s * b + t;
  } else if (forward) {
    b = (b + t) * s;
  } else if (scale_first) {
    b = (b - t) / s;
  } else {
    b = b / s - t;
  }
  if (!forward && log_derivative != nullptr) Lanes<T>(log_scale, padded) *= T(-1);
  arena->Release(mark);
}

template <typename T>
void ElementMap<T>::RunSpline(const SplineTransform& spline, bool forward, int64_t n,
                              const Parameters<T>& parameters, T* x, T* log_derivative, Arena* arena) const {
  const Arena::Mark mark = arena->mark();
  const SplineKnots knots = TakeKnots(spline.bins, arena);
  alignas(64) double value[kLane];
  alignas(64) double log_d[kLane];
  for (int64_t begin = 0; begin < n; begin += kLane) {
    const Parameters<T> raw = {parameters.at(begin, 0), parameters.per_number, parameters.per_parameter};
    MakeKnots(spline, raw, std::min(kLane, n - begin), knots);
    std::copy_n(x + begin, kLane, value);
    if (forward) {
      EvaluateSpline(spline, knots, value, value, log_d);
    } else {
      InvertSpline(spline, knots, value, value, log_derivative != nullptr ? log_d : nullptr);
    }
    for (int64_t i = 0; i < kLane; ++i) x[begin + i] = static_cast<T>(value[i]);
    if (log_derivative == nullptr) continue;
    for (int64_t i = 0; i < kLane; ++i) log_derivative[begin + i] = static_cast<T>(log_d[i]);
  }
  arena->Release(mark);
}

template class ElementMap<float>;
template class ElementMap<double>;

}  // namespace glowworm
