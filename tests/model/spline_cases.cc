// See spline_cases.h.

#include "tests/model/spline_cases.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

#include "tests/testing/random_flow.h"
#include "tests/testing/random_numbers.h"
#include "tests/testing/reference_spline.h"

namespace glowworm {
namespace {

constexpr double kEpsilon = std::numeric_limits<double>::epsilon();

}  // namespace

// A bin's share is exp of a raw number (relative error: its argument's rounding and two more) over a sum of
// K; a knot sums K bins; within a bin the curve takes a dozen roundings of numbers no larger than the bin.
double RelativeDisplacement(const SplineCase& c) {
  double largest = 0;
  for (double r : c.raw) largest = std::max(largest, std::fabs(r * c.spline.width_height_scale));
  if (c.spline.parametrization == SplineParametrization::kSoftclip) largest = std::min(largest, 3.5);
  return kEpsilon * (2.0 * static_cast<double>(c.spline.bins) + 12 + 2 * largest);
}
double Displacement(const SplineCase& c) { return 2 * c.spline.tail_bound * RelativeDisplacement(c); }

double Rounding(Precision precision) {
  return 0.5 * (precision == Precision::kFloat64 ? kEpsilon : std::numeric_limits<float>::epsilon());
}
double RoundedTo(Precision precision, double v) {
  return precision == Precision::kFloat64 ? v : static_cast<float>(v);
}
double NextOf(Precision precision, double v, double toward) {
  return precision == Precision::kFloat64 ? std::nextafter(v, toward)
                                          : std::nextafter(static_cast<float>(v), static_cast<float>(toward));
}
std::vector<double> ToFloats(std::vector<double> values) {
  for (double& v : values) v = static_cast<float>(v);
  return values;
}

std::vector<SplineCase> SplineCases() {
  RandomNumbers random(7);
  std::vector<SplineCase> cases;
  for (int repeat = 0; repeat < 30; ++repeat) {
    const SplineTransform spline = AnySpline(random);
    cases.push_back({spline, ToFloats(random.Normals(3 * spline.bins - 1, 0, 1))});
  }
  for (const double size : {10.0, 100.0, 1000.0}) {
    for (const int64_t bins : {1, 2, 3, 8, 12}) {
      for (const SplineParametrization parametrization :
           {SplineParametrization::kSoftmax, SplineParametrization::kSoftclip}) {
        for (const double scale : {1.0, 0.125}) {
          SplineTransform spline;
          spline.bins = bins;
          spline.tail_bound = 3;
          spline.parametrization = parametrization;
          if (parametrization == SplineParametrization::kSoftmax) {
            spline.min_bin_width = spline.min_bin_height = spline.min_derivative = 1e-3;
            spline.width_height_scale = scale;
          }
          cases.push_back({spline, ToFloats(random.Uniforms(3 * bins - 1, -size, size))});
        }
      }
    }
  }
  return cases;
}

std::vector<double> HardNumbers(Precision precision, const std::vector<double>& knots) {
  std::vector<double> at;
  for (size_t k = 0; k < knots.size(); ++k) {
    const double knot = RoundedTo(precision, knots[k]);
    at.insert(at.end(), {NextOf(precision, knot, -1e9), knot, NextOf(precision, knot, 1e9)});
    for (const double share : {0.01, 0.25, 0.5, 0.875, 0.99}) {
      if (k > 0) at.push_back(RoundedTo(precision, knots[k - 1] + share * (knots[k] - knots[k - 1])));
    }
  }
  for (const double tail : {1.01, 7.0}) at.insert(at.end(), {tail * knots.front(), tail * knots.back()});
  for (double& v : at) v = RoundedTo(precision, v);
  std::sort(at.begin(), at.end());
  at.erase(std::unique(at.begin(), at.end()), at.end());
  return at;
}

double LogDerivativeTolerance(const SplineCase& c, Precision precision, double value, double log_derivative) {
  const double log_base = 0.5 * value * value + 2;
  return 8 * RelativeDisplacement(c) + Rounding(precision) * std::fabs(log_derivative) +
         2 * kEpsilon * (log_base + std::fabs(log_derivative));
}

Bounds ValueBounds(const SplineCase& c, Precision precision, double x) {
  const double shift = Displacement(c);
  const double low = ForwardPoint(c.spline, c.raw, x - shift).value;
  const double high = ForwardPoint(c.spline, c.raw, x + shift).value;
  return {low, high, shift + Rounding(precision) * std::fabs(high)};
}

Bounds LogDerivativeBounds(const SplineCase& c, Precision precision, double x, double value) {
  const double shift = Displacement(c);
  const double here = ForwardPoint(c.spline, c.raw, x).log_derivative;
  const double before = ForwardPoint(c.spline, c.raw, x - shift).log_derivative;
  const double after = ForwardPoint(c.spline, c.raw, x + shift).log_derivative;
  const auto [low, high] = std::minmax({before, here, after});
  return {low, high, LogDerivativeTolerance(c, precision, value, here) + (high - low)};
}

Bounds InverseBounds(const SplineCase& c, Precision precision, double y) {
  const double shift = Displacement(c);
  const double low = InversePoint(c.spline, c.raw, y - shift).value;
  const double high = InversePoint(c.spline, c.raw, y + shift).value;
  return {low, high, shift + Rounding(precision) * std::fabs(high)};
}

Bounds InverseLogDerivativeBounds(const SplineCase& c, Precision precision, double y, double value) {
  const double shift = Displacement(c);
  const double before = InversePoint(c.spline, c.raw, y - shift).value;
  const double after = InversePoint(c.spline, c.raw, y + shift).value;
  // Taken at a number that may be displaced as well.
  const double here = InversePoint(c.spline, c.raw, y).log_derivative;
  const auto [low, high] = std::minmax({-ForwardPoint(c.spline, c.raw, before - shift).log_derivative, here,
                                        -ForwardPoint(c.spline, c.raw, after + shift).log_derivative});
  return {low, high, LogDerivativeTolerance(c, precision, value, here) + (high - low)};
}

}  // namespace glowworm
