// Where float32 would fail if it were used: saturated scale maps, ill-conditioned matrices, raw data far from
// zero. The gates are those of tests/testing/agreement.h.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>
#include <vector>

#include "model/flow.h"
#include "tests/testing/agreement.h"
#include "tests/testing/random_flow.h"

namespace glowworm {
namespace {

class HardNumbersTest : public testing::TestWithParam<Precision> {
 protected:
  void ExpectAgreement(const FlowSpec& spec, AgreementOptions options, const FlowRows& rows) {
    options.precision = GetParam();
    const Agreement agreement = CompareWithReference(spec, options, rows);
    std::printf("%s: %s\n", testing::UnitTest::GetInstance()->current_test_info()->name(),
                agreement.Text().c_str());
    EXPECT_LE(agreement.Worst(), 1);
  }
};

// A coupling from one channel to `raw.size()` others whose raw scales are `raw`, whatever the row.
FlowSpec FixedRawScales(ScaleMap map, double epsilon, double clamp, const std::vector<double>& raw) {
  const int64_t transformed = static_cast<int64_t>(raw.size());
  RandomNumbers random(31);
  Coupling coupling;
  coupling.identity = {0};
  for (int64_t c = 1; c <= transformed; ++c) coupling.transformed.push_back(c);
  Dense dense;
  dense.in = 1;
  dense.out = 2 * transformed;
  dense.weight.assign(dense.out, 0);
  dense.bias = random.Normals(transformed, 0, 1);  // the shifts
  dense.bias.insert(dense.bias.end(), raw.begin(), raw.end());
  coupling.net.ops.push_back({dense});
  AffineTransform transform;
  transform.scale_map = map;
  transform.epsilon = epsilon;
  transform.clamp = clamp;
  coupling.transform = transform;
  RandomFlow builder(30, RowShape(transformed + 1));
  FlowSpec spec = builder.AddAffine(false).AddPlu(Side::kOutput, true, true).Finish(BaseKind::kStandard);
  spec.layers.push_back({"coupling", coupling});
  return spec;
}

TEST_P(HardNumbersTest, ScaleMapsKeepTheirLogarithmWhereTheySaturate) {
  const std::vector<double> shrinking = {-100, -60, -40, -30, -20, -17, -16, -10, -5, -1, 0, 1};
  std::vector<double> growing = shrinking;
  for (double& r : growing) r = -r;
  struct Case {
    ScaleMap map;
    double epsilon, clamp;
    bool shrinks;  // at very negative raw scales, and grows little at large ones
  };
  const Case cases[] = {{ScaleMap::kExp, 0, 0, true},         {ScaleMap::kSigmoid, 0, 0, true},
                        {ScaleMap::kSigmoid, 1e-3, 0, true},  {ScaleMap::kSigmoid, 0, 0, false},
                        {ScaleMap::kSigmoid, 1e-3, 0, false}, {ScaleMap::kInverseSigmoid, 0, 0, false},
                        {ScaleMap::kSoftplus, 0, 0, true},    {ScaleMap::kSoftplus, 1e-6, 5, false},
                        {ScaleMap::kTanhExp, 0, 3, true},     {ScaleMap::kTanhExp, 0, 3, false},
                        {ScaleMap::kAtanExp, 0, 3, true},     {ScaleMap::kAtanExp, 0, 3, false},
                        {ScaleMap::kSoftclipExp, 0, 3, true}, {ScaleMap::kSoftclipExp, 0, 3, false}};
  for (const Case& c : cases) {
    SCOPED_TRACE("map " + std::to_string(static_cast<int>(c.map)) +
                 (c.shrinks ? ", shrinking" : ", growing"));
    const FlowSpec spec = FixedRawScales(c.map, c.epsilon, c.clamp, c.shrinks ? shrinking : growing);
    AgreementOptions options;
    options.round_trip = options.decode = false;  // dividing by exp(-60) leaves nothing to compare
    ExpectAgreement(spec, options, RandomRows(spec, 3, 20));
  }
}

TEST_P(HardNumbersTest, IllConditionedMatricesRunInFloat64) {
  for (const double spread :
       {3.4, 4.5, 6.0}) {  // condition numbers of at least exp(2 spread): 900, 8e3, 1.6e5
    RandomFlow builder(41, RowShape(8));
    FlowSpec spec =
        builder.AddPlu(Side::kOutput, true, true).AddCoupling({}).AddFull(true).Finish(BaseKind::kStandard);
    std::vector<double>& log_abs_s =
        std::get<PluFactors>(std::get<Linear>(spec.layers[0].op).matrix).log_abs_s;
    for (int i = 0; i < 8; ++i) log_abs_s[i] = spread * (2 * i / 7.0 - 1);
    AgreementOptions options;
    options.round_trip = false;  // a float32 latent is not enough to come back by
    ExpectAgreement(spec, options, RandomRows(spec, 5, 20));
  }
}

// Mean over standard deviation of 1e4: rounding the data to float32 before standardising would cost 6e-4 a
// number.
TEST_P(HardNumbersTest, DataFarFromZeroIsStandardisedInFloat64) {
  for (const EventShape& shape : {RowShape(6), ImageShape(2, 4, 4)}) {
    for (const bool per_element : {false, true}) {
      RandomFlow builder(51, shape);
      builder.AddAffine(per_element).AddPermutation();
      if (shape.image) builder.AddSqueeze(SqueezeOrder::kChannelMajor);
      FlowSpec spec = builder.AddPlu(Side::kOutput, true, true).AddCoupling({}).Finish(BaseKind::kStandard);
      Affine& affine = std::get<Affine>(spec.layers[0].op);
      FlowRows rows = RandomRows(spec, 6, 20);
      const double mean = 1.7e7, deviation = 1.7e3;
      std::fill(affine.scale.begin(), affine.scale.end(), 1 / deviation);
      std::fill(affine.shift.begin(), affine.shift.end(), -mean / deviation);
      for (double& v : rows.numbers) v = mean + deviation * v;
      ExpectAgreement(spec, {}, rows);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Precisions, HardNumbersTest,
                         testing::Values(Precision::kFloat64, Precision::kFloat32),
                         [](const auto& param_info) {
                           return param_info.param == Precision::kFloat64 ? "Float64" : "Float32";
                         });

}  // namespace
}  // namespace glowworm
