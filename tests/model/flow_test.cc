// Tests of model/flow.h as a whole: loading, row statuses, calibration, memory and time on the compute path.
// Numbers are checked by golden_test.cc and differential_test.cc, bits by invariance_test.cc.

#include "model/flow.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <string>
#include <vector>

#include "model/flow_spec.h"
#include "tests/testing/allocation_count.h"

namespace glowworm {
namespace {

using testing::HasSubstr;

constexpr double kInf = std::numeric_limits<double>::infinity();

std::string GoldenFlow(const std::string& name) {
  return std::string(std::getenv("GLOWWORM_SOURCE_DIR")) + "/tests/golden/" + name + "/1/flow.safetensors";
}

std::unique_ptr<const Flow> LoadGolden(const std::string& name, Precision precision) {
  FlowOptions options;
  options.precision = precision;
  auto flow = Flow::Load(GoldenFlow(name), options);
  EXPECT_TRUE(flow.ok()) << flow.status();
  return *std::move(flow);
}

// Whether this processor's float32 products run at any number of rows (see model/cpu/product.h).
bool OneDnnRowsAreIndependent() {
  return __builtin_cpu_supports("avx512f") && std::getenv("DNNL_MAX_CPU_ISA") == nullptr;
}

// Rows of one value each, encoded together.
struct Encoded {
  std::vector<double> log_likelihood, tail, z;
  std::vector<RowStatus> status;
};
Encoded EncodeAll(const Flow& flow, const std::vector<std::vector<double>>& rows) {
  const size_t n = rows.size(), d = flow.info().event_size;
  Encoded out{std::vector<double>(n), std::vector<double>(n), std::vector<double>(n * d),
              std::vector<RowStatus>(n)};
  std::vector<EncodeRow> encode(n);
  for (size_t r = 0; r < n; ++r) {
    encode[r].x.data = rows[r].data();
    encode[r].z.data = out.z.data() + r * d;
    encode[r].log_likelihood = &out.log_likelihood[r];
    encode[r].tail_probability = &out.tail[r];
    encode[r].status = &out.status[r];
  }
  EXPECT_TRUE(flow.Encode(encode).ok());
  return out;
}

TEST(Flow, TinyPluGivesTheHandComputedAnswer) {
  const auto flow = LoadGolden("tiny-plu", Precision::kFloat64);
  const Encoded got = EncodeAll(*flow, {{0.5, -2, 1}});
  EXPECT_NEAR(got.log_likelihood[0], -4.63688115517932, 5e-14);
  EXPECT_NEAR(got.tail[0], 0.920389855603, 5e-12);
  EXPECT_NEAR(got.z[0], 0.4457008413, 5e-11);
}

TEST(Flow, ReportsItsLayersAndConditioning) {
  const auto flow = LoadGolden("tiny-plu", Precision::kFloat32);
  const FlowInfo& info = flow->info();
  ASSERT_EQ(info.layers.size(), 5u);
  EXPECT_EQ(info.layers[1].kind, "linear");
  EXPECT_DOUBLE_EQ(info.layers[1].log_abs_det, 0.25);
  EXPECT_DOUBLE_EQ(info.layers[1].max_abs_s, std::exp(0.5));
  EXPECT_GT(info.max_condition_number, 1);
  EXPECT_EQ(info.sha256.size(), 64u);
  EXPECT_EQ(info.precision, "float32");
  EXPECT_TRUE(info.has_calibration);
}

TEST(Flow, AMissingFileIsRefusedWithoutItsPath) {
  const auto flow = Flow::Load("/nowhere/flow.safetensors", {});
  ASSERT_FALSE(flow.ok());
  EXPECT_THAT(std::string(flow.status().message()), testing::Not(HasSubstr("nowhere")));
}

TEST(Flow, OneBadRowSpoilsNoOther) {
  for (const Precision precision : {Precision::kFloat32, Precision::kFloat64}) {
    const auto flow = LoadGolden("tiny-plu", precision);
    const std::vector<double> good = {0.5, -2, 1};
    const Encoded alone = EncodeAll(*flow, {good});
    const Encoded mixed =
        EncodeAll(*flow, {good, {NAN, 0, 0}, good, {0, kInf, 0}, {1e300, 1e300, 1e300}, good});
    for (size_t r : {0, 2, 5}) {
      EXPECT_EQ(mixed.log_likelihood[r], alone.log_likelihood[0]);
      EXPECT_EQ(mixed.status[r], RowStatus::kOk);
    }
    EXPECT_EQ(mixed.status[1], RowStatus::kNonFiniteInput);
    EXPECT_EQ(mixed.status[3], RowStatus::kNonFiniteInput);
    EXPECT_EQ(mixed.status[4], RowStatus::kNonFiniteResult);
    for (size_t r : {1, 3, 4}) {
      EXPECT_TRUE(std::isnan(mixed.log_likelihood[r]));
      EXPECT_TRUE(std::isnan(mixed.tail[r]));
      EXPECT_TRUE(std::isnan(mixed.z[3 * r]));
    }
  }
}

TEST(Flow, ARowOutsideTheSupportHasDensityZero) {
  const auto flow = LoadGolden("digits-glow", Precision::kFloat32);
  const Encoded got = EncodeAll(*flow, {std::vector<double>(64, -100.0), std::vector<double>(64, 8.0)});
  EXPECT_EQ(got.status[0], RowStatus::kOutOfSupport);
  EXPECT_EQ(got.log_likelihood[0], -kInf);
  EXPECT_EQ(got.tail[0], 0);
  EXPECT_TRUE(std::isnan(got.z[0]));
  EXPECT_EQ(got.status[1], RowStatus::kOk);
}

TEST(Flow, TailProbabilityInterpolatesAndClamps) {
  const auto flow = LoadGolden("tiny-plu", Precision::kFloat64);  // quantiles -40 -10 -6 -4, 0 1/4 3/4 1
  EXPECT_EQ(flow->TailProbability(-1000), 0);
  EXPECT_EQ(flow->TailProbability(0), 1);
  EXPECT_DOUBLE_EQ(flow->TailProbability(-8), 0.5);
  EXPECT_DOUBLE_EQ(flow->TailProbability(-10), 0.25);
  EXPECT_EQ(flow->TailProbability(-kInf), 0);
  EXPECT_TRUE(std::isnan(flow->TailProbability(NAN)));
}

// Encodes and samples `rows` rows; returns how often operator new was called.
int64_t AllocationsOf(const Flow& flow, size_t rows) {
  const size_t d = flow.info().event_size;
  const std::vector<float> x(rows * d, 0.5f);
  std::vector<float> out(rows * d);
  std::vector<double> log_likelihood(rows);
  std::vector<RowStatus> status(rows);
  std::vector<EncodeRow> encode(rows);
  std::vector<SampleRow> sample(rows);
  for (size_t r = 0; r < rows; ++r) {
    encode[r].x = {x.data() + r * d, DataType::kFloat32};
    encode[r].z = sample[r].x = {out.data() + r * d, DataType::kFloat32};
    encode[r].log_likelihood = &log_likelihood[r];
    encode[r].status = sample[r].status = &status[r];
    sample[r].index = r;
  }
  const int64_t before = AllocationCount();
  const bool computed = flow.Encode(encode).ok() && flow.Sample(sample).ok();
  const int64_t allocated = AllocationCount() - before;
  EXPECT_TRUE(computed);
  return allocated;
}

int64_t CountOf(const std::string& word, const std::string& text) {
  int64_t count = 0;
  for (size_t at = text.find(word); at != std::string::npos; at = text.find(word, at + 1)) ++count;
  return count;
}

TEST(Flow, AllocatesNothingOnTheComputePath) {
  for (const std::string name :
       {"digits-glow", "thyroid-glow", "shuttle-nsf", "cardio-maf", "thyroid-iaf", "image-extras"}) {
    const auto flow = LoadGolden(name, Precision::kFloat64);
    for (const size_t rows : {1, 7, 64})
      EXPECT_EQ(AllocationsOf(*flow, rows), 0) << name << ", " << rows << " rows";
  }
}

TEST(Flow, OneDnnAllocatesAFewSmallBlocksAProductWhateverTheRows) {
  if (!OneDnnRowsAreIndependent()) GTEST_SKIP() << "products run in blocks of 16 rows on this processor";
  for (const Precision precision : {Precision::kFloat32, Precision::kBfloat16}) {
    if (!CheckPrecision(precision).ok()) continue;
    for (const std::string name :
         {"digits-glow", "thyroid-glow", "shuttle-nsf", "cardio-maf", "thyroid-iaf", "image-extras"}) {
      const auto flow = LoadGolden(name, precision);
      const std::string plan = flow->DumpPlan();
      // Encode and Sample each run every product once.
      const int64_t products = 2 * (CountOf("mix ", plan) + CountOf("dense", plan) + CountOf("conv", plan));
      const int64_t one_row = AllocationsOf(*flow, 1);
      EXPECT_LE(one_row, 8 * products) << name;
      for (const size_t rows : {7, 24, 64})
        EXPECT_EQ(AllocationsOf(*flow, rows), one_row) << name << ", " << rows;
    }
  }
}

TEST(Flow, DenormalInputsCostWhatOthersDo) {
  const auto flow = LoadGolden("thyroid-glow", Precision::kFloat32);
  const auto seconds = [&](float value) {
    const std::vector<float> x(6, value);
    double log_likelihood;
    RowStatus status;
    EncodeRow row;
    row.x = {x.data(), DataType::kFloat32};
    row.log_likelihood = &log_likelihood;
    row.status = &status;
    const std::vector<EncodeRow> rows(256, row);
    double best = kInf;
    for (int round = 0; round < 9; ++round) {
      const auto begin = std::chrono::steady_clock::now();
      EXPECT_TRUE(flow->Encode(rows).ok());
      best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    }
    return best;
  };
  // Denormals in float arithmetic would cost 10 to 200 times as much.
  EXPECT_LT(seconds(1e-40f), 3 * seconds(0.1f));
}

TEST(Flow, AFlowWhoseRowWouldNotFitMemoryIsRefused) {
  FlowSpec spec;
  spec.name = "wide";
  spec.event = EventShape{2, 512, 512, true};
  Coupling coupling;
  coupling.identity = {0};
  coupling.transformed = {1};
  const int64_t hidden = 32768;  // 34 GB at every position of one image
  coupling.net.ops.push_back({Conv{hidden, 1, 1, std::vector<double>(hidden, 0.1), {}, Pad::kZero}});
  coupling.net.ops.push_back({Conv{2, hidden, 1, std::vector<double>(2 * hidden, 0.1), {}, Pad::kZero}});
  coupling.transform = AffineTransform{};
  spec.layers.push_back({"coupling", coupling});
  spec.base = StandardNormal{};
  const auto flow = Flow::Create(spec, {});
  ASSERT_EQ(flow.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(flow.status().message()), HasSubstr("one row needs a buffer of"));
}

TEST(Flow, AnAutoregressiveNetWhoseUnitsWouldNotFitMemoryIsRefused) {
  FlowSpec spec;
  spec.name = "deep";
  spec.event = EventShape{1};
  Autoregressive layer;
  layer.order = {0};
  const int64_t hidden = 32768;  // 200 times that for each of 16 rows
  layer.net.ops.push_back({Dense{hidden, 1, std::vector<double>(hidden, 0.0), {}}});
  for (int i = 0; i < 200; ++i) layer.net.ops.push_back({Activation{ActivationKind::kTanh, 0}});
  layer.net.ops.push_back({Dense{2, hidden, std::vector<double>(2 * hidden, 0.1), {}}});
  layer.transform = AffineTransform{};
  spec.layers.push_back({"maf", layer});
  spec.base = StandardNormal{};
  const auto flow = Flow::Create(spec, {});
  ASSERT_EQ(flow.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(flow.status().message()), HasSubstr("one row needs a buffer of"));
}

TEST(Flow, TheCallersFloatModeIsPutBack) {
  const auto flow = LoadGolden("tiny-plu", Precision::kFloat32);
  EncodeAll(*flow, {{0.5, -2, 1}});
  volatile double denormal = std::numeric_limits<double>::denorm_min();
  EXPECT_NE(denormal * 1.0, 0.0);
}

TEST(Flow, AnIllConditionedLayerKeepsItsPrecisionInFloat32) {
  // W = diag(100, 0.01) between two rotations by 0.7: its condition number is 1e4.
  FlowSpec spec;
  spec.name = "stretched";
  spec.event.channels = 2;
  const double c = std::cos(0.7), s = std::sin(0.7), big = 100, small = 0.01;
  spec.layers.push_back({"stretch", Linear{FullMatrix{{c * c * big + s * s * small, c * s * (big - small),
                                                       c * s * (big - small), s * s * big + c * c * small}},
                                           {}}});
  spec.base = StandardNormal{};
  FlowOptions narrow, wide;
  wide.precision = Precision::kFloat64;
  const auto flow32 = Flow::Create(spec, narrow);
  const auto flow64 = Flow::Create(spec, wide);
  ASSERT_TRUE(flow32.ok() && flow64.ok());
  EXPECT_THAT((*flow32)->DumpPlan(), HasSubstr("in float64"));
  // Along the small direction the products are 3000 and their sum is 0.3: float32 arithmetic would lose
  // 3000 eps of it. What may be lost is the rounding of the result alone, eps |y|^2 of log p.
  const std::vector<double> row = {static_cast<float>(-30 * s), static_cast<float>(30 * c)};
  const double got = EncodeAll(**flow32, {row}).log_likelihood[0];
  const double want = EncodeAll(**flow64, {row}).log_likelihood[0];
  const double squared = -2 * (want + std::log(2 * M_PI));  // |y|^2, since det W = 1
  EXPECT_NEAR(squared, 0.09, 0.01);
  EXPECT_NEAR(got, want, 2 * std::numeric_limits<float>::epsilon() * squared);
}

}  // namespace
}  // namespace glowworm
