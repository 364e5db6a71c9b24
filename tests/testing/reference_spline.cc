// See reference_spline.h. Tested by tests/model/reference_spline_test.cc.

#include "tests/testing/reference_spline.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>

namespace glowworm {
namespace {

using Real = long double;
using Reals = std::vector<Real>;

Reals Softmax(const Reals& raw) {
  const Real largest = *std::max_element(raw.begin(), raw.end());
  Reals out;
  Real sum = 0;
  for (Real v : raw) sum += out.emplace_back(std::exp(v - largest));
  for (Real& v : out) v /= sum;
  return out;
}

// Sizes of the bins along one axis; they sum to twice the tail bound.
Reals BinSizes(const SplineTransform& spline, const double* raw, double min_size) {
  const Real bins = static_cast<Real>(spline.bins);
  Reals scores(raw, raw + spline.bins);
  for (Real& v : scores) {
    if (spline.parametrization == SplineParametrization::kSoftclip)
      v /= 1 + std::fabs(2 * v / std::log(Real{1e-3}));
    else
      v *= spline.width_height_scale;
  }
  Reals sizes = Softmax(scores);
  for (Real& v : sizes) v = 2 * Real{spline.tail_bound} * (min_size + (1 - bins * min_size) * v);
  return sizes;
}

Real InnerDerivative(const SplineTransform& spline, Real raw) {
  if (spline.parametrization == SplineParametrization::kSoftclip)
    return std::exp(raw / (1 + std::fabs(raw / std::log(Real{1e-3}))));
  return spline.min_derivative + std::fmax(raw, Real{0}) + std::log1p(std::exp(-std::fabs(raw)));
}

Reals Knots(const Reals& sizes, double tail_bound) {
  Reals knots = {-Real{tail_bound}};
  for (Real size : sizes) knots.push_back(knots.back() + size);
  knots.back() = tail_bound;
  return knots;
}

struct Curve {
  Reals width, height;  // (K)
  Reals x, y;           // (K+1) knots
  Reals derivative;     // (K+1)
};

Curve CurveOf(const SplineTransform& spline, const std::vector<double>& raw) {
  const int64_t bins = spline.bins;
  if (static_cast<int64_t>(raw.size()) != 3 * bins - 1) std::abort();
  Curve curve;
  curve.width = BinSizes(spline, raw.data(), spline.min_bin_width);
  curve.height = BinSizes(spline, raw.data() + bins, spline.min_bin_height);
  curve.x = Knots(curve.width, spline.tail_bound);
  curve.y = Knots(curve.height, spline.tail_bound);
  curve.derivative.push_back(1);
  for (int64_t k = 0; k + 1 < bins; ++k)
    curve.derivative.push_back(InnerDerivative(spline, raw[2 * bins + k]));
  curve.derivative.push_back(1);
  return curve;
}

// The bin that `at` lies in: the last that starts at or before it.
size_t BinOf(const Reals& knots, Real at) {
  const auto above = std::upper_bound(knots.begin() + 1, knots.end() - 1, at);
  return static_cast<size_t>(above - knots.begin()) - 1;
}

// A place within a bin: `left` of the way from its start, `right` of the way from its end. Their sum is 1;
// the smaller is exact.
struct Place {
  Real left, right;
};

Place PlaceAt(const Reals& knots, const Reals& sizes, size_t bin, Real at) {
  const Real left = std::clamp((at - knots[bin]) / sizes[bin], Real{0}, Real{1});
  const Real right = std::clamp((knots[bin + 1] - at) / sizes[bin], Real{0}, Real{1});
  return left < right ? Place{left, 1 - left} : Place{1 - right, right};
}

// One bin in the paper's letters: s, delta_k, delta_{k+1}.
struct Bin {
  Real slope, start, end;

  // s + (delta_{k+1} + delta_k - 2 s) xi (1 - xi), without a difference.
  Real Denominator(Place at) const {
    return slope * (at.left * at.left + at.right * at.right) + (start + end) * at.left * at.right;
  }
  // How much of the bin's height lies below the curve's point, 0 to 1.
  Real Risen(Place at) const {
    return (slope * at.left * at.left + start * at.left * at.right) / Denominator(at);
  }
  Real LogDerivative(Place at) const {
    const Real numerator =
        end * at.left * at.left + 2 * slope * at.left * at.right + start * at.right * at.right;
    return 2 * std::log(slope) + std::log(numerator) - 2 * std::log(Denominator(at));
  }
};

Bin BinAt(const Curve& curve, size_t k) {
  return {curve.height[k] / curve.width[k], curve.derivative[k], curve.derivative[k + 1]};
}

// The place from the bin's start where the curve has risen by `risen`, by halving until no number is between.
Real Bisect(const Bin& bin, Real risen) {
  if (risen <= 0) return 0;
  Real low = 0, high = 1;
  for (;;) {
    const Real middle = low + (high - low) / 2;
    if (middle <= low || middle >= high) return middle;
    (bin.Risen({middle, 1 - middle}) < risen ? low : high) = middle;
  }
}

// Sought from the nearer end, since that is where the place is wanted exactly.
Place PlaceRisen(const Bin& bin, Place risen) {
  if (bin.Risen({Real{0.5}, Real{0.5}}) >= risen.left) {
    const Real left = Bisect(bin, risen.left);
    return {left, 1 - left};
  }
  const Real right = Bisect({bin.slope, bin.end, bin.start}, risen.right);  // the bin seen from its end
  return {1 - right, right};
}

std::vector<double> Rounded(const Reals& values) { return {values.begin(), values.end()}; }

}  // namespace

ReferencePoint ForwardPoint(const SplineTransform& spline, const std::vector<double>& raw, double x) {
  if (!(std::fabs(x) < spline.tail_bound)) return {x, 0};
  const Curve curve = CurveOf(spline, raw);
  const size_t k = BinOf(curve.x, x);
  const Bin bin = BinAt(curve, k);
  const Place at = PlaceAt(curve.x, curve.width, k, x);
  const Real y = curve.y[k] + curve.height[k] * bin.Risen(at);
  return {static_cast<double>(y), static_cast<double>(bin.LogDerivative(at))};
}

ReferencePoint InversePoint(const SplineTransform& spline, const std::vector<double>& raw, double y) {
  if (!(std::fabs(y) < spline.tail_bound)) return {y, 0};
  const Curve curve = CurveOf(spline, raw);
  const size_t k = BinOf(curve.y, y);
  const Bin bin = BinAt(curve, k);
  const Place at = PlaceRisen(bin, PlaceAt(curve.y, curve.height, k, y));
  const Real x =
      at.left < at.right ? curve.x[k] + curve.width[k] * at.left : curve.x[k + 1] - curve.width[k] * at.right;
  return {static_cast<double>(x), static_cast<double>(-bin.LogDerivative(at))};
}

ReferenceKnots SplineKnots(const SplineTransform& spline, const std::vector<double>& raw) {
  const Curve curve = CurveOf(spline, raw);
  return {Rounded(curve.x), Rounded(curve.y), Rounded(curve.derivative)};
}

}  // namespace glowworm
