// Precision::kBfloat16: rounding, agreement with float32, what stays in float32, and the refusal where the
// processor has no bfloat16 products. ctest runs this a second time with DNNL_MAX_CPU_ISA=AVX2, for the
// refusal. That answers do not depend on the batch is invariance_test.cc's and product_test.cc's claim.

#include "model/cpu/bfloat16.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <limits>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "model/cpu/arena.h"
#include "model/flow.h"
#include "model/flow_spec.h"
#include "tests/testing/flow_rows.h"
#include "tests/testing/golden.h"
#include "tests/testing/random_flow.h"

namespace glowworm {
namespace {

// A number rounded to bfloat16, 8 significant bits, is off by at most this share of itself.
const double kRounding = std::ldexp(1.0, -9);
const double kFloat32Epsilon = std::numeric_limits<float>::epsilon();

class Bfloat16Test : public testing::Test {
 protected:
  void SetUp() override {
    const absl::Status can_compute = CheckPrecision(Precision::kBfloat16);
    if (!can_compute.ok()) GTEST_SKIP() << can_compute.message();
  }
};

std::unique_ptr<const Flow> Make(const FlowSpec& spec, Precision precision) {
  FlowOptions options;
  options.precision = precision;
  auto flow = Flow::Create(spec, options);
  EXPECT_TRUE(flow.ok()) << flow.status();
  return flow.ok() ? *std::move(flow) : nullptr;
}

// --- Refusal ---

TEST(Bfloat16Refusal, IsOneSentenceWhereTheProcessorHasNoBfloat16Products) {
  if (HasBfloat16Products()) GTEST_SKIP() << "this processor has them; bfloat16_test_avx2 hides them";
  const FlowSpec spec = RandomFlow(1, RowShape(4)).Finish(BaseKind::kStandard);
  FlowOptions options;
  options.precision = Precision::kBfloat16;
  const absl::Status refused = Flow::Create(spec, options).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(refused.message(),
            "bfloat16 needs a processor with AVX512-BF16 or AMX, and this one has neither");
}

TEST(Bfloat16Refusal, OthersRunEverywhere) {
  EXPECT_TRUE(CheckPrecision(Precision::kFloat32).ok());
  EXPECT_TRUE(CheckPrecision(Precision::kFloat64).ok());
}

TEST_F(Bfloat16Test, IsNamed) {
  const FlowSpec spec = RandomFlow(1, RowShape(4)).Finish(BaseKind::kStandard);
  EXPECT_EQ(Make(spec, Precision::kBfloat16)->info().precision, "bfloat16");
}

// --- Rounding ---

uint32_t Bits(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits;
}

// To nearest, ties to even, in integers.
uint16_t Nearest(float value) {
  const uint32_t bits = Bits(value);
  if ((bits & 0x7fffffff) < 0x00800000) return static_cast<uint16_t>((bits >> 31) << 15);  // denormals: 0
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

TEST_F(Bfloat16Test, RoundsToNearestTiesToEven) {
  Arena arena;
  constexpr int64_t kCount = 5000;  // no multiple of 16
  auto* from = arena.Take<float>(kCount);
  auto* to = arena.Take<uint16_t>(kCount);
  RandomNumbers random(3);
  for (int64_t i = 0; i < kCount; ++i) {
    const double magnitude = std::ldexp(random.Uniform(1, 2), static_cast<int>(random.Below(264)) - 140);
    from[i] = static_cast<float>(random.Coin() ? magnitude : -magnitude);
    uint32_t bits = Bits(from[i]);
    if (i % 3 == 0) bits = (bits & 0xffff0000) | 0x8000;  // a tie
    std::memcpy(&from[i], &bits, sizeof(bits));
  }
  from[1] = std::numeric_limits<float>::infinity();
  from[2] = std::numeric_limits<float>::max();  // nearer to infinity
  from[4] = std::numeric_limits<float>::quiet_NaN();
  RoundToBfloat16(kCount, from, to);
  for (int64_t i = 0; i < kCount; ++i) {
    if (i == 4) continue;
    ASSERT_EQ(to[i], Nearest(from[i])) << from[i];
  }
  EXPECT_GT(to[4] & 0x7fff, 0x7f80);  // still a NaN
}

// --- Exact numbers ---

// Weights in {-1, 0, 1}, two of them not 0 in a row of the matrix, bias in {-1, 0, 1}.
void MakeSmallIntegers(std::vector<double>& weight, std::vector<double>& bias, RandomNumbers& random) {
  const auto out = static_cast<int64_t>(bias.size());
  const int64_t in = static_cast<int64_t>(weight.size()) / out;
  std::fill(weight.begin(), weight.end(), 0.0);
  for (int64_t o = 0; o < out; ++o) {
    for (int i = 0; i < 2; ++i) weight[o * in + random.Below(in)] = random.Coin() ? 1 : -1;
    bias[o] = static_cast<double>(random.Below(3)) - 1;
  }
}
void MakeSmallIntegers(Net& net, RandomNumbers& random) {
  for (NetOp& op : net.ops) {
    if (auto* dense = std::get_if<Dense>(&op.op)) MakeSmallIntegers(dense->weight, dense->bias, random);
    if (auto* conv = std::get_if<Conv>(&op.op)) MakeSmallIntegers(conv->weight, conv->bias, random);
    if (auto* residual = std::get_if<Residual>(&op.op)) MakeSmallIntegers(residual->body, random);
  }
}

// bfloat16 holds integers up to 256 exactly, and two couplings of such nets stay below. So whatever the
// layout of weights, windows and sums, the answer is float32's to the bit.
TEST_F(Bfloat16Test, NetsOfSmallIntegersGiveFloat32sBits) {
  for (const EventShape& event : {RowShape(2), RowShape(13), RowShape(96), ImageShape(2, 3, 5),
                                  ImageShape(6, 8, 8), ImageShape(40, 4, 4)}) {
    for (int variant = 0; variant < 6; ++variant) {
      RandomNumbers random(100 + variant);
      NetOptions net;
      net.activation = ActivationKind::kRelu;
      net.pad = static_cast<Pad>(variant % 3);
      net.hidden = variant < 3 ? 33 : 9;
      net.residual = variant % 2 == 0;
      RandomFlow flow(variant, event);
      flow.AddAdditiveCoupling(net).AddPermutation().AddAdditiveCoupling(net);
      FlowSpec spec = flow.Finish(BaseKind::kStandard);
      for (Layer& layer : spec.layers) {
        if (auto* coupling = std::get_if<Coupling>(&layer.op)) MakeSmallIntegers(coupling->net, random);
      }
      FlowRows rows = RandomRows(spec, 5, 37);
      for (double& v : rows.numbers) v = std::clamp(std::round(v), -2.0, 2.0);
      const FlowAnswer want = EncodeRows(*Make(spec, Precision::kFloat32), rows);
      const FlowAnswer got = EncodeRows(*Make(spec, Precision::kBfloat16), rows);
      EXPECT_TRUE(SameBits(got.numbers, want.numbers)) << ShapeText(event) << " variant " << variant;
      EXPECT_TRUE(SameBits(got.log_likelihood, want.log_likelihood)) << ShapeText(event);
    }
  }
}

// --- The error, bounded ---

// Numbers, and how far two evaluations may be apart, one in float32 and one that rounds factors to bfloat16.
struct Bounded {
  std::vector<double> value, error;
};

// sum_i w_i h_i: both factors are rounded, (1 + u)^2, on top of what h is off by; then each of n additions
// and the bias lose a rounding of float32 on both sides.
Bounded Multiply(const Dense& dense, const Bounded& h) {
  Bounded out;
  const double relative = (1 + kRounding) * (1 + kRounding) - 1;
  for (int64_t o = 0; o < dense.out; ++o) {
    double sum = dense.bias[o], error = 0, magnitude = std::fabs(dense.bias[o]);
    for (int64_t i = 0; i < dense.in; ++i) {
      const double w = dense.weight[o * dense.in + i], size = std::fabs(h.value[i]) + h.error[i];
      sum += w * h.value[i];
      error += std::fabs(w) * (h.error[i] + relative * size);
      magnitude += std::fabs(w) * size * (1 + relative);
    }
    out.value.push_back(sum);
    out.error.push_back(error + 2 * static_cast<double>(dense.in + 2) * kFloat32Epsilon * magnitude);
  }
  return out;
}
// Dense, ReLU and residual ops.
Bounded Evaluate(const Net& net, Bounded h) {
  for (const NetOp& op : net.ops) {
    if (const auto* dense = std::get_if<Dense>(&op.op)) {
      h = Multiply(*dense, h);
    } else if (const auto* residual = std::get_if<Residual>(&op.op)) {
      const Bounded body = Evaluate(residual->body, h);
      for (size_t i = 0; i < h.value.size(); ++i) {
        h.value[i] += body.value[i];
        h.error[i] += body.error[i] + 2 * kFloat32Epsilon * (std::fabs(h.value[i]) + body.error[i]);
      }
    } else {  // ReLU brings nothing further apart
      for (double& v : h.value) v = std::max(v, 0.0);
    }
  }
  return h;
}

// One affine coupling of 2 T features: z_j = s_j b_j + t_j, s = sigmoid(raw + 2).
FlowSpec OneCoupling(int64_t transformed, uint64_t seed) {
  RandomNumbers random(seed);
  Coupling coupling;
  for (int64_t i = 0; i < transformed; ++i) {
    coupling.identity.push_back(i);
    coupling.transformed.push_back(transformed + i);
  }
  NetOptions net;
  net.activation = ActivationKind::kRelu;
  net.hidden = 64;
  net.residual = true;
  coupling.net = RandomNet(net, transformed, 2 * transformed, false, 0, random);
  coupling.transform = AffineTransform{ScaleMap::kSigmoid, AffineOrder::kScaleThenShift, 2, 0, 0};
  FlowSpec spec;
  spec.name = "one-coupling";
  spec.event = RowShape(2 * transformed);
  spec.layers.push_back({"coupling", coupling});
  spec.base = StandardNormal{};
  return spec;
}

TEST_F(Bfloat16Test, ErrorIsWithinWhatRoundingTheFactorsCosts) {
  constexpr int64_t kRows = 40;
  double worst_latent = 0, worst_log_prob = 0;
  for (const int64_t n : {1, 3, 12, 40}) {
    const FlowSpec spec = OneCoupling(n, 7 + n);
    const Net& net = std::get<Coupling>(spec.layers[0].op).net;
    FlowRows rows = RandomRows(spec, 5, kRows, DataType::kFloat32);
    const FlowAnswer want = EncodeRows(*Make(spec, Precision::kFloat32), rows);
    const FlowAnswer got = EncodeRows(*Make(spec, Precision::kBfloat16), rows);
    for (int64_t row = 0; row < kRows; ++row) {
      const std::vector<double> x = rows.Numbers(row), z = want.Numbers(row), other = got.Numbers(row);
      const Bounded out =
          Evaluate(net, {{x.begin(), x.begin() + n}, std::vector<double>(n, 0.0)});  // (2, T): shift, raw
      double bound = 1e-12 * std::fabs(want.log_likelihood[row]);  // log p is summed in float64
      for (int64_t j = 0; j < n; ++j) {
        EXPECT_EQ(z[j], other[j]);  // the identity half
        // |sigmoid'| <= 1/4 and |(log sigmoid)'| <= 1; the maps themselves run in float32 on both sides, some
        // 4 roundings each.
        const double shift = out.error[j], raw = out.error[n + j];
        const double latent = shift + std::fabs(x[n + j]) * raw / 4 +
                              8 * kFloat32Epsilon * (std::fabs(x[n + j]) + std::fabs(out.value[j]) + shift);
        const double error = std::fabs(other[n + j] - z[n + j]);
        EXPECT_LE(error, latent) << "row " << row << " of " << n;
        worst_latent = std::max(worst_latent, error / latent);
        const double scale = 2 + std::fabs(out.value[n + j]);
        bound += raw + 8 * kFloat32Epsilon * scale + latent * (std::fabs(z[n + j]) + latent / 2);
      }
      const double error = std::fabs(got.log_likelihood[row] - want.log_likelihood[row]);
      EXPECT_LE(error, bound) << "row " << row << " of " << n;
      worst_log_prob = std::max(worst_log_prob, error / bound);
    }
  }
  std::printf("bfloat16: latent %.2g, log p %.2g of what rounding may cost\n", worst_latent, worst_log_prob);
  // Products in float32 would be off by 2^-14 of the bound.
  EXPECT_GT(worst_latent, std::ldexp(1.0, -10));
}

TEST_F(Bfloat16Test, TheDirectionThatGoesFeatureByFeatureHasFloat32sBits) {
  AutoregressiveOptions options;
  options.parallel = ParallelDirection::kForward;
  const FlowSpec spec = RandomFlow(11, RowShape(7)).AddAutoregressive(options).Finish(BaseKind::kStandard);
  const FlowRows latents = RandomLatents(spec, 5, 21);
  const FlowAnswer want = DecodeRows(*Make(spec, Precision::kFloat32), latents);
  const FlowAnswer got = DecodeRows(*Make(spec, Precision::kBfloat16), latents);
  EXPECT_TRUE(SameBits(got.numbers, want.numbers));
}

// --- Trained flows ---

double Median(std::vector<double> values) {
  std::nth_element(values.begin(), values.begin() + values.size() / 2, values.end());
  return values[values.size() / 2];
}

// Prints each fixture's error of log p, for tests/bench/bfloat16.py: name, rows, the worst and the median
// error in float32, the same in bfloat16, nats, |log p| of the row with the latter worst error and the median
// |log p|. Rows that golden_test judges in float32.
TEST_F(Bfloat16Test, AnswersEveryOrdinaryRowOfTheFixtures) {
  for (const char* name : {"tiny-plu", "thyroid-glow", "digits-glow", "pendigits-qr", "mammography-context",
                           "shuttle-nsf", "cardio-maf", "thyroid-iaf", "image-extras"}) {
    const std::string folder = FixtureFolder(name);
    ASSERT_FALSE(folder.empty()) << name << " is missing in tests/golden";
    const Golden golden = ReadGolden(folder);
    const std::vector<double>& log_prob = golden.At("log_prob").values;
    FlowRows rows;
    rows.rows = golden.At("x").rows();
    rows.numbers = golden.At("x").values;
    if (golden.Has("context")) rows.context = golden.At("context").values;
    rows.class_label.assign(rows.rows, -1);
    for (int64_t i = 0; golden.Has("class_label") && i < rows.rows; ++i) {
      rows.class_label[i] = static_cast<int>(golden.At("class_label").values[i]);
    }
    std::printf("fixture\t%s", name);
    double magnitude_of_worst = 0;
    std::vector<double> magnitudes;
    for (const Precision precision : {Precision::kFloat32, Precision::kBfloat16}) {
      FlowOptions options;
      options.precision = precision;
      const auto flow = Flow::Load(FixtureFlowPath(folder), options);
      ASSERT_TRUE(flow.ok()) << flow.status();
      const FlowAnswer answer = EncodeRows(**flow, rows);
      std::vector<double> errors;
      magnitudes.clear();
      for (int64_t row = 0; row < std::min<int64_t>(rows.rows, kFirstExtremeRow); ++row) {
        if (!std::isfinite(log_prob[row]) || std::fabs(log_prob[row]) >= kExtremeLogProb) continue;
        EXPECT_EQ(answer.status[row], RowStatus::kOk) << name << " row " << row;
        errors.push_back(std::fabs(answer.log_likelihood[row] - log_prob[row]));
        magnitudes.push_back(std::fabs(log_prob[row]));
      }
      ASSERT_FALSE(errors.empty());
      magnitude_of_worst = magnitudes[std::max_element(errors.begin(), errors.end()) - errors.begin()];
      if (precision == Precision::kFloat32) std::printf("\t%zu", errors.size());
      std::printf("\t%.3g\t%.3g", *std::max_element(errors.begin(), errors.end()), Median(errors));
    }
    std::printf("\t%.3g\t%.3g\n", magnitude_of_worst, Median(magnitudes));
  }
}

}  // namespace
}  // namespace glowworm
