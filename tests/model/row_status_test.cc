// What becomes of rows that are not finite, overflow, lie outside the support or mix number types: each row's
// status and numbers are its own.

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "model/flow.h"
#include "tests/testing/flow_rows.h"
#include "tests/testing/random_flow.h"
#include "tests/testing/reference_flow.h"
#include "tests/testing/test_device.h"

namespace glowworm {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

class RowStatusTest : public testing::TestWithParam<Precision> {
 protected:
  std::unique_ptr<const Flow> Make(const FlowSpec& spec) {
    auto flow = Flow::Create(spec, OnTestDevice(GetParam()));
    EXPECT_TRUE(flow.ok()) << flow.status();
    return flow.ok() ? *std::move(flow) : nullptr;
  }
};

FlowSpec RowFlow(int64_t context_size, int64_t num_classes) {
  RandomFlow flow(11, RowShape(4), context_size, num_classes);
  CouplingOptions options;
  options.net.concat = true;
  flow.AddPlu(Side::kOutput, true, true).AddCoupling(options).AddPlu(Side::kInput, true, true);
  return flow.Finish(num_classes > 0 ? BaseKind::kClass : BaseKind::kStandard);
}

FlowRows OneRow(std::vector<double> numbers, std::vector<double> context = {}) {
  FlowRows rows;
  rows.rows = 1;
  rows.numbers = std::move(numbers);
  rows.context = std::move(context);
  rows.class_label = {-1};
  return rows;
}

void ExpectAllNan(const std::vector<double>& values) {
  for (double v : values) EXPECT_TRUE(std::isnan(v)) << v;
}

TEST_P(RowStatusTest, NonFiniteInputIsNamedAndAnsweredWithNan) {
  for (const int64_t classes : {0, 3}) {
    const auto flow = Make(RowFlow(0, classes));
    for (const double bad : {kNan, kInfinity, -kInfinity}) {
      for (int64_t at = 0; at < 4; ++at) {
        FlowRows row = OneRow({0.1, 0.2, 0.3, 0.4});
        row.numbers[at] = bad;
        const FlowAnswer encoded = EncodeRows(*flow, row);
        EXPECT_EQ(encoded.status[0], RowStatus::kNonFiniteInput);
        EXPECT_TRUE(std::isnan(encoded.log_likelihood[0]));
        EXPECT_TRUE(std::isnan(encoded.tail_probability[0]));
        ExpectAllNan(encoded.numbers);
        const FlowAnswer decoded = DecodeRows(*flow, row);
        EXPECT_EQ(decoded.status[0], RowStatus::kNonFiniteInput);
        ExpectAllNan(decoded.numbers);
      }
    }
  }
}

TEST_P(RowStatusTest, NonFiniteContextIsNonFiniteInput) {
  const auto flow = Make(RowFlow(2, 0));
  for (const double bad : {kNan, kInfinity}) {
    const FlowRows row = OneRow({0.1, 0.2, 0.3, 0.4}, {0.5, bad});
    const FlowAnswer encoded = EncodeRows(*flow, row);
    EXPECT_EQ(encoded.status[0], RowStatus::kNonFiniteInput);
    EXPECT_TRUE(std::isnan(encoded.log_likelihood[0]));
    EXPECT_EQ(DecodeRows(*flow, row).status[0], RowStatus::kNonFiniteInput);
    SampleOptions sample;
    sample.context = {bad, 0.5};
    const FlowAnswer sampled = SampleRows(*flow, sample);
    EXPECT_EQ(sampled.status[0], RowStatus::kNonFiniteInput);
    ExpectAllNan(sampled.numbers);
  }
}

TEST_P(RowStatusTest, OverflowIsNonFiniteResult) {
  for (const int64_t classes : {0, 3}) {
    const auto flow = Make(RowFlow(0, classes));
    const FlowRows row = OneRow({1e308, -1e308, 1e308, 1e308});
    const FlowAnswer encoded = EncodeRows(*flow, row);
    EXPECT_EQ(encoded.status[0], RowStatus::kNonFiniteResult);
    EXPECT_TRUE(std::isnan(encoded.log_likelihood[0]));
    EXPECT_TRUE(std::isnan(encoded.tail_probability[0]));
    ExpectAllNan(encoded.numbers);
  }
}

// A coupling of two channels whose net is dense, ReLU, dense, with these weights.
FlowSpec ReluFlow(double in_weight, double raw_scale) {
  FlowSpec spec;
  spec.name = "relu";
  spec.event = RowShape(2);
  Coupling coupling;
  coupling.identity = {0};
  coupling.transformed = {1};
  coupling.net.ops.push_back({Dense{2, 1, {in_weight, -in_weight}, {}}});
  coupling.net.ops.push_back({Activation{}});
  coupling.net.ops.push_back({Dense{2, 2, {0, 0, 0, 0}, {0.5, raw_scale}}});
  coupling.transform = AffineTransform{};
  spec.layers.push_back({"coupling", coupling});
  spec.base = StandardNormal{};
  return spec;
}

TEST_P(RowStatusTest, AScaleThatLeavesTheRangeIsNonFiniteResult) {
  const bool wide = GetParam() == Precision::kFloat64;
  const double beyond = wide ? 800 : 100;  // exp of it overflows, and of minus it vanishes
  const auto growing = Make(ReluFlow(1, beyond));
  EXPECT_EQ(EncodeRows(*growing, OneRow({0.1, 0.2})).status[0], RowStatus::kNonFiniteResult);
  const auto shrinking = Make(ReluFlow(1, -beyond));
  EXPECT_EQ(DecodeRows(*shrinking, OneRow({0.1, 0.2})).status[0], RowStatus::kNonFiniteResult);
  const auto largest = Make(ReluFlow(1, wide ? 300 : 80));
  EXPECT_EQ(EncodeRows(*largest, OneRow({0.1, 1e-20})).status[0], RowStatus::kOk);
}

// Inf and NaN inside a network may come out of a ReLU as zero, and the answer would be wrong and look right.
TEST_P(RowStatusTest, AnOverflowInsideANetworkIsNotHiddenByItsActivation) {
  const bool wide = GetParam() == Precision::kFloat64;
  const auto flow = Make(ReluFlow(wide ? 1e160 : 1e20, 0));
  const FlowAnswer answer = EncodeRows(*flow, OneRow({wide ? 1e155 : 1e20, 0.2}));
  EXPECT_EQ(answer.status[0], RowStatus::kNonFiniteResult);
  EXPECT_TRUE(std::isnan(answer.log_likelihood[0]));
  EXPECT_EQ(DecodeRows(*flow, OneRow({wide ? 1e155 : 1e20, 0.2})).status[0], RowStatus::kNonFiniteResult);
}

// Feature 1 by feature 0, through dense, ReLU, dense: an overflow that the ReLU and the zeros behind it hide.
FlowSpec AutoregressiveReluFlow(double in_weight, ParallelDirection parallel) {
  FlowSpec spec;
  spec.name = "relu";
  spec.event = RowShape(2);
  Autoregressive layer;
  layer.order = {0, 1};
  layer.net.ops.push_back({Dense{2, 2, {in_weight, 0, -in_weight, 0}, {}}});
  layer.net.ops.push_back({Activation{}});
  layer.net.ops.push_back({Dense{4, 2, {0, 0, 0, 0, 1e-30, -1e-30, 0, 0}, {0, 0, 0.5, 0.1}}});
  layer.parallel = parallel;
  layer.transform = AffineTransform{};
  spec.layers.push_back({"autoregressive", layer});
  spec.base = StandardNormal{};
  return spec;
}

TEST_P(RowStatusTest, AnOverflowInsideAMaskedNetworkIsNotHiddenInEitherDirection) {
  const bool wide = GetParam() == Precision::kFloat64;
  for (const ParallelDirection parallel : {ParallelDirection::kForward, ParallelDirection::kInverse}) {
    const auto tame = Make(AutoregressiveReluFlow(1, parallel));
    EXPECT_EQ(EncodeRows(*tame, OneRow({0.1, 0.2})).status[0], RowStatus::kOk);
    EXPECT_EQ(DecodeRows(*tame, OneRow({0.1, 0.2})).status[0], RowStatus::kOk);
    const auto flow = Make(AutoregressiveReluFlow(wide ? 1e160 : 1e20, parallel));
    for (const double sign : {-1.0, 1.0}) {
      const FlowRows row = OneRow({sign * (wide ? 1e155 : 1e20), 0.2});
      EXPECT_EQ(EncodeRows(*flow, row).status[0], RowStatus::kNonFiniteResult);
      EXPECT_EQ(DecodeRows(*flow, row).status[0], RowStatus::kNonFiniteResult);
    }
  }
}

TEST_P(RowStatusTest, NonFiniteInputOfSplinesAndAutoregressiveLayersIsNamed) {
  for (const LayerKind kind : {LayerKind::kCouplingSpline, LayerKind::kAutoregressive}) {
    for (uint64_t seed = 1; seed < 9; ++seed) {
      const auto flow = Make(RandomFlow(seed, RowShape(4)).Add(kind).Finish(BaseKind::kStandard));
      for (const double bad : {kNan, kInfinity, -kInfinity}) {
        for (int64_t at = 0; at < 4; ++at) {
          FlowRows row = OneRow({0.1, 0.2, 0.3, 0.4});
          row.numbers[at] = bad;
          EXPECT_EQ(EncodeRows(*flow, row).status[0], RowStatus::kNonFiniteInput);
          EXPECT_EQ(DecodeRows(*flow, row).status[0], RowStatus::kNonFiniteInput);
        }
      }
    }
  }
}

TEST_P(RowStatusTest, ALatentThatOverflowsItsTypeLeavesTheLogLikelihood) {
  if (GetParam() == Precision::kFloat32) GTEST_SKIP() << "float32 latents fit float32";
  FlowSpec spec;
  spec.name = "stretch";
  spec.event = RowShape(1);
  spec.layers.push_back({"affine", Affine{false, {1e10}, {0}}});
  spec.base = StandardNormal{};
  const auto flow = Make(spec);
  AnswerOptions options;
  options.out = DataType::kFloat32;
  const FlowAnswer narrow = EncodeRows(*flow, OneRow({1e30}), options);
  EXPECT_EQ(narrow.status[0], RowStatus::kNonFiniteResult);
  ExpectAllNan(narrow.numbers);
  options.want_numbers = false;
  EXPECT_TRUE(SameBits(narrow.log_likelihood, EncodeRows(*flow, OneRow({1e30}), options).log_likelihood));
  EXPECT_TRUE(std::isfinite(narrow.log_likelihood[0]));
}

TEST_P(RowStatusTest, LargeNumbersAreFiniteOrSaySo) {
  const auto flow = Make(RowFlow(0, 0));
  for (double size = 1; size < 1e300; size *= 1e3) {
    const FlowAnswer answer = EncodeRows(*flow, OneRow({size, -size, 0, size}));
    const bool ok = answer.status[0] == RowStatus::kOk;
    EXPECT_EQ(ok, std::isfinite(answer.log_likelihood[0])) << size;
    for (double z : answer.numbers) EXPECT_EQ(ok, std::isfinite(z)) << size;
    EXPECT_TRUE(ok || answer.status[0] == RowStatus::kNonFiniteResult) << size;
    EXPECT_TRUE(ok || size > 1e15) << "a float32 has room for this";
  }
}

TEST_P(RowStatusTest, DenormalsAreAsGoodAsZero) {
  const FlowSpec spec = RowFlow(0, 0);
  const auto flow = Make(spec);
  const ReferenceFlow reference(spec);
  const double zero = reference.Encode({0, 0, 0, 0}, {}).log_prob;
  const double tolerance = GetParam() == Precision::kFloat64 ? 1e-8 : 2e-5;
  for (const double tiny : {1e-310, -4.9e-324, 1e-40, -1e-44}) {
    const FlowAnswer answer = EncodeRows(*flow, OneRow({tiny, 0, -tiny, tiny}));
    EXPECT_EQ(answer.status[0], RowStatus::kOk);
    EXPECT_NEAR(answer.log_likelihood[0], zero, tolerance);
  }
}

TEST_P(RowStatusTest, OutsideTheSupportTheLogLikelihoodIsMinusInfinity) {
  RandomFlow builder(5, ImageShape(2, 2, 2));
  builder.AddByteLogit().AddPlu(Side::kOutput, true, true).Add(LayerKind::kCouplingAffine);
  const auto flow = Make(builder.Finish(BaseKind::kStandard));
  for (const double outside : {-20.0, 300.0, 1e30, -1e300}) {
    for (int64_t at = 0; at < 8; ++at) {
      FlowRows row = OneRow(std::vector<double>(8, 100));
      EXPECT_EQ(EncodeRows(*flow, row).status[0], RowStatus::kOk);
      row.numbers[at] = outside;
      const FlowAnswer answer = EncodeRows(*flow, row);
      EXPECT_EQ(answer.status[0], RowStatus::kOutOfSupport);
      EXPECT_EQ(answer.log_likelihood[0], -kInfinity);
      EXPECT_EQ(answer.tail_probability[0], 0);
      ExpectAllNan(answer.numbers);
    }
  }
}

TEST_P(RowStatusTest, BytesAtTheEdgesAreInTheSupport) {
  RandomFlow builder(5, RowShape(3));
  const auto flow = Make(builder.AddByteLogit().AddFull(true).Finish(BaseKind::kStandard));
  AnswerOptions bytes;
  bytes.in = DataType::kUint8;
  EXPECT_EQ(EncodeRows(*flow, OneRow({0, 255, 128}), bytes).status[0], RowStatus::kOk);
}

TEST_P(RowStatusTest, NumberTypesMixFreelyWithinABatch) {
  const FlowSpec spec = RowFlow(0, 3);
  const auto flow = Make(spec);
  constexpr int64_t kRows = 21;
  const FlowRows rows = RandomRows(spec, 3, kRows, DataType::kUint8);  // numbers that every type holds
  const FlowAnswer want = EncodeRows(*flow, rows);
  std::vector<uint8_t> bytes;
  std::vector<float> floats;
  for (double v : rows.numbers) {
    bytes.push_back(static_cast<uint8_t>(v));
    floats.push_back(static_cast<float>(v));
  }
  std::vector<EncodeRow> calls(kRows);
  std::vector<double> log_likelihood(kRows), wide(4 * kRows);
  std::vector<float> narrow(4 * kRows);
  std::vector<RowStatus> status(kRows);
  for (int64_t i = 0; i < kRows; ++i) {
    const RowInput inputs[] = {{&bytes[4 * i], DataType::kUint8},
                               {&floats[4 * i], DataType::kFloat32},
                               {&rows.numbers[4 * i], DataType::kFloat64}};
    calls[i].x = inputs[i % 3];
    calls[i].class_label = rows.class_label[i];
    if (i % 4 == 1) calls[i].z = {&wide[4 * i], DataType::kFloat64};
    if (i % 4 == 2) calls[i].z = {&narrow[4 * i], DataType::kFloat32};
    calls[i].log_likelihood = &log_likelihood[i];
    calls[i].status = &status[i];
  }
  EXPECT_TRUE(flow->Encode(absl::MakeConstSpan(calls)).ok());
  EXPECT_TRUE(SameBits(log_likelihood, want.log_likelihood));
  for (int64_t i = 0; i < kRows; ++i) {
    for (int64_t n = 4 * i; n < 4 * i + 4; ++n) {
      const double expected =
          i % 4 == 1 || i % 4 == 2 ? want.numbers[n] : 0;  // 0: not asked for, not written
      EXPECT_EQ(wide[n], i % 4 == 1 ? expected : 0);
      EXPECT_EQ(narrow[n], i % 4 == 2 ? static_cast<float>(expected) : 0);
    }
  }
}

TEST_P(RowStatusTest, AnEmptyBatchIsAnswered) {
  const auto flow = Make(RowFlow(0, 0));
  EXPECT_TRUE(EncodeRows(*flow, FlowRows()).status.empty());
  EXPECT_TRUE(DecodeRows(*flow, FlowRows()).status.empty());
}

INSTANTIATE_TEST_SUITE_P(Precisions, RowStatusTest, testing::Values(Precision::kFloat64, Precision::kFloat32),
                         [](const auto& param_info) {
                           return param_info.param == Precision::kFloat64 ? "Float64" : "Float32";
                         });

}  // namespace
}  // namespace glowworm
