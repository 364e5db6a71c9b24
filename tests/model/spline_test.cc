// Splines as the executor computes them, wherever a flow may hold one, at the numbers where they are hard: at
// and beside knots and tail bound, far outside, and with raw parameters so large that bins are thin, steep
// and flat.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <tuple>
#include <vector>

#include "model/flow.h"
#include "model/flow_spec.h"
#include "tests/model/column_flow.h"
#include "tests/model/spline_cases.h"
#include "tests/testing/flow_rows.h"
#include "tests/testing/jacobian.h"
#include "tests/testing/random_flow.h"
#include "tests/testing/random_numbers.h"
#include "tests/testing/reference_spline.h"

namespace glowworm {
namespace {

constexpr double kEpsilon = std::numeric_limits<double>::epsilon();

class SplineTest : public testing::TestWithParam<std::tuple<Precision, Place>> {
 protected:
  void TearDown() override {
    std::printf("%s: %.2g of the gate\n", testing::UnitTest::GetInstance()->current_test_info()->name(),
                worst_);
  }

  bool wide() const { return std::get<0>(GetParam()) == Precision::kFloat64; }
  int64_t columns() const { return ColumnsOf(std::get<1>(GetParam())); }
  Precision precision() const { return std::get<0>(GetParam()); }
  double rounding() const { return Rounding(precision()); }
  double Rounded(double v) const { return RoundedTo(precision(), v); }
  double Next(double v, double toward) const { return NextOf(precision(), v, toward); }

  ColumnFlow Make(const SplineCase& c) const {
    return {{LayerWith(c, std::get<1>(GetParam()))}, columns(), std::get<0>(GetParam())};
  }

  std::vector<double> HardNumbers(const std::vector<double>& knots) const {
    return glowworm::HardNumbers(precision(), knots);
  }

  // `got` lies between `low` and `high`, give or take `tolerance`.
  void ExpectBetween(double got, double low, double high, double tolerance, double at) {
    EXPECT_GE(got, low - tolerance) << "at " << at;
    EXPECT_LE(got, high + tolerance) << "at " << at;
    worst_ = std::max({worst_, (low - got) / tolerance, (got - high) / tolerance});
  }

  void ExpectWithin(double got, const Bounds& bounds, double at) {
    ExpectBetween(got, bounds.low, bounds.high, bounds.tolerance, at);
  }

