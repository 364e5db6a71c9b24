// The CUDA splines on the fake device, at the numbers where they are hard: right to rounding, whatever the
// places of their raw numbers, and the same with bins computed at load.

#include "model/cuda/spline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <type_traits>
#include <vector>

#include "model/cuda/element_map.h"
#include "model/cuda/fixed_spline.h"
#include "tests/model/cuda/layer_fixture.h"
#include "tests/model/spline_cases.h"
#include "tests/testing/jacobian.h"
#include "tests/testing/random_flow.h"
#include "tests/testing/random_numbers.h"
#include "tests/testing/reference_spline.h"

namespace glowworm::cuda {
namespace {

template <typename T>
class CudaSplineTest : public LayerTest<T> {
 protected:
  static constexpr Precision kPrecision =
      std::is_same_v<T, float> ? Precision::kFloat32 : Precision::kFloat64;

  struct Points {
    std::vector<T> value, log_derivative;
  };
  // The spline's value, or its inverse's, at every number.
  Points Map(bool forward, const SplineCase& c, const std::vector<double>& at) {
    const ElementMap<T> map(c.spline);
    MappedNumbers<T> numbers{};
    numbers.groups = static_cast<int64_t>(at.size());
    numbers.count = numbers.x_stride = numbers.log_stride = 1;
    numbers.channel = this->ToDevice(std::vector<int32_t>{0});
    numbers.x = this->ToDevice(this->Rounded(at));
    numbers.parameters = this->ToDevice(this->Rounded(c.raw));
    numbers.parameter_stride = 1;
    numbers.log_derivative = this->ToDevice(std::vector<T>(), numbers.groups);
    this->Run([&] { forward ? map.Forward(&this->queue_, numbers) : map.Inverse(&this->queue_, numbers); });
    return {this->FromDevice(numbers.x, numbers.groups),
            this->FromDevice(numbers.log_derivative, numbers.groups)};
  }

