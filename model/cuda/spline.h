// Monotone rational-quadratic splines (Durkan et al. 2019, arXiv:1906.04032) of one number, in float64
// whatever the tile's type. Entries: BinOfX and EvaluateSpline, BinOfY and InvertSpline, BinAt. Twin:
// model/cpu/spline.h. Tested by tests/model/cuda/spline_test.cc.
//
// Nothing is stored per bin: knots are found in passes over the raw numbers, of which a bin of the axis that
// is searched costs two exponentials, of the other axis one. Knot j is f times the sum of the exponentials
// before it and j times the least bin, in whichever pass, so both directions see the same knots.

#ifndef GLOWWORM_MODEL_CUDA_SPLINE_H_
#define GLOWWORM_MODEL_CUDA_SPLINE_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "model/cuda/launch.h"
#include "model/cuda/scale_map.h"
#include "model/flow_spec.h"

namespace glowworm::cuda {

// A bin's left knot, its size and the spline's derivatives at its two ends; 6 doubles, as fixed_spline.cu
// keeps them.
struct SplineBin {
  double x, y;
  double width, height;
  double d0, d1;
};

struct SplinePoint {
  double value, log_derivative;
};

// [w (K) | h (K) | d (K-1)], number j at data[j * stride].
template <typename T>
struct SplineNumbers {
  const T* data;
  int64_t stride;
  GLOWWORM_BODY double operator[](int64_t j) const { return static_cast<double>(data[j * stride]); }
};

// The bins of one axis.
template <typename T>
class SplineAxis {
 public:
  // raw: from the axis's first number on; least: its least bin, as a share of the whole.
  GLOWWORM_BODY SplineAxis(const SplineTransform& spline, SplineNumbers<T> raw, double least)
      : spline_(spline), raw_(raw), step_(2 * spline.tail_bound * least) {
    const double whole = 2 * spline.tail_bound, bins = static_cast<double>(spline.bins);
    total_ = whole * (1 - bins * least);
    most_ = Size(0);
    for (int64_t j = 1; j < spline.bins; ++j) most_ = std::max(most_, Size(j));
  }

  struct Bin {
    int64_t index;
    double left, size;
  };

  // The last bin whose left knot is not beyond `value`, or the first.
  GLOWWORM_BODY Bin Find(double value) const {
    double sum = 0;
    for (int64_t j = 0; j < spline_.bins; ++j) sum += Exponential(j);
    const double factor = total_ / sum;
    double before = 0, exponential = Exponential(0);
    Bin bin{0, -spline_.tail_bound, BinSize(exponential, factor)};
    for (int64_t j = 1; j < spline_.bins; ++j) {
      before += exponential;
      exponential = Exponential(j);
      const double knot = Knot(j, before, factor);
      if (!(value >= knot)) break;
      bin = {j, knot, BinSize(exponential, factor)};
    }
    return bin;
  }

  GLOWWORM_BODY Bin At(int64_t index) const {
    double sum = 0, before = 0, here = 0;
    for (int64_t j = 0; j < spline_.bins; ++j) {
      const double exponential = Exponential(j);
      if (j == index) {
        before = sum;
        here = exponential;
      }
      sum += exponential;
    }
    const double factor = total_ / sum;
    return {index, index == 0 ? -spline_.tail_bound : Knot(index, before, factor), BinSize(here, factor)};
  }

 private:
  // A bin narrower than this share of the whole counts as this wide, so that slopes and their squares stay
  // finite. It is far below the knots' rounding: no x lies in such a bin, but many y may, and their
  // log-derivative tells how thin it is.
  static constexpr double kLeastBin = 1e-140;
  static constexpr double kTwoOverLogOfThousandth = -0.2895296546021679;

  // The logarithm of a bin's size, but for what all bins share.
  GLOWWORM_BODY double Size(int64_t j) const {
    const double raw = raw_[j];
    if (spline_.parametrization == SplineParametrization::kSoftmax) return raw * spline_.width_height_scale;
    return raw / (1 + std::abs(raw * kTwoOverLogOfThousandth));
  }
  GLOWWORM_BODY double Exponential(int64_t j) const { return std::exp(Size(j) - most_); }

  GLOWWORM_BODY double BinSize(double exponential, double factor) const {
    return std::max(exponential * factor + step_, 2 * spline_.tail_bound * kLeastBin);
  }
  GLOWWORM_BODY double Knot(int64_t j, double before, double factor) const {
    const double from_left = before * factor + static_cast<double>(j) * step_;
    return std::min(from_left - spline_.tail_bound, spline_.tail_bound);
  }