  double worst_ = 0;
};

TEST_P(SplineTest, ValuesAreTheGoldStandardsToRounding) {
  for (const SplineCase& c : SplineCases()) {
    const std::vector<double> x = HardNumbers(SplineKnots(c.spline, c.raw).x);
    const std::vector<ReferencePoint> got = Make(c).Forward(x);
    for (size_t i = 0; i < x.size(); ++i) ExpectWithin(got[i].value, ValueBounds(c, precision(), x[i]), x[i]);
  }
}

TEST_P(SplineTest, LogDerivativesAreTheGoldStandardsToRounding) {
  for (const SplineCase& c : SplineCases()) {
    const std::vector<double> x = HardNumbers(SplineKnots(c.spline, c.raw).x);
    const std::vector<ReferencePoint> got = Make(c).Forward(x);
    for (size_t i = 0; i < x.size(); ++i) {
      ExpectWithin(got[i].log_derivative, LogDerivativeBounds(c, precision(), x[i], got[i].value), x[i]);
    }
  }
}

TEST_P(SplineTest, InversesAreTheGoldStandardsToRounding) {
  for (const SplineCase& c : SplineCases()) {
    const std::vector<double> y = HardNumbers(SplineKnots(c.spline, c.raw).y);
    const std::vector<double> got = Make(c).Inverse(y);
    for (size_t i = 0; i < y.size(); ++i) ExpectWithin(got[i], InverseBounds(c, precision(), y[i]), y[i]);
  }
}

TEST_P(SplineTest, InverseOfTheValueIsTheNumber) {
  for (const SplineCase& c : SplineCases()) {
    const std::vector<double> x = HardNumbers(SplineKnots(c.spline, c.raw).x);
    const ColumnFlow flow = Make(c);
    std::vector<double> y;
    for (const ReferencePoint& point : flow.Forward(x)) y.push_back(point.value);
    const std::vector<double> back = flow.Inverse(y);
    const double shift = Displacement(c);
    for (size_t i = 0; i < x.size(); ++i) {
      const double y_shift = 2 * shift + rounding() * std::fabs(y[i]);  // both ways, and the value's rounding
      const auto back_from = [&](double displaced_x, double displaced_y) {
        const double value = ForwardPoint(c.spline, c.raw, displaced_x).value;
        return InversePoint(c.spline, c.raw, value + displaced_y).value;
      };
      ExpectBetween(back[i], back_from(x[i] - shift, -y_shift), back_from(x[i] + shift, y_shift),
                    shift + rounding() * std::fabs(x[i]), x[i]);
    }
  }
}

TEST_P(SplineTest, AtTheTailBoundAndOutsideItIsTheIdentityBitForBit) {
  const ColumnFlow nothing({}, columns(), std::get<0>(GetParam()));
  for (const SplineCase& c : SplineCases()) {
    const double bound = c.spline.tail_bound;
    std::vector<double> x;
    for (const double sign : {-1.0, 1.0}) {
      for (const double v : {bound, Next(bound, 1e9), 1.5 * bound, 1e4, 1e15}) x.push_back(sign * v);
    }
    x = wide() ? x : ToFloats(x);
    const ColumnFlow flow = Make(c);
    const FlowAnswer answer = flow.Encode(x);
    EXPECT_TRUE(SameBits(flow.Column(answer), x));
    EXPECT_TRUE(SameBits(answer.log_likelihood, nothing.Encode(x).log_likelihood));
    EXPECT_TRUE(SameBits(flow.Inverse(x), x));
  }
}

TEST_P(SplineTest, ValuesAscendWithTheNumbersAcrossBins) {
  for (const SplineCase& c : SplineCases()) {
    const std::vector<double> x = HardNumbers(SplineKnots(c.spline, c.raw).x);
    const std::vector<ReferencePoint> y = Make(c).Forward(x);
    for (size_t i = 1; i < x.size(); ++i) {
      const double slack = 2 * (Displacement(c) + rounding() * std::fabs(y[i].value));
      EXPECT_GE(y[i].value, y[i - 1].value - slack) << "from " << x[i - 1] << " to " << x[i];
    }
  }
}

TEST_P(SplineTest, ValuesAreContinuousAtKnots) {
  for (const SplineCase& c : SplineCases()) {
    const ReferenceKnots knots = SplineKnots(c.spline, c.raw);
    const ColumnFlow flow = Make(c);
    for (size_t k = 0; k < knots.x.size(); ++k) {
      const double knot = Rounded(knots.x[k]);
      const std::vector<double> x = {Next(knot, -1e9), knot, Next(knot, 1e9)};
      const std::vector<ReferencePoint> y = flow.Forward(x);
      for (int i = 0; i < 2; ++i) {
        // Within a last digit or two of a knot no slope is twice as large as at the steepest of these points.
        const double slope =
            std::exp(std::max({y[0].log_derivative, y[1].log_derivative, y[2].log_derivative}));
        const double step = 2 * slope * (x[i + 1] - x[i]);
        const double slack = 2 * (Displacement(c) * (1 + slope) + rounding() * std::fabs(knots.y[k]));
        EXPECT_LE(std::fabs(y[i + 1].value - y[i].value), step + slack) << "knot " << k;
      }
    }
  }
}

TEST_P(SplineTest, OneBinIsTheIdentity) {
  for (const SplineCase& c : SplineCases()) {
    if (c.spline.bins != 1) continue;
    std::vector<double> x;
    for (double v = -1.2; v < 1.2; v += 0.05) x.push_back(Rounded(v * c.spline.tail_bound));
    const ColumnFlow flow = Make(c);
    const std::vector<ReferencePoint> y = flow.Forward(x);
    const std::vector<double> back = flow.Inverse(x);
    for (size_t i = 0; i < x.size(); ++i) {
      EXPECT_NEAR(y[i].value, x[i], Displacement(c) + rounding() * std::fabs(x[i]));
      EXPECT_NEAR(y[i].log_derivative, 0, 8 * RelativeDisplacement(c));
      EXPECT_NEAR(back[i], x[i], Displacement(c) + rounding() * std::fabs(x[i]));
    }
  }
}

class Float64SplineTest : public SplineTest {};  // differences need its digits

TEST_P(Float64SplineTest, DerivativeIsTheNumericDifferences) {
  int checked = 0, seen = 0;
  for (const SplineCase& c : SplineCases()) {
    const ReferenceKnots knots = SplineKnots(c.spline, c.raw);
    const ColumnFlow flow = Make(c);
    for (size_t k = 1; k < knots.x.size(); ++k) {
      const double x = 0.5 * (knots.x[k - 1] + knots.x[k]);
      const auto value = [&](const std::vector<double>& at) {
        return std::vector<double>{flow.Forward(at)[0].value};
      };
      // The knots are the same for all the differences; what is left is the curve's own roundings.
      const NumericLogDet numeric = NumericLogAbsDet(value, {x}, 20 * kEpsilon);
      ++seen;
      if (!(numeric.error_bound < 1e-5)) continue;  // bins too thin or too flat for differences
      EXPECT_NEAR(flow.Forward({x})[0].log_derivative, numeric.log_abs_det, numeric.error_bound);
      ++checked;
    }
  }
  EXPECT_GT(2 * checked, seen);
}

// Without minima, a bin's share of exp(-200) or exp(-2000) is far below a last digit of the whole.
TEST_P(SplineTest, BinsTooThinForANumberLeaveFiniteAnswersInOrder) {
  RandomNumbers random(8);
  for (const double size : {100.0, 1000.0}) {
    for (const int64_t bins : {2, 3, 8}) {
      SplineCase c;
      c.spline.bins = bins;
      c.spline.tail_bound = 3;
      c.raw = ToFloats(random.Uniforms(3 * bins - 1, -size, size));
      std::vector<double> x;
      for (double v = -3; v < 3; v += 1 / 64.0) x.push_back(v);
      const ColumnFlow flow = Make(c);
      const std::vector<ReferencePoint> y = flow.Forward(x);
      const std::vector<double> back = flow.Inverse(x);
      for (size_t i = 0; i < x.size(); ++i) {
        EXPECT_TRUE(std::isfinite(y[i].log_derivative)) << "x " << x[i];
        EXPECT_LE(std::fabs(y[i].value), 3) << "x " << x[i];
        EXPECT_LE(std::fabs(back[i]), 3) << "y " << x[i];
        if (i == 0) continue;
        EXPECT_GE(y[i].value, y[i - 1].value - 2 * Displacement(c)) << "x " << x[i];
        EXPECT_GE(back[i], back[i - 1] - 2 * Displacement(c)) << "y " << x[i];
      }
    }
  }
}

// A flow that goes through the inverse on its way to the latent.
class InverseSplineTest : public SplineTest {};

TEST_P(InverseSplineTest, LogDerivativesOfInversesAreTheGoldStandardsToRounding) {
  for (const SplineCase& c : SplineCases()) {
    Autoregressive layer{{0}, ConstantNet(c.raw), ParallelDirection::kInverse, c.spline};
    const ColumnFlow flow({{"spline", layer}}, 1, std::get<0>(GetParam()));
    const std::vector<double> y = HardNumbers(SplineKnots(c.spline, c.raw).y);
    const std::vector<ReferencePoint> got = flow.Forward(y);
    for (size_t i = 0; i < y.size(); ++i) {
      ExpectWithin(got[i].value, InverseBounds(c, precision(), y[i]), y[i]);
      ExpectWithin(got[i].log_derivative, InverseLogDerivativeBounds(c, precision(), y[i], got[i].value),
                   y[i]);
    }
  }
}

// Halfway up a bin so steep that its end derivatives do not count, the slope is twice the bin's.
TEST_P(InverseSplineTest, LogDerivativeInABinTooThinForANumberIsItsSlopes) {
  for (const double size : {20.0, 60.0, 300.0}) {
    SplineCase c;
    c.spline.bins = 2;
    c.spline.tail_bound = 3;
    c.raw = {0, -size, 0, 0, 0};
    Autoregressive layer{{0}, ConstantNet(c.raw), ParallelDirection::kInverse, c.spline};
    const ColumnFlow flow({{"spline", layer}}, 1, std::get<0>(GetParam()));
    // height / width = 1/2 / (exp(-size) / (1 + exp(-size)))
    const double log_derivative = -(size + std::log1p(std::exp(-size)));
    const ReferencePoint got = flow.Forward({1.5})[0];
    // The end derivatives are less than exp(-size) of the slope each, and move the halfway point as little.
    EXPECT_NEAR(got.log_derivative, log_derivative,
                4 * std::exp(-size) + LogDerivativeTolerance(c, precision(), got.value, log_derivative));
  }
}

std::string PlaceName(Place place) {
  return place == Place::kCoupling         ? "Coupling"
         : place == Place::kIdentitySpline ? "Identity"
                                           : "Autoregressive";
}

std::string CaseName(const testing::TestParamInfo<std::tuple<Precision, Place>>& param_info) {
  return PlaceName(std::get<1>(param_info.param)) +
         (std::get<0>(param_info.param) == Precision::kFloat64 ? "Float64" : "Float32");
}

const auto kPrecisions = testing::Values(Precision::kFloat64, Precision::kFloat32);
const auto kPlaces = testing::Values(Place::kCoupling, Place::kIdentitySpline, Place::kAutoregressive);

INSTANTIATE_TEST_SUITE_P(Places, SplineTest, testing::Combine(kPrecisions, kPlaces), CaseName);
INSTANTIATE_TEST_SUITE_P(Places, Float64SplineTest,
                         testing::Combine(testing::Values(Precision::kFloat64), kPlaces), CaseName);
INSTANTIATE_TEST_SUITE_P(Places, InverseSplineTest,
                         testing::Combine(kPrecisions, testing::Values(Place::kAutoregressive)), CaseName);

}  // namespace
}  // namespace glowworm
