// Implements model/cpu/spline.h.

#include "model/cpu/spline.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "model/cpu/elementwise.h"

namespace glowworm {
namespace {

using Group = Eigen::Array<double, kLane, 1>;
using GroupRef = Eigen::Map<Group, Eigen::Aligned64>;
using ConstGroupRef = Eigen::Map<const Group, Eigen::Aligned64>;

GroupRef At(double* group) { return GroupRef(group); }

// A bin narrower than this share of the whole counts as this wide, so that slopes and their squares stay
// finite. It is far below the knots' rounding: no x lies in such a bin, but many y may, and their
// log-derivative tells how thin it is.
constexpr double kLeastBin = 1e-140;
const double kLogOfThousandth = std::log(1e-3);

// Parameters first .. first + n - 1 of 16 numbers -> (n, 16).
template <typename T>
void Gather(const Parameters<T>& raw, int64_t first, int64_t n, int64_t count, double* to) {
  for (int64_t i = 0; i < kLane; ++i) {
    const T* from = raw.at(std::min(i, count - 1), first);
    for (int64_t j = 0; j < n; ++j) to[j * kLane + i] = from[j * raw.per_parameter];
  }
}

// size holds the raw numbers (K, 16) and then the bins' sizes; knot (K+1, 16) what lies between them.
void MakeBins(const SplineTransform& spline, double least, double* size, double* knot) {
  const int64_t k = spline.bins;
  Lanes<double> all(size, k * kLane);
  if (spline.parametrization == SplineParametrization::kSoftmax) {
    all = all * spline.width_height_scale;
  } else {
    all = all / (1 + (all * (2 / kLogOfThousandth)).abs());
  }
  Group most = ConstGroupRef(size);
  for (int64_t j = 1; j < k; ++j) most = most.max(ConstGroupRef(size + j * kLane));
  for (int64_t j = 0; j < k; ++j) At(size + j * kLane) -= most;
  all = all.exp();
  Group sum = ConstGroupRef(size);
  for (int64_t j = 1; j < k; ++j) sum += ConstGroupRef(size + j * kLane);
  const double whole = 2 * spline.tail_bound;
  const Group factor = whole * (1 - static_cast<double>(k) * least) / sum;
  Group at = Group::Zero();
  At(knot) = Group::Constant(-spline.tail_bound);
  for (int64_t j = 0; j < k; ++j) {
    GroupRef bin(size + j * kLane);
    bin = bin * factor + whole * least;
    at += bin;
    At(knot + (j + 1) * kLane) = (at - spline.tail_bound).min(spline.tail_bound);
    bin = bin.max(whole * kLeastBin);
  }
  At(knot + k * kLane) = Group::Constant(spline.tail_bound);
}

// The bin that each number lies in, one column a number.
struct Bin {
  alignas(64) double left_x[kLane], left_y[kLane], width[kLane], height[kLane];
  // At its two ends: the raw derivative, and whether it counts; at the outer knots the derivative is 1.
  alignas(64) double left[kLane], right[kLane], left_is_inner[kLane], right_is_inner[kLane];
};

// knot: the knots on the side of `value`, knots.x or knots.y.
Bin FindBin(const SplineTransform& spline, const SplineKnots& knots, const double* knot,
            const double* value) {
  const double several = spline.bins > 1 ? 1 : 0;
  Bin bin;
  for (int64_t i = 0; i < kLane; ++i) {
    bin.left_x[i] = knots.x[i];
    bin.left_y[i] = knots.y[i];
    bin.width[i] = knots.width[i];
    bin.height[i] = knots.height[i];
    bin.left[i] = bin.left_is_inner[i] = 0;
    bin.right[i] = spline.bins > 1 ? knots.raw_derivative[i] : 0;
    bin.right_is_inner[i] = several;
  }
  for (int64_t j = 1; j < spline.bins; ++j) {
    const int64_t at = j * kLane;
    const bool last = j + 1 == spline.bins;
    const double* left = knots.raw_derivative + at - kLane;
    const double* right = last ? left : left + kLane;  // the last bin's does not count
    const double right_is_inner = last ? 0 : 1;
    for (int64_t i = 0; i < kLane; ++i) {
      const bool beyond = value[i] >= knot[at + i];
      bin.left_x[i] = beyond ? knots.x[at + i] : bin.left_x[i];
      bin.left_y[i] = beyond ? knots.y[at + i] : bin.left_y[i];
      bin.width[i] = beyond ? knots.width[at + i] : bin.width[i];
      bin.height[i] = beyond ? knots.height[at + i] : bin.height[i];
      bin.left[i] = beyond ? left[i] : bin.left[i];
      bin.right[i] = beyond ? right[i] : bin.right[i];
      bin.left_is_inner[i] = beyond ? 1 : bin.left_is_inner[i];
      bin.right_is_inner[i] = beyond ? right_is_inner : bin.right_is_inner[i];
    }
  }
  return bin;
}

Group Derivative(const SplineTransform& spline, const double* raw_numbers, const double* is_inner) {
  const Group raw = ConstGroupRef(raw_numbers);
  Group inner;
  if (spline.parametrization == SplineParametrization::kSoftmax) {
    const Group softplus = raw.max(0.0) + (-raw.abs()).exp().log1p();
    inner = (softplus + spline.min_derivative).max(std::numeric_limits<double>::min());  // 0 has no logarithm
  } else {
    inner = (raw / (1 + (raw / kLogOfThousandth).abs())).exp();
  }
  return (ConstGroupRef(is_inner) > 0).select(inner, Group::Constant(1.0));
}

// log of the spline's derivative at the share t of a bin with slope s and end derivatives d0, d1.
Group LogDerivative(const Group& t, const Group& s, const Group& d0, const Group& d1,
                    const Group& denominator) {
  const Group u = 1 - t;
  return (d1 * t * t + 2 * s * t * u + d0 * u * u).log() + 2 * (s / denominator).log();
}

}  // namespace

SplineKnots TakeKnots(int64_t bins, Arena* arena) {
  return {arena->Take<double>((bins + 1) * kLane), arena->Take<double>((bins + 1) * kLane),
          arena->Take<double>(bins * kLane), arena->Take<double>(bins * kLane),
          arena->Take<double>((bins - 1) * kLane)};
}

template <typename T>
void MakeKnots(const SplineTransform& spline, const Parameters<T>& raw, int64_t count,
               const SplineKnots& knots) {
  const int64_t k = spline.bins;
  Gather(raw, 0, k, count, knots.width);
  Gather(raw, k, k, count, knots.height);
  Gather(raw, 2 * k, k - 1, count, knots.raw_derivative);
  MakeBins(spline, spline.min_bin_width, knots.width, knots.x);
  MakeBins(spline, spline.min_bin_height, knots.height, knots.y);
}

void EvaluateSpline(const SplineTransform& spline, const SplineKnots& knots, const double* x, double* y,
                    double* log_derivative) {
  const Bin bin = FindBin(spline, knots, knots.x, x);
  const ConstGroupRef width(bin.width), height(bin.height), left_x(bin.left_x), left_y(bin.left_y);
  const Group value = ConstGroupRef(x);
  const Group d0 = Derivative(spline, bin.left, bin.left_is_inner);
  const Group d1 = Derivative(spline, bin.right, bin.right_is_inner);
  const Group s = height / width;
  const Group t = ((value - left_x) / width).max(0.0).min(1.0);
  const Group tu = t * (1 - t);
  const Group denominator = s + (d1 + d0 - 2 * s) * tu;
  const Group inside = left_y + height * (s * t * t + d0 * tu) / denominator;
  const auto within = value.abs() < spline.tail_bound;
  At(log_derivative) = within.select(LogDerivative(t, s, d0, d1, denominator), Group::Zero());
  At(y) = within.select(inside, value);
}

void InvertSpline(const SplineTransform& spline, const SplineKnots& knots, const double* y, double* x,
                  double* log_derivative) {
  const Bin bin = FindBin(spline, knots, knots.y, y);
  const ConstGroupRef width(bin.width), height(bin.height), left_x(bin.left_x), left_y(bin.left_y);
  const Group value = ConstGroupRef(y);
  const Group d0 = Derivative(spline, bin.left, bin.left_is_inner);
  const Group d1 = Derivative(spline, bin.right, bin.right_is_inner);
  const Group s = height / width;
  const Group rise = ((value - left_y) / height).max(0.0).min(1.0);
  // The share of the way from the nearer end of the bin, seen from there: a share close to 1 would be lost
  // where that end's derivative is small beside the other's.
  const auto from_right = rise > 0.5;
  const Group climb = from_right.select(1 - rise, rise);
  const Group start = from_right.select(d1, d0);
  // a q^2 + b q - s climb = 0, of whose two roots the one between 0 and 1 is taken in the form without a
  // difference; rounding may push the discriminant below 0, never its true value.
  const Group bend = d1 + d0 - 2 * s;
  const Group a = s - start + climb * bend;
  const Group b = start - climb * bend;
  const Group root = (b * b + 4 * a * s * climb).max(0.0).sqrt();
  const Group q = (b >= 0).select(2 * s * climb / (b + root), (root - b) / (2 * a)).max(0.0).min(1.0);
  const Group t = from_right.select(1 - q, q);
  const auto within = value.abs() < spline.tail_bound;
  if (log_derivative != nullptr) {
    const Group denominator = s + bend * (t * (1 - t));
    At(log_derivative) = within.select(-LogDerivative(t, s, d0, d1, denominator), Group::Zero());
  }
  At(x) = within.select(left_x + t * width, value);
}

template void MakeKnots(const SplineTransform&, const Parameters<float>&, int64_t, const SplineKnots&);
template void MakeKnots(const SplineTransform&, const Parameters<double>&, int64_t, const SplineKnots&);

}  // namespace glowworm