  static void ExpectWithin(double got, const Bounds& bounds, double at) {
    EXPECT_THAT(got, testing::AllOf(testing::Ge(bounds.low - bounds.tolerance),
                                    testing::Le(bounds.high + bounds.tolerance)))
        << "at " << at;
  }
};
using Numbers = testing::Types<float, double>;
TYPED_TEST_SUITE(CudaSplineTest, Numbers);

TYPED_TEST(CudaSplineTest, ValuesAndLogDerivativesAreTheGoldStandardsToRounding) {
  for (const SplineCase& c : SplineCases()) {
    const std::vector<double> x = HardNumbers(this->kPrecision, SplineKnots(c.spline, c.raw).x);
    const auto got = this->Map(true, c, x);
    for (size_t i = 0; i < x.size(); ++i) {
      this->ExpectWithin(got.value[i], ValueBounds(c, this->kPrecision, x[i]), x[i]);
      this->ExpectWithin(got.log_derivative[i], LogDerivativeBounds(c, this->kPrecision, x[i], got.value[i]),
                         x[i]);
    }
  }
}

TYPED_TEST(CudaSplineTest, InversesAndTheirLogDerivativesAreTheGoldStandardsToRounding) {
  for (const SplineCase& c : SplineCases()) {
    const std::vector<double> y = HardNumbers(this->kPrecision, SplineKnots(c.spline, c.raw).y);
    const auto got = this->Map(false, c, y);
    for (size_t i = 0; i < y.size(); ++i) {
      this->ExpectWithin(got.value[i], InverseBounds(c, this->kPrecision, y[i]), y[i]);
      this->ExpectWithin(got.log_derivative[i],
                         InverseLogDerivativeBounds(c, this->kPrecision, y[i], got.value[i]), y[i]);
    }
  }
}

TYPED_TEST(CudaSplineTest, AtTheTailBoundAndOutsideItIsTheIdentityBitForBit) {
  using T = TypeParam;
  const T inf = std::numeric_limits<T>::infinity();
  for (const SplineCase& c : SplineCases()) {
    const double bound = c.spline.tail_bound;
    const std::vector<double> x = {bound,  NextOf(this->kPrecision, bound, 1e9),   1e4,  T(1e30),  inf,
                                   -bound, NextOf(this->kPrecision, -bound, -1e9), -1e4, T(-1e30), -inf};
    for (const bool forward : {true, false}) {
      const auto got = this->Map(forward, c, x);
      EXPECT_EQ(got.value, this->Rounded(x));
      EXPECT_EQ(got.log_derivative, std::vector<T>(x.size()));
    }
  }
}

TYPED_TEST(CudaSplineTest, ParametersThatAreNoNumbersLeaveNone) {
  const double nan = std::nan(""), inf = std::numeric_limits<double>::infinity();
  for (const SplineParametrization parametrization :
       {SplineParametrization::kSoftmax, SplineParametrization::kSoftclip}) {
    for (const double bad : {nan, inf}) {
      for (const size_t place : {0, 2, 3, 5}) {  // of the widths and of the heights
        SplineCase c;
        c.spline.bins = 3;
        c.spline.tail_bound = 3;
        c.spline.parametrization = parametrization;
        c.raw.assign(8, 0);
        c.raw[place] = bad;
        for (const bool forward : {true, false}) {
          const auto got = this->Map(forward, c, {-2.5, 0, 2.5, nan});
          for (const auto v : got.value) EXPECT_TRUE(std::isnan(v)) << "raw number " << place << ": " << bad;
        }
      }
    }
  }
}

// Without minima, a bin's share of exp(-200) or exp(-2000) is far below a last digit of the whole.
TYPED_TEST(CudaSplineTest, BinsTooThinForANumberLeaveFiniteAnswersInOrder) {
  RandomNumbers random(8);
  std::vector<double> x;
  for (double v = -3; v < 3; v += 1 / 64.0) x.push_back(v);
  for (const double size : {100.0, 1000.0}) {
    for (const int64_t bins : {2, 3, 8}) {
      SplineCase c;
      c.spline.bins = bins;
      c.spline.tail_bound = 3;
      c.raw = ToFloats(random.Uniforms(3 * bins - 1, -size, size));
      for (const bool forward : {true, false}) {
        const auto got = this->Map(forward, c, x);
        for (size_t i = 0; i < x.size(); ++i) {
          EXPECT_TRUE(std::isfinite(got.log_derivative[i])) << "at " << x[i];
          EXPECT_LE(std::abs(got.value[i]), 3) << "at " << x[i];
          if (i > 0) {
            EXPECT_GE(got.value[i], got.value[i - 1] - 2 * Displacement(c)) << "at " << x[i];
          }
        }
      }
    }
  }
}

// Where the second bin's neighbours are so thin that their end derivatives do not count, the slope halfway up
// is twice the bin's.
TYPED_TEST(CudaSplineTest, LogDerivativeInABinTooThinForANumberIsItsSlopes) {
  for (const double size : {20.0, 60.0, 300.0}) {
    SplineCase c;
    c.spline.bins = 2;
    c.spline.tail_bound = 3;
    c.raw = {0, -size, 0, 0, 0};
    // height / width = 1/2 / (exp(-size) / (1 + exp(-size)))
    const double log_derivative = -(size + std::log1p(std::exp(-size)));
    const auto got = this->Map(false, c, {1.5});
    // The end derivatives are less than exp(-size) of the slope each, and move the halfway point as little.
    EXPECT_NEAR(
        got.log_derivative[0], log_derivative,
        4 * std::exp(-size) + LogDerivativeTolerance(c, this->kPrecision, got.value[0], log_derivative));
  }
}

TEST(SplineBody, DerivativesAreTheNumericDifferences) {
  int checked = 0, seen = 0;
  for (const SplineCase& c : SplineCases()) {
    const ReferenceKnots knots = SplineKnots(c.spline, c.raw);
    const SplineNumbers<double> numbers{c.raw.data(), 1};
    const auto point = [&](double x) {
      return EvaluateSpline(c.spline.tail_bound, BinOfX(c.spline, numbers, x), x);
    };
    for (size_t k = 1; k < knots.x.size(); ++k) {
      const double x = 0.5 * (knots.x[k - 1] + knots.x[k]);
      const auto value = [&](const std::vector<double>& at) {
        return std::vector<double>{point(at[0]).value};
      };
      // The knots are the same for all the differences; what is left is the curve's own roundings.
      const NumericLogDet numeric = NumericLogAbsDet(value, {x}, 20 * std::numeric_limits<double>::epsilon());
      ++seen;
      if (!(numeric.error_bound < 1e-5)) continue;  // bins too thin or too flat for differences
      EXPECT_NEAR(point(x).log_derivative, numeric.log_abs_det, numeric.error_bound);
      ++checked;
    }
  }
  EXPECT_GT(2 * checked, seen);
}

// --- splines with fixed parameters ---

TYPED_TEST(CudaSplineTest, FixedSplinesAreTheSplinesOfTheirParameters) {
  using T = TypeParam;
  RandomNumbers random(9);
  for (const EventShape& shape : {RowShape(5), ImageShape(5, 3, 1)}) {
    for (const int64_t rows : kRaggedRows) {
      FixedSpline fixed;
      fixed.channels = {3, 0};
      fixed.transform = AnySpline(random);
      std::vector<SplineCase> cases;
      for (int j = 0; j < 2; ++j) {
        cases.push_back({fixed.transform, ToFloats(random.Normals(3 * fixed.transform.bins - 1, 0, 2))});
        fixed.parameters.insert(fixed.parameters.end(), cases[j].raw.begin(), cases[j].raw.end());
      }
      const FixedSplineOp<T> op(fixed, shape, &this->constants_);
      const std::vector<T> x = this->Rounded(random.Normals(rows * shape.size(), 0, 2));
      const auto forward = this->Forward(op, shape, x), inverse = this->Inverse(op, shape, x);
      EXPECT_EQ(inverse.log_density, std::vector<double>(rows));

      std::vector<T> expected = x, expected_inverse = x;
      std::vector<double> log_density(rows), magnitude(rows);
      for (int j = 0; j < 2; ++j) {
        std::vector<double> column;
        for (int64_t m = 0; m < rows * shape.positions(); ++m) column.push_back(x[m * 5 + fixed.channels[j]]);
        const auto points = this->Map(true, cases[j], column), back = this->Map(false, cases[j], column);
        for (int64_t m = 0; m < rows * shape.positions(); ++m) {
          expected[m * 5 + fixed.channels[j]] = points.value[m];
          expected_inverse[m * 5 + fixed.channels[j]] = back.value[m];
          log_density[m / shape.positions()] += static_cast<double>(points.log_derivative[m]);
          magnitude[m / shape.positions()] += std::abs(points.log_derivative[m]);
        }
      }
      EXPECT_EQ(forward.numbers, expected);
      EXPECT_EQ(inverse.numbers, expected_inverse);
      for (int64_t r = 0; r < rows; ++r) {
        // The same terms in another order.
        EXPECT_NEAR(forward.log_density[r], log_density[r],
                    6 * std::numeric_limits<double>::epsilon() * magnitude[r]);
      }
    }
  }
}

}  // namespace
}  // namespace glowworm::cuda
