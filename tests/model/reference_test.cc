// The gold standard checked against what it cannot have got wrong in the same way: known answers, numbers
// computed by training libraries, numeric Jacobians and its own inverse.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <string>
#include <vector>

#include "model/flow_file.h"
#include "tests/testing/golden.h"
#include "tests/testing/jacobian.h"
#include "tests/testing/random_flow.h"
#include "tests/testing/reference_flow.h"
#include "tests/testing/reference_philox.h"

namespace glowworm {
namespace {

constexpr double kEpsilon = 2.3e-16;
constexpr double kGate = 1e-8;  // relative to max(1, |golden|)

double WorstRelative(const std::vector<double>& got, const std::vector<double>& want) {
  EXPECT_EQ(got.size(), want.size());
  double worst = 0;
  for (size_t i = 0; i < std::min(got.size(), want.size()); ++i) {
    worst = std::max(worst, std::fabs(got[i] - want[i]) / std::max(1.0, std::fabs(want[i])));
  }
  return worst;
}

// --- random numbers ---

TEST(Reference, PhiloxGivesItsKnownAnswers) {
  EXPECT_EQ(ReferencePhilox({0, 0, 0, 0}, {0, 0}),
            (std::array<uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(ReferencePhilox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (std::array<uint32_t, 4>{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Reference, NormalsOfSeed42AreTheDesigns) {
  const double first[] = {-0.66537486780734856, 1.036023808655465, -1.4338891806537384, 0.42327818124445271};
  for (int d = 0; d < 4; ++d)
    EXPECT_NEAR(ReferenceNormal(42, 0, d), first[d], 1e-12 * std::fabs(first[d])) << d;
  EXPECT_NEAR(ReferenceNormal(42, 1, 0), -0.48595370776513486, 1e-12);
  EXPECT_NEAR(ReferenceNormal(42, 1, 1), -1.9755590917286678, 2e-12);
}

// --- golden values ---

class ReferenceGolden : public testing::TestWithParam<const char*> {};

TEST_P(ReferenceGolden, AgreesWithTheTrainingLibrary) {
  const std::string folder = FixtureFolder(GetParam());
  if (folder.empty()) GTEST_SKIP() << "no fixture " << GetParam() << " here";
  const Golden golden = ReadGolden(folder);
  auto file = ReadFlowFile(FixtureFlowPath(folder));
  ASSERT_TRUE(file.ok()) << file.status();
  const ReferenceFlow flow(file->spec);
  double log_prob = 0, latent = 0, log_det = 0, tail = 0, decode = 0;
  for (int64_t row = 0; row < golden.At("x").rows(); ++row) {
    const std::vector<double> context =
        golden.Has("context") ? golden.At("context").Row(row) : std::vector<double>();
    const int label = golden.Has("class_label") ? static_cast<int>(golden.At("class_label").values[row]) : -1;
    const ReferenceEncoding got = flow.Encode(golden.At("x").Row(row), context, label);
    const double want = golden.At("log_prob").values[row];
    if (!std::isfinite(want)) {
      EXPECT_EQ(got.log_prob, want) << "row " << row;
      continue;
    }
    log_prob = std::max(log_prob, WorstRelative({got.log_prob}, {want}));
    latent = std::max(latent, WorstRelative(got.latent, golden.At("latent").Row(row)));
    for (size_t layer = 0; layer < got.per_layer_log_det.size(); ++layer) {
      const double term = golden.At("per_layer_log_det").Row(layer)[row];
      log_det = std::max(log_det, WorstRelative({got.per_layer_log_det[layer]}, {term}));
    }
    if (golden.Has("tail_probability")) {
      tail =
          std::max(tail, std::fabs(flow.TailProbability(want) - golden.At("tail_probability").values[row]));
    }
    if (golden.Has("log_prob_any_class")) {
      const double any = flow.Encode(golden.At("x").Row(row), context).log_prob;
      log_prob = std::max(log_prob, WorstRelative({any}, {golden.At("log_prob_any_class").values[row]}));
    }
  }
  for (int64_t row = 0; row < golden.At("decode_in").rows(); ++row) {
    const std::vector<double> context =
        golden.Has("decode_context") ? golden.At("decode_context").Row(row) : std::vector<double>();
    const std::vector<double> got = flow.Decode(golden.At("decode_in").Row(row), context);
    decode = std::max(decode, WorstRelative(got, golden.At("decode_out").Row(row)));
  }
  std::printf("%s: log p %.2g, latent %.2g, log-dets %.2g, tail %.2g, decode %.2g\n", GetParam(), log_prob,
              latent, log_det, tail, decode);
  EXPECT_LE(log_prob, kGate);
  EXPECT_LE(latent, kGate);
  EXPECT_LE(log_det, kGate);
  EXPECT_LE(tail, kGate);
  EXPECT_LE(decode, kGate);
}

INSTANTIATE_TEST_SUITE_P(Fixtures, ReferenceGolden,
                         testing::Values("tiny-plu", "thyroid-glow", "digits-glow", "pendigits-qr",
                                         "mammography-context", "shuttle-nsf", "cardio-maf", "thyroid-iaf",
                                         "image-extras"));

// --- Jacobians and inverses ---

// The log-det that the layers claim, without the densities of priors and base.
double ClaimedLogDet(const FlowSpec& spec, const ReferenceEncoding& encoding) {
  double sum = 0;
  for (size_t i = 0; i < spec.layers.size(); ++i) {
    if (!std::holds_alternative<Split>(spec.layers[i].op)) sum += encoding.per_layer_log_det[i];
  }
  return sum;
}

void ExpectLogDetIsTheJacobians(const FlowSpec& spec, uint64_t seed) {
  SCOPED_TRACE("seed " + std::to_string(seed) + ", " + spec.layers.back().name);
  const ReferenceFlow flow(spec);
  const FlowRows rows = RandomRows(spec, seed, 3);
  for (int64_t row = 0; row < rows.rows; ++row) {
    const std::vector<double> context = rows.Context(row);
    const auto latent = [&](const std::vector<double>& x) { return flow.Encode(x, context).latent; };
    // Each value passes through some hundred roundings.
    const NumericLogDet numeric = NumericLogAbsDet(latent, rows.Numbers(row), 100 * kEpsilon);
    ASSERT_LT(numeric.error_bound, 1e-4) << "the difference quotients are too coarse to check anything";
    const double claimed = ClaimedLogDet(spec, flow.Encode(rows.Numbers(row), context));
    EXPECT_NEAR(claimed, numeric.log_abs_det, numeric.error_bound) << "row " << row;
  }
}

void ExpectDecodeInvertsEncode(const FlowSpec& spec, uint64_t seed) {
  SCOPED_TRACE("seed " + std::to_string(seed));
  const ReferenceFlow flow(spec);
  const FlowRows rows = RandomRows(spec, seed, 4);
  for (int64_t row = 0; row < rows.rows; ++row) {
    const std::vector<double> context = rows.Context(row);
    const std::vector<double> latent = flow.Encode(rows.Numbers(row), context).latent;
    // A few layers with condition numbers of a few; a byte logit stretches by 256 more.
    EXPECT_LE(WorstRelative(flow.Decode(latent, context), rows.Numbers(row)), 1e-10) << "row " << row;
  }
}

const EventShape kSmallShapes[] = {RowShape(1),         RowShape(2),         RowShape(5),        RowShape(12),
                                   ImageShape(3, 2, 2), ImageShape(1, 2, 4), ImageShape(2, 3, 2)};

// Smooth nets only: a kink between two points of a difference quotient would show as an error of the
// Jacobian, and the log-det does not depend on the net's derivative.
NetOptions SmoothNet() {
  NetOptions net;
  net.activation = ActivationKind::kSilu;
  net.residual = net.gate = net.concat = true;
  return net;
}

TEST(Reference, LogDetOfEveryLayerKindIsTheJacobians) {
  uint64_t seed = 100;
  for (const EventShape& shape : kSmallShapes) {
    for (int kind = 0; kind < kLayerKinds; ++kind) {
      const LayerKind layer = static_cast<LayerKind>(kind);
      if (layer == LayerKind::kCouplingAffine || layer == LayerKind::kCouplingAdditive) continue;  // below
      // In reference_spline_test.cc.
      if (layer == LayerKind::kCouplingSpline || layer == LayerKind::kAutoregressive) continue;
      RandomFlow builder(++seed, shape, 2);
      if (!builder.Fits(layer)) continue;
      ExpectLogDetIsTheJacobians(builder.Add(layer).Finish(BaseKind::kStandard), seed);
    }
    ++seed;
    ExpectLogDetIsTheJacobians(RandomFlow(seed, shape).AddByteLogit().Finish(BaseKind::kStandard), seed);
  }
}

TEST(Reference, LogDetOfEveryCouplingIsTheJacobians) {
  uint64_t seed = 500;
  for (const EventShape& shape : kSmallShapes) {
    if (shape.channels < 2) continue;
    for (int map = 0; map < 7; ++map) {
      for (const AffineOrder order : {AffineOrder::kScaleThenShift, AffineOrder::kShiftThenScale}) {
        const CouplingOptions options{static_cast<ScaleMap>(map), order, SmoothNet()};
        RandomFlow builder(++seed, shape, 2);
        ExpectLogDetIsTheJacobians(
            builder.AddPlu(Side::kOutput, true, true).AddCoupling(options).Finish(BaseKind::kStandard), seed);
      }
    }
    RandomFlow builder(++seed, shape, 2);
    ExpectLogDetIsTheJacobians(
        builder.AddFull(true).AddAdditiveCoupling(SmoothNet()).Finish(BaseKind::kStandard), seed);
  }
}

TEST(Reference, DecodeInvertsEncodeForRandomFlows) {
  uint64_t seed = 1000;
  for (const EventShape& shape : kSmallShapes) {
    for (const int64_t context_size : {0, 3}) {
      for (const int64_t classes : {0, 3}) {
        for (int repeat = 0; repeat < 5; ++repeat) {
          ++seed;
          ExpectDecodeInvertsEncode(AnyFlow(seed, shape, context_size, classes), seed);
        }
      }
    }
  }
}

// --- sampling and classes ---

TEST(Reference, MixtureIsTheWeightedSumOfItsClasses) {
  const FlowSpec spec = RandomFlow(3, RowShape(4), 0, 3)
                            .AddPlu(Side::kOutput, true, true)
                            .AddSplit(Half::kFirst, BaseKind::kClass)
                            .Finish(BaseKind::kClass);
  const ReferenceFlow flow(spec);
  const FlowRows rows = RandomRows(spec, 3, 5);
  const std::vector<double>& weights = std::get<ClassNormal>(spec.base).log_weight;
  for (int64_t row = 0; row < rows.rows; ++row) {
    double sum = 0, total = 0;
    for (int k = 0; k < 3; ++k) {
      total += std::exp(weights[k]);
      sum += std::exp(weights[k]) * std::exp(flow.Encode(rows.Numbers(row), {}, k).log_prob);
    }
    EXPECT_NEAR(flow.Encode(rows.Numbers(row), {}).log_prob, std::log(sum / total), 1e-12 * 20);
  }
}

TEST(Reference, SampleEncodesToItsOwnLatent) {
  for (uint64_t seed = 1; seed < 20; ++seed) {
    const FlowSpec spec = AnyFlow(seed, seed % 2 == 0 ? RowShape(5) : ImageShape(2, 2, 4), 1, 3);
    const ReferenceFlow flow(spec);
    const ReferenceSample sample = flow.Sample(seed, 7, 0.9, {0.5});
    EXPECT_LE(WorstRelative(flow.Encode(sample.x, {0.5}).latent, sample.latent), 1e-10) << "seed " << seed;
    EXPECT_GE(sample.class_drawn, 0);
    EXPECT_LT(sample.class_drawn, 3);
  }
}

TEST(Reference, TailProbabilityInterpolatesAndStopsAtTheEnds) {
  FlowSpec spec = RandomFlow(1, RowShape(2)).Finish(BaseKind::kStandard);
  spec.calibration = Calibration{{-4, -2, 0}, {0.1, 0.5, 0.9}};
  const ReferenceFlow flow(spec);
  EXPECT_DOUBLE_EQ(flow.TailProbability(-100), 0.1);
  EXPECT_DOUBLE_EQ(flow.TailProbability(-3), 0.3);
  EXPECT_DOUBLE_EQ(flow.TailProbability(-2), 0.5);
  EXPECT_DOUBLE_EQ(flow.TailProbability(1), 0.9);
}

TEST(Reference, ValuesOutsideTheLogitsSupportHaveNoDensity) {
  const FlowSpec spec = RandomFlow(1, RowShape(2)).AddByteLogit().Finish(BaseKind::kStandard);
  const ReferenceFlow flow(spec);
  EXPECT_TRUE(flow.Encode({0, 255}, {}).in_support);
  EXPECT_FALSE(flow.Encode({10, 1000}, {}).in_support);
  EXPECT_EQ(flow.Encode({-50, 3}, {}).log_prob, -HUGE_VAL);
}

}  // namespace
}  // namespace glowworm
