// The splines and autoregressive layers of the gold standard, against known answers, numeric Jacobians, their
// own inverses and each other.

#include "tests/testing/reference_spline.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "tests/testing/jacobian.h"
#include "tests/testing/random_flow.h"
#include "tests/testing/reference_autoregressive.h"
#include "tests/testing/reference_flow.h"

namespace glowworm {
namespace {

constexpr double kEpsilon = 2.3e-16;
constexpr SplineParametrization kSoftmax = SplineParametrization::kSoftmax;
constexpr SplineParametrization kSoftclip = SplineParametrization::kSoftclip;

// --- one number ---

// Made with mpmath at 1500 digits from the paper's eq. 4,
//   y = y_k + h (s t^2 + d_k t (1-t)) / (s + (d_{k+1} + d_k - 2 s) t (1-t)),  t = (x - x_k) / w,  s = h / w,
// the log-derivative from eq. 5 and again from a difference quotient of eq. 4 with step 1e-700. Numbers such
// as 0.001 are the doubles nearest to them.
struct KnownAnswer {
  SplineTransform spline;
  std::vector<double> raw;
  std::vector<std::vector<double>> points;  // x, y, log dy/dx
};

const KnownAnswer kKnownAnswers[] = {
    {{3, 3, 0.001, 0.001, 0.001, 1, kSoftmax},
     {0.5, -1, 0.25, -0.75, 1.5, 0, 0.5, -2},
     {{-2.5, -2.8233393672870015, -2.0455710550839963},
      {-0.5, -2.6910617641963883, -2.0535064842385031},
      {1, 2.0425143387703162, -1.6547455200246296},
      {2.75, 2.778006750907329, -0.23840546678449462}}},
    {{1, 2, 0.001, 0.001, 0.001, 1, kSoftmax}, {7, -3}, {{-1.5, -1.5, 0.0}, {0.25, 0.25, 0.0}}},
    {{4, 5, 0.01, 0.02, 0.001, 0.125, kSoftmax},
     {8, -16, 4, 0, -8, 12, 1, 2, 3, -20, 10},
     {{-4.75, -4.8981051070588948, -1.7862295357304993},
      {-1, -4.7674502035053313, -2.4315466670510891},
      {0.5, 1.5473036696175981, -3.3811967765219523},
      {4.5, 4.8220018916286464, -1.5549391463658797}}},
    {{3, 3, 0.001, 0.001, 0.001, 1, kSoftmax},
     {10, -10, 3, -10, 10, 0, 10, -10},
     {{-2.5, -2.9994550955214582, -13.56361840224352},
      {0, -2.9994541454989547, -14.816773287650616},
      {2.25, -2.9994510416388104, -12.102190278006545},
      {2.999, 2.9990261154981291, -0.055400099382533837}}},
    {{3, 3, 0.001, 0.001, 0.001, 1, kSoftmax},
     {100, -100, 50, -100, 100, 0, 100, -100},
     {{-2.999, -2.9999439252232975, -5.7621355715340437},
      {0.5, -2.9999405121612176, -16.675018057120299},
      {2.9951171875, 2.9942461954090933, -0.75528096740369635}}},
    {{3, 4, 0, 0, 0, 1, kSoftmax},
     {0, -1, 1, 600, -600, 200, -500, 700},
     {{-3.5, -2.6579637699660745, 1.5582872569574243},
      {-1.25, 4.0, -797.1308629292393},
      {2.5, 4.0, -805.06733055923562}}},
    {{3, 3, 0, 0, 0, 1, kSoftclip},
     {0.5, -1, 0.25, -0.75, 1.5, 0, 0.5, -2},
     {{-2.5, -2.7983299555123583, -1.7552502392673532},
      {-0.5, -2.5259511332708799, -0.95157211778105244},
      {1, 1.714764808842997, -1.1643255977821144},
      {2.75, 2.762233863022452, -0.10209376312258138}}},
    {{3, 5, 0, 0, 0, 1, kSoftclip},
     {1000, -1000, 10, -1000, 1000, 0, 1000, -1000},
     {{-4.5, -4.9999896156517028, -19.684305827839328},
      {4.9375, 4.9469655108906711, -0.32845295209848772},
      {0.125, -4.9999895777986613, -17.402351209600681}}}};

TEST(ReferenceSpline, GivesItsKnownAnswersToTheLastDigit) {
  for (const KnownAnswer& known : kKnownAnswers) {
    for (const std::vector<double>& point : known.points) {
      const ReferencePoint got = ForwardPoint(known.spline, known.raw, point[0]);
      EXPECT_NEAR(got.value, point[1], kEpsilon * std::fabs(point[1])) << "x " << point[0];
      EXPECT_NEAR(got.log_derivative, point[2], kEpsilon * std::max(1.0, std::fabs(point[2])))
          << "x " << point[0];
    }
  }
}

TEST(ReferenceSpline, InverseFindsTheNumbersOfTheKnownAnswers) {
  for (const KnownAnswer& known : kKnownAnswers) {
    for (const std::vector<double>& point : known.points) {
      if (point[2] < -20) continue;  // so flat that y as a double no longer tells x
      // y is rounded: half a last digit, which the slope carries over to x, and the log-derivative with it.
      const double from_y = 0.5 * kEpsilon * std::fabs(point[1]) * std::exp(-point[2]);
      const ReferencePoint got = InversePoint(known.spline, known.raw, point[1]);
      EXPECT_NEAR(got.value, point[0], from_y + kEpsilon * std::fabs(point[0])) << "x " << point[0];
      const ReferencePoint back = ForwardPoint(known.spline, known.raw, got.value);
      EXPECT_NEAR(back.value, point[1], kEpsilon * (std::fabs(point[1]) + std::exp(point[2])));
    }
  }
}

TEST(ReferenceSpline, InverseOfRandomSplinesIsTheirInverse) {
  RandomNumbers random(1);
  for (int repeat = 0; repeat < 2000; ++repeat) {
    const SplineTransform spline = AnySpline(random);
    const std::vector<double> raw = random.Normals(3 * spline.bins - 1, 0, 2);
    const double x = random.Uniform(-spline.tail_bound, spline.tail_bound);
    const ReferencePoint there = ForwardPoint(spline, raw, x);
    const ReferencePoint back = InversePoint(spline, raw, there.value);
    // As above; slopes within one last digit of x are much the same.
    const double tolerance = kEpsilon * spline.tail_bound * (1 + 2 * std::exp(-there.log_derivative));
    EXPECT_NEAR(back.value, x, tolerance) << "spline " << repeat;
    EXPECT_NEAR(back.log_derivative, -ForwardPoint(spline, raw, back.value).log_derivative, 1e-10);
  }
}

TEST(ReferenceSpline, OutsideAndAtTheTailBoundIsTheIdentity) {
  const KnownAnswer& known = kKnownAnswers[0];
  for (const double x : {3.0, -3.0, std::nextafter(3.0, 4.0), -1e300, 1e300}) {
    for (const ReferencePoint& point :
         {ForwardPoint(known.spline, known.raw, x), InversePoint(known.spline, known.raw, x)}) {
      EXPECT_EQ(point.value, x);
      EXPECT_EQ(point.log_derivative, 0);
    }
  }
}

// |d log f'/dx| at either end of bin k, by differentiating eq. 5, is at most this.
double LogSlopeRate(const ReferenceKnots& knots, size_t k) {
  const double width = knots.x[k + 1] - knots.x[k], slope = (knots.y[k + 1] - knots.y[k]) / width;
  const double start = knots.derivative[k], end = knots.derivative[k + 1];
  return (6 + 2 * slope / std::min(start, end) + 2 * (start + end) / slope) / width;
}

TEST(ReferenceSpline, PassesThroughItsKnotsWithTheirDerivatives) {
  RandomNumbers random(2);
  for (int repeat = 0; repeat < 200; ++repeat) {
    const SplineTransform spline = AnySpline(random);
    const std::vector<double> raw = random.Normals(3 * spline.bins - 1, 0, 2);
    const ReferenceKnots knots = SplineKnots(spline, raw);
    ASSERT_EQ(knots.x.size(), static_cast<size_t>(spline.bins) + 1);
    for (size_t k = 0; k < knots.x.size(); ++k) {
      const double slope = knots.derivative[k];
      const size_t before = k == 0 ? 0 : k - 1, after = std::min<size_t>(k, spline.bins - 1);
      const double rate = std::max(LogSlopeRate(knots, before), LogSlopeRate(knots, after));
      for (const double x : {std::nextafter(knots.x[k], -9), knots.x[k], std::nextafter(knots.x[k], 9)}) {
        const ReferencePoint point = ForwardPoint(spline, raw, x);
        // x is up to a last digit and a half from the knot, y is rounded.
        const double from_knot = 2 * kEpsilon * spline.tail_bound;
        const double tolerance = from_knot * (1 + slope);
        EXPECT_NEAR(point.value, knots.y[k], tolerance) << "spline " << repeat << " knot " << k;
        EXPECT_NEAR(point.log_derivative, std::log(slope), from_knot * rate + kEpsilon * 10)
            << "spline " << repeat << " knot " << k;
      }
    }
    EXPECT_EQ(knots.derivative.front(), 1);
    EXPECT_EQ(knots.derivative.back(), 1);
  }
}

// --- layers ---

// Smooth nets only: a kink between two points of a difference quotient would show as an error of the
// Jacobian.
NetOptions SmoothNet() {
  NetOptions net;
  net.activation = ActivationKind::kSilu;
  net.residual = net.gate = net.concat = true;
  return net;
}

// Rows that have a knot within reach of the difference quotients check nothing and are passed over.
void ExpectLogDetIsTheJacobians(const FlowSpec& spec, uint64_t seed) {
  const ReferenceFlow flow(spec);
  const FlowRows rows = RandomRows(spec, seed, 12);
  int checked = 0;
  for (int64_t row = 0; row < rows.rows && checked < 3; ++row) {
    const std::vector<double> context = rows.Context(row);
    const auto latent = [&](const std::vector<double>& x) { return flow.Encode(x, context).latent; };
    const NumericLogDet numeric = NumericLogAbsDet(latent, rows.Numbers(row), 100 * kEpsilon);
    if (numeric.error_bound > 1e-5) continue;
    double claimed = 0;
    for (double term : flow.Encode(rows.Numbers(row), context).per_layer_log_det) claimed += term;
    EXPECT_NEAR(claimed, numeric.log_abs_det, numeric.error_bound) << "seed " << seed << " row " << row;
    ++checked;
  }
  EXPECT_GE(checked, 1) << "seed " << seed;
}

void ExpectDecodeInvertsEncode(const FlowSpec& spec, uint64_t seed) {
  const ReferenceFlow flow(spec);
  const FlowRows rows = RandomRows(spec, seed, 4);
  for (int64_t row = 0; row < rows.rows; ++row) {
    const std::vector<double> context = rows.Context(row), x = rows.Numbers(row);
    const std::vector<double> back = flow.Decode(flow.Encode(x, context).latent, context);
    // Two layers with slopes of a few.
    for (size_t i = 0; i < x.size(); ++i) EXPECT_NEAR(back[i], x[i], 1e-12) << "seed " << seed;
  }
}

TEST(ReferenceLayers, SplineCouplingsHaveTheirJacobiansAndInverses) {
  uint64_t seed = 100;
  for (const EventShape& shape : {RowShape(2), RowShape(5), ImageShape(3, 2, 2), ImageShape(2, 3, 2)}) {
    for (int repeat = 0; repeat < 12; ++repeat) {
      RandomNumbers random(++seed);
      CouplingOptions options;
      options.net = SmoothNet();
      options.scale_map = static_cast<ScaleMap>(repeat % 7);
      if (repeat % 3 != 0) options.spline = AnySpline(random);
      if (repeat % 3 != 1) options.identity_spline = AnySpline(random);
      RandomFlow builder(seed, shape, 2);
      builder.AddPlu(Side::kOutput, true, true);
      if (repeat == 6)
        builder.AddAdditiveCoupling(options.net, options.identity_spline);
      else
        builder.AddCoupling(options);
      const FlowSpec spec = builder.Finish(BaseKind::kStandard);
      ExpectLogDetIsTheJacobians(spec, seed);
      ExpectDecodeInvertsEncode(spec, seed);
    }
  }
}

AutoregressiveOptions AnyAutoregressive(uint64_t seed) {
  RandomNumbers random(seed);
  AutoregressiveOptions options;
  options.parallel = seed % 2 == 0 ? ParallelDirection::kForward : ParallelDirection::kInverse;
  options.scale_map = static_cast<ScaleMap>(seed / 2 % 7);
  options.order = random.Coin() ? AffineOrder::kScaleThenShift : AffineOrder::kShiftThenScale;
  options.net = SmoothNet();
  options.net.residual = seed % 3 != 0;
  if (seed % 4 < 2) options.spline = AnySpline(random);
  return options;
}

TEST(ReferenceLayers, AutoregressiveLayersHaveTheirJacobiansAndInverses) {
  uint64_t seed = 500;
  for (const EventShape& shape : {RowShape(1), RowShape(2), RowShape(6)}) {
    for (int repeat = 0; repeat < 28; ++repeat) {
      ++seed;
      RandomFlow builder(seed, shape, 2);
      builder.AddPlu(Side::kOutput, true, true).AddAutoregressive(AnyAutoregressive(seed));
      const FlowSpec spec = builder.Finish(BaseKind::kStandard);
      ExpectLogDetIsTheJacobians(spec, seed);
      ExpectDecodeInvertsEncode(spec, seed);
    }
  }
}

// A row of `size` normals.
ReferenceEvent RandomRow(int64_t size, RandomNumbers& random) {
  ReferenceEvent row = ZeroEvent(size, 1, 1);
  row.values = random.Normals(size, 0, 1);
  return row;
}

TEST(ReferenceLayers, AutoregressiveFeaturesDependOnTheOnesBeforeThem) {
  for (uint64_t seed = 1; seed <= 28; ++seed) {
    const int64_t features = 7;
    FlowSpec spec = RandomFlow(seed, RowShape(features), 2)
                        .AddAutoregressive(AnyAutoregressive(seed))
                        .Finish(BaseKind::kStandard);
    const auto& layer = std::get<Autoregressive>(spec.layers[0].op);
    RandomNumbers random(seed);
    const ReferenceEvent x = RandomRow(features, random);
    const std::vector<double> context = random.Normals(2, 0, 1);
    const ReferencePoints before = EncodeAutoregressive(layer, x, context);
    for (int64_t k = 0; k < features; ++k) {
      ReferenceEvent moved = x;
      moved.values[layer.order[k]] += 0.25;
      const ReferencePoints after = EncodeAutoregressive(layer, moved, context);
      for (int64_t j = 0; j < k; ++j) {
        EXPECT_EQ(after[layer.order[j]].value, before[layer.order[j]].value) << "seed " << seed;
      }
      EXPECT_NE(after[layer.order[k]].value, before[layer.order[k]].value) << "seed " << seed;
    }
  }
}

TEST(ReferenceLayers, AnInverseAutoregressiveFlowIsAMaskedOneBackwards) {
  for (uint64_t seed = 1; seed <= 14; ++seed) {
    FlowSpec spec = RandomFlow(seed, RowShape(5), 2)
                        .AddAutoregressive(AnyAutoregressive(seed))
                        .Finish(BaseKind::kStandard);
    Autoregressive masked = std::get<Autoregressive>(spec.layers[0].op);
    Autoregressive inverse = masked;
    masked.parallel = ParallelDirection::kForward;
    inverse.parallel = ParallelDirection::kInverse;
    RandomNumbers random(seed);
    const ReferenceEvent row = RandomRow(5, random);
    const std::vector<double> context = random.Normals(2, 0, 1);
    const auto expect_same = [&](const ReferencePoints& a, const ReferencePoints& b) {
      for (size_t i = 0; i < a.size(); ++i) {
        EXPECT_EQ(a[i].value, b[i].value);
        EXPECT_EQ(a[i].log_derivative, b[i].log_derivative);
      }
    };
    expect_same(EncodeAutoregressive(masked, row, context), DecodeAutoregressive(inverse, row, context));
    expect_same(DecodeAutoregressive(masked, row, context), EncodeAutoregressive(inverse, row, context));
  }
}

}  // namespace
}  // namespace glowworm