  const SplineTransform& spline_;
  SplineNumbers<T> raw_;
  double total_, step_;  // the whole less the least bins; one least bin
  double most_;          // of the sizes
};

// The derivative at the knot left of bin `index`; at the outer knots it is 1.
template <typename T>
GLOWWORM_BODY inline double SplineDerivative(const SplineTransform& spline, SplineNumbers<T> numbers,
                                             int64_t index) {
  constexpr double kLogOfThousandth = -6.907755278982137;
  if (index == 0 || index == spline.bins) return 1;
  const double raw = numbers[2 * spline.bins + index - 1];
  if (spline.parametrization == SplineParametrization::kSoftclip) {
    return std::exp(raw / (1 + std::abs(raw / kLogOfThousandth)));
  }
  return std::max(Softplus(raw) + spline.min_derivative, std::numeric_limits<double>::min());  // 0 has no log
}

template <typename T>
GLOWWORM_BODY inline SplineAxis<T> SplineWidths(const SplineTransform& spline, SplineNumbers<T> numbers) {
  return {spline, numbers, spline.min_bin_width};
}
template <typename T>
GLOWWORM_BODY inline SplineAxis<T> SplineHeights(const SplineTransform& spline, SplineNumbers<T> numbers) {
  return {spline, {numbers.data + spline.bins * numbers.stride, numbers.stride}, spline.min_bin_height};
}

template <typename T>
GLOWWORM_BODY inline SplineBin MakeSplineBin(const SplineTransform& spline, SplineNumbers<T> numbers,
                                             const typename SplineAxis<T>::Bin& x,
                                             const typename SplineAxis<T>::Bin& y) {
  return {x.left,
          y.left,
          x.size,
          y.size,
          SplineDerivative(spline, numbers, x.index),
          SplineDerivative(spline, numbers, x.index + 1)};
}

// The bin that x, or y, lies in; the first or the last one for what lies outside.
template <typename T>
GLOWWORM_BODY inline SplineBin BinOfX(const SplineTransform& spline, SplineNumbers<T> numbers, double x) {
  const typename SplineAxis<T>::Bin bin = SplineWidths(spline, numbers).Find(x);
  return MakeSplineBin(spline, numbers, bin, SplineHeights(spline, numbers).At(bin.index));
}
template <typename T>
GLOWWORM_BODY inline SplineBin BinOfY(const SplineTransform& spline, SplineNumbers<T> numbers, double y) {
  const typename SplineAxis<T>::Bin bin = SplineHeights(spline, numbers).Find(y);
  return MakeSplineBin(spline, numbers, SplineWidths(spline, numbers).At(bin.index), bin);
}
// Bin number `index`.
template <typename T>
GLOWWORM_BODY inline SplineBin BinAt(const SplineTransform& spline, SplineNumbers<T> numbers, int64_t index) {
  return MakeSplineBin(spline, numbers, SplineWidths(spline, numbers).At(index),
                       SplineHeights(spline, numbers).At(index));
}

// log of the spline's derivative at the share t of a bin with slope s.
GLOWWORM_BODY inline double LogDerivativeInBin(const SplineBin& bin, double t, double s, double denominator) {
  const double u = 1 - t;
  return std::log(bin.d1 * t * t + 2 * s * t * u + bin.d0 * u * u) + 2 * std::log(s / denominator);
}

GLOWWORM_BODY inline double ClampedShare(double t) { return std::min(std::max(t, 0.0), 1.0); }

// y = spline(x) and the log of its derivative there (equations 4 and 5); outside +-tail_bound the identity
// and 0. bin: that of x.
GLOWWORM_BODY inline SplinePoint EvaluateSpline(double tail_bound, const SplineBin& bin, double x) {
  if (!(std::abs(x) < tail_bound)) return {x, 0};
  const double s = bin.height / bin.width;
  const double t = ClampedShare((x - bin.x) / bin.width);
  const double tu = t * (1 - t);
  const double denominator = s + (bin.d1 + bin.d0 - 2 * s) * tu;
  return {bin.y + bin.height * (s * t * t + bin.d0 * tu) / denominator,
          LogDerivativeInBin(bin, t, s, denominator)};
}

// x with spline(x) = y and the log of the inverse's derivative there (equations 6 to 8). bin: that of y.
GLOWWORM_BODY inline SplinePoint InvertSpline(double tail_bound, const SplineBin& bin, double y) {
  if (!(std::abs(y) < tail_bound)) return {y, 0};
  const double s = bin.height / bin.width;
  const double rise = ClampedShare((y - bin.y) / bin.height);
  // The share of the way from the nearer end of the bin, seen from there: a share close to 1 would be lost
  // where that end's derivative is small beside the other's.
  const bool from_right = rise > 0.5;
  const double climb = from_right ? 1 - rise : rise;
  const double start = from_right ? bin.d1 : bin.d0;
  // a q^2 + b q - s climb = 0, of whose two roots the one between 0 and 1 is taken in the form without a
  // difference; rounding may push the discriminant below 0, never its true value.
  const double bend = bin.d1 + bin.d0 - 2 * s;
  const double a = s - start + climb * bend;
  const double b = start - climb * bend;
  const double root = std::sqrt(std::max(b * b + 4 * a * s * climb, 0.0));
  const double q = ClampedShare(b >= 0 ? 2 * s * climb / (b + root) : (root - b) / (2 * a));
  const double t = from_right ? 1 - q : q;
  const double denominator = s + bend * (t * (1 - t));
  return {bin.x + t * bin.width, -LogDerivativeInBin(bin, t, s, denominator)};
}

}  // namespace glowworm::cuda

#endif  // GLOWWORM_MODEL_CUDA_SPLINE_H_
