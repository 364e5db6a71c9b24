// Samples as a pure function of (seed, index): known answers, exactness against the gold standard, the same
// bits for every split of a request, and the statistics of what comes out.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "model/flow.h"
#include "tests/testing/agreement.h"
#include "tests/testing/flow_rows.h"
#include "tests/testing/random_flow.h"
#include "tests/testing/reference_flow.h"
#include "tests/testing/reference_philox.h"
#include "tests/testing/test_device.h"

namespace glowworm {
namespace {

class SamplingTest : public testing::TestWithParam<Precision> {
 protected:
  std::unique_ptr<const Flow> Make(const FlowSpec& spec) {
    auto flow = Flow::Create(spec, OnTestDevice(GetParam()));
    EXPECT_TRUE(flow.ok()) << flow.status();
    return flow.ok() ? *std::move(flow) : nullptr;
  }
  bool float64() const { return GetParam() == Precision::kFloat64; }
  // Of a number of a row whose largest is `norm`.
  double Tolerance(const FlowSpec& spec, double norm) const {
    return float64() ? 1e-8 * norm : Float32Tolerance(spec, norm);
  }
};

double LargestOf(const std::vector<double>& values) {
  double largest = 1;
  for (double v : values) largest = std::max(largest, std::fabs(v));
  return largest;
}

// A flow that hands its latents through: a permutation, a split with a standard prior, a standard base.
FlowSpec NoiseFlow(int64_t channels) {
  FlowSpec spec = RandomFlow(1, RowShape(channels)).Finish(BaseKind::kStandard);
  spec.layers.clear();
  return spec;
}

TEST_P(SamplingTest, NoiseIsTheDesignsKnownAnswer) {
  SampleOptions options;
  options.seed = 42;
  options.rows = 2;
  const FlowAnswer answer = SampleRows(*Make(NoiseFlow(4)), options);
  const double want[] = {-0.66537486780734856, 1.036023808655465,    -1.4338891806537384,
                         0.42327818124445271,  -0.48595370776513486, -1.9755590917286678};
  const double tolerance = float64() ? 1e-12 : 1.2e-7;
  for (int i = 0; i < 6; ++i) EXPECT_NEAR(answer.numbers[i], want[i], tolerance * std::fabs(want[i])) << i;
}

TEST_P(SamplingTest, NoiseCountsInSixtyFourBits) {
  for (const uint64_t seed : {uint64_t{0}, uint64_t{1} << 33, ~uint64_t{0}}) {
    for (const uint64_t index : {uint64_t{5}, uint64_t{1} << 32, ~uint64_t{0} - 3}) {
      SampleOptions options;
      options.seed = seed;
      options.first_index = index;
      const FlowAnswer answer = SampleRows(*Make(NoiseFlow(7)), options);
      for (int d = 0; d < 7; ++d) {
        const double want = ReferenceNormal(seed, index, d);
        EXPECT_NEAR(answer.numbers[d], want, (float64() ? 1e-12 : 1.2e-7) * std::fabs(want));
      }
    }
  }
}

TEST_P(SamplingTest, SamplesAreTheGoldStandards) {
  uint64_t seed = 300;
  double worst = 0;
  for (const EventShape& shape :
       {RowShape(1), RowShape(5), RowShape(48), ImageShape(3, 4, 4), ImageShape(2, 2, 6)}) {
    for (const int64_t context_size : {0, 2}) {
      for (const int64_t classes : {0, 3}) {
        const FlowSpec spec = AnyFlow(++seed, shape, context_size, classes);
        const ReferenceFlow reference(spec);
        SampleOptions options;
        options.seed = seed * 1000003;
        options.first_index = seed;
        options.rows = 19;
        options.temperature = seed % 3 == 0 ? 0.5 : 1;
        options.class_label = classes > 0 && seed % 4 == 0 ? 1 : -1;
        options.context.assign(context_size, 0.7);
        const FlowAnswer answer = SampleRows(*Make(spec), options);
        for (int64_t row = 0; row < options.rows; ++row) {
          const ReferenceSample want =
              reference.Sample(options.seed, options.first_index + row, options.temperature, options.context,
                               options.class_label);
          EXPECT_EQ(answer.status[row], RowStatus::kOk);
          EXPECT_EQ(answer.class_drawn[row], want.class_drawn) << spec.name << " row " << row;
          const std::vector<double> got = answer.Numbers(row);
          const double tolerance = Tolerance(spec, LargestOf(want.x));
          for (size_t d = 0; d < got.size(); ++d) {
            worst = std::max(worst, std::fabs(got[d] - want.x[d]) / tolerance);
            ASSERT_NEAR(got[d], want.x[d], tolerance) << spec.name << " row " << row;
          }
        }
      }
    }
  }
  std::printf("samples: %.2g of their gate\n", worst);
}

// Where every prior is standard the noise is the latent.
TEST_P(SamplingTest, SampleIsDecodeOfTheNoise) {
  RandomFlow builder(21, ImageShape(3, 4, 4));
  builder.AddPlu(Side::kOutput, true, true).AddSqueeze(SqueezeOrder::kChannelMajor).AddCoupling({});
  builder.AddSplit(Half::kFirst, BaseKind::kStandard).AddQr(true, true).AddCoupling({});
  const FlowSpec spec = builder.Finish(BaseKind::kStandard);
  const auto flow = Make(spec);
  SampleOptions options;
  options.seed = 9;
  options.rows = 17;
  FlowRows noise;
  noise.rows = options.rows;
  noise.class_label.assign(options.rows, -1);
  for (int64_t row = 0; row < noise.rows; ++row) {
    for (int64_t d = 0; d < spec.event.size(); ++d) noise.numbers.push_back(ReferenceNormal(9, row, d));
  }
  const std::vector<double> sampled = SampleRows(*flow, options).numbers;
  const std::vector<double> decoded = DecodeRows(*flow, noise).numbers;
  const double tolerance = Tolerance(spec, LargestOf(decoded));
  for (size_t i = 0; i < decoded.size(); ++i) EXPECT_NEAR(sampled[i], decoded[i], tolerance);
}

TEST_P(SamplingTest, EverySplitOfTheIndicesGivesTheSameBits) {
  for (const EventShape& shape : {RowShape(6), ImageShape(2, 4, 4)}) {
    const auto flow = Make(AnyFlow(55, shape, 1, 3));
    SampleOptions whole;
    whole.seed = 7;
    whole.rows = 100;
    whole.context = {0.2};
    const FlowAnswer want = SampleRows(*flow, whole);
    RandomNumbers random(3);
    for (int64_t first = 0; first < whole.rows;) {
      SampleOptions part = whole;
      part.first_index = static_cast<uint64_t>(first);
      part.rows = std::min(1 + random.Below(20), whole.rows - first);
      const FlowAnswer got = SampleRows(*flow, part);
      for (int64_t i = 0; i < part.rows; ++i) {
        EXPECT_TRUE(SameBits(got.Numbers(i), want.Numbers(first + i))) << "sample " << first + i;
        EXPECT_TRUE(SameBits(got.log_likelihood[i], want.log_likelihood[first + i]))
            << "sample " << first + i;
        EXPECT_EQ(got.class_drawn[i], want.class_drawn[first + i]) << "sample " << first + i;
      }
      first += part.rows;
    }
  }
}

TEST_P(SamplingTest, TemperatureZeroDecodesTheMeans) {
  RandomFlow builder(8, RowShape(6));
  builder.AddPlu(Side::kOutput, true, true).AddCoupling({}).AddSplit(Half::kSecond, BaseKind::kDiagElement);
  const FlowSpec spec = builder.AddFull(true).Finish(BaseKind::kDiagElement);
  const auto flow = Make(spec);
  FlowRows means;
  means.rows = 1;
  means.class_label = {-1};
  means.numbers = std::get<DiagNormal>(std::get<Split>(spec.layers[2].op).prior).mean;
  const std::vector<double>& base = std::get<DiagNormal>(spec.base).mean;
  means.numbers.insert(means.numbers.end(), base.begin(), base.end());
  const std::vector<double> want = DecodeRows(*flow, means).numbers;
  SampleOptions options;
  options.rows = 3;
  options.temperature = 0;
  const FlowAnswer got = SampleRows(*flow, options);
  for (int64_t row = 0; row < 3; ++row) {
    for (int64_t d = 0; d < 6; ++d)
      EXPECT_NEAR(got.Numbers(row)[d], want[d], Tolerance(spec, LargestOf(want)));
  }
}

TEST_P(SamplingTest, LogLikelihoodIsEncodesBitForBit) {
  for (const DataType out : {DataType::kFloat32, DataType::kFloat64}) {
    for (const int label : {-1, 0, 2}) {
      const auto flow = Make(AnyFlow(71, RowShape(5), 2, 3));
      SampleOptions options;
      options.seed = 13;
      options.rows = 33;
      options.temperature = 0.8;
      options.context = {0.1, -0.4};
      options.class_label = label;
      options.out = out;
      const FlowAnswer sampled = SampleRows(*flow, options);
      FlowRows rows;
      rows.rows = options.rows;
      rows.numbers = sampled.numbers;
      rows.class_label.assign(options.rows, label);
      for (int64_t i = 0; i < rows.rows; ++i) {
        rows.context.insert(rows.context.end(), options.context.begin(), options.context.end());
      }
      AnswerOptions encode;
      encode.in = encode.out = out;
      EXPECT_TRUE(SameBits(EncodeRows(*flow, rows, encode).log_likelihood, sampled.log_likelihood)) << label;
    }
  }
}

// --- statistics: bounds of five standard errors, on fixed seeds ---

TEST_P(SamplingTest, ClassesAreDrawnByTheirWeights) {
  FlowSpec spec = RandomFlow(4, RowShape(2), 0, 3).Finish(BaseKind::kClass);
  std::get<ClassNormal>(spec.base).log_weight = {std::log(2.0), std::log(5.0),
                                                 std::log(3.0)};  // not normalised
  constexpr int64_t kSamples = 20000;
  SampleOptions options;
  options.rows = kSamples;
  options.seed = 5;
  const FlowAnswer answer = SampleRows(*Make(spec), options);
  const double probability[] = {0.2, 0.5, 0.3};
  for (int k = 0; k < 3; ++k) {
    const auto drawn = std::count(answer.class_drawn.begin(), answer.class_drawn.end(), k);
    const double deviation = std::sqrt(kSamples * probability[k] * (1 - probability[k]));
    EXPECT_NEAR(drawn, kSamples * probability[k], 5 * deviation) << "class " << k;
  }
}

TEST_P(SamplingTest, NoiseHasTheMomentsOfANormal) {
  constexpr int64_t kSamples = 20000;
  constexpr int64_t kChannels = 5;  // odd: the last normal of a row leaves its block's second unused
  SampleOptions options;
  options.rows = kSamples;
  options.seed = 17;
  const std::vector<double> x = SampleRows(*Make(NoiseFlow(kChannels)), options).numbers;
  const double n = kSamples;
  for (int64_t a = 0; a < kChannels; ++a) {
    for (int64_t b = a; b < kChannels; ++b) {
      double product = 0, mean = 0, fourth = 0;
      for (int64_t i = 0; i < kSamples; ++i) {
        const double u = x[i * kChannels + a], v = x[i * kChannels + b];
        mean += u / n;
        product += u * v / n;
        fourth += u * u * u * u / n;
      }
      EXPECT_NEAR(mean, 0, 5 / std::sqrt(n));
      EXPECT_NEAR(product, a == b ? 1 : 0, 5 * std::sqrt((a == b ? 2 : 1) / n)) << a << ", " << b;
      EXPECT_NEAR(fourth, 3, 5 * std::sqrt(96 / n));  // Var(u^4) = 105 - 9
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Precisions, SamplingTest, testing::Values(Precision::kFloat64, Precision::kFloat32),
                         [](const auto& param_info) {
                           return param_info.param == Precision::kFloat64 ? "Float64" : "Float32";
                         });

}  // namespace
}  // namespace glowworm
