// Every executor against the gold standard: random flows over every kind of layer, net and base, every size,
// dtype and batch. What the numbers may differ by stands in tests/testing/agreement.h; each test prints the
// worst share of it that was used.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "model/flow.h"
#include "tests/testing/agreement.h"
#include "tests/testing/flow_rows.h"
#include "tests/testing/jacobian.h"
#include "tests/testing/random_flow.h"
#include "tests/testing/test_device.h"

namespace glowworm {
namespace {

constexpr int kScaleMaps = 7, kActivations = 8;

class DifferentialTest : public testing::TestWithParam<Precision> {
 protected:
  void TearDown() override {
    std::printf("%s %s: %s\n", GetParam() == Precision::kFloat64 ? "float64" : "float32",
                testing::UnitTest::GetInstance()->current_test_info()->name(), worst_.Text().c_str());
  }

  // `claim` says which flow it was, should it fail.
  void ExpectAgreement(const FlowSpec& spec, const std::string& claim, AgreementOptions options = {}) {
    options.precision = GetParam();
    options.seed = ++row_seed_;
    const Agreement agreement = CompareWithReference(spec, options);
    EXPECT_LE(agreement.Worst(), 1) << claim << " (" << spec.name << ", " << options.rows
                                    << " rows): " << agreement.Text();
    worst_.Merge(agreement);
  }

  uint64_t row_seed_ = 0;
  Agreement worst_;
};

const EventShape kShapes[] = {RowShape(1),         RowShape(2),         RowShape(3),
                              RowShape(5),         RowShape(12),        RowShape(48),
                              RowShape(192),       ImageShape(3, 8, 8), ImageShape(1, 4, 4),
                              ImageShape(2, 6, 4), ImageShape(12, 4, 4)};

TEST_P(DifferentialTest, EveryLayerKindOnEveryShape) {
  uint64_t seed = 0;
  for (const EventShape& shape : kShapes) {
    for (int kind = 0; kind < kLayerKinds; ++kind) {
      RandomFlow builder(++seed, shape);
      const LayerKind layer = static_cast<LayerKind>(kind);
      if (!builder.Fits(layer)) continue;
      // Between two linear layers, so that it stands in the middle, where the server's precision holds.
      builder.AddPlu(Side::kOutput, true, true).Add(layer).AddPlu(Side::kInput, true, false);
      ExpectAgreement(builder.Finish(BaseKind::kDiagElement),
                      ShapeText(shape) + " layer kind " + std::to_string(kind));
    }
  }
}

TEST_P(DifferentialTest, EveryLayerKindAlone) {
  uint64_t seed = 1000;
  for (const EventShape& shape : {RowShape(1), RowShape(5), ImageShape(3, 4, 2)}) {
    for (int kind = 0; kind < kLayerKinds; ++kind) {
      RandomFlow builder(++seed, shape);
      const LayerKind layer = static_cast<LayerKind>(kind);
      if (!builder.Fits(layer)) continue;
      ExpectAgreement(builder.Add(layer).Finish(BaseKind::kStandard),
                      ShapeText(shape) + " layer kind " + std::to_string(kind) + " alone");
    }
    RandomFlow logit(++seed, shape);
    ExpectAgreement(logit.AddByteLogit().Finish(BaseKind::kStandard), ShapeText(shape) + " logit alone");
    ExpectAgreement(RandomFlow(++seed, shape).Finish(BaseKind::kDiagElement), ShapeText(shape) + " no layer");
  }
}

TEST_P(DifferentialTest, EveryScaleMapInBothOrders) {
  uint64_t seed = 2000;
  for (const EventShape& shape : {RowShape(2), RowShape(17), ImageShape(3, 4, 4)}) {
    for (int map = 0; map < kScaleMaps; ++map) {
      for (const AffineOrder order : {AffineOrder::kScaleThenShift, AffineOrder::kShiftThenScale}) {
        const CouplingOptions options{static_cast<ScaleMap>(map), order, NetOptions()};
        RandomFlow builder(++seed, shape);
        builder.AddCoupling(options).AddPlu(Side::kOutput, true, true).AddCoupling(options);
        ExpectAgreement(builder.Finish(BaseKind::kStandard),
                        ShapeText(shape) + " map " + std::to_string(map));
      }
    }
  }
}

TEST_P(DifferentialTest, EveryNetOverRows) {
  uint64_t seed = 3000;
  for (int activation = 0; activation < kActivations; ++activation) {
    for (int choice = 0; choice < 8; ++choice) {
      CouplingOptions options;
      options.net.activation = static_cast<ActivationKind>(activation);
      options.net.residual = (choice & 1) != 0;
      options.net.gate = (choice & 2) != 0;
      options.net.concat = (choice & 4) != 0;
      options.net.bias = choice != 1;
      options.net.hidden = choice % 3 == 0 ? 33 : 8;
      RandomFlow builder(++seed, RowShape(5), choice < 2 ? 0 : 3);
      builder.AddPlu(Side::kOutput, false, true).AddCoupling(options).AddAdditiveCoupling(options.net);
      ExpectAgreement(builder.Finish(BaseKind::kStandard),
                      "activation " + std::to_string(activation) + " choice " + std::to_string(choice));
    }
  }
}

TEST_P(DifferentialTest, EverySplineInCouplings) {
  uint64_t seed = 3200;
  for (const EventShape& shape : {RowShape(2), RowShape(17), ImageShape(3, 4, 4)}) {
    for (int64_t bins = 1; bins <= 12; ++bins) {
      for (const SplineParametrization parametrization :
           {SplineParametrization::kSoftmax, SplineParametrization::kSoftclip}) {
        RandomNumbers random(++seed);
        CouplingOptions options;
        options.spline = AnySpline(random);
        options.spline->bins = bins;
        if (parametrization == SplineParametrization::kSoftclip) {
          *options.spline = SplineTransform{bins, options.spline->tail_bound, 0, 0, 0, 1, parametrization};
        }
        CouplingOptions fixed;
        fixed.identity_spline = options.spline;
        RandomFlow builder(seed, shape);
        builder.AddCoupling(options).AddPlu(Side::kOutput, true, true).AddCoupling(fixed);
        builder.AddAdditiveCoupling({}, options.spline);
        ExpectAgreement(builder.Finish(BaseKind::kStandard),
                        ShapeText(shape) + " bins " + std::to_string(bins));
      }
    }
  }
}

TEST_P(DifferentialTest, EveryAutoregressiveLayer) {
  uint64_t seed = 3500;
  for (const int64_t features : {1, 2, 5, 16, 33}) {
    for (int choice = 0; choice < 2 * (kScaleMaps + 5); ++choice) {
      RandomNumbers random(++seed);
      AutoregressiveOptions options;
      options.parallel = choice % 2 == 0 ? ParallelDirection::kForward : ParallelDirection::kInverse;
      options.net = AnyNetOptions(random);
      if (choice / 2 < kScaleMaps) {
        options.scale_map = static_cast<ScaleMap>(choice / 2);
        options.order = random.Coin() ? AffineOrder::kScaleThenShift : AffineOrder::kShiftThenScale;
      } else {
        options.spline = AnySpline(random);
      }
      RandomFlow builder(seed, RowShape(features), choice % 3);
      builder.AddPermutation().AddAutoregressive(options).AddPermutation().AddAutoregressive(options);
      AgreementOptions rows;
      rows.rows = 1 + random.Below(40);
      ExpectAgreement(builder.Finish(BaseKind::kStandard),
                      std::to_string(features) + " features choice " + std::to_string(choice), rows);
    }
  }
}

TEST_P(DifferentialTest, EveryConvolution) {
  uint64_t seed = 4000;
  for (const EventShape& shape : {ImageShape(3, 4, 4), ImageShape(2, 3, 5), ImageShape(12, 1, 1)}) {
    for (int choice = 0; choice < 27; ++choice) {
      const int pad = choice % 3;
      const int64_t hidden[] = {9, 17, 33};  // odd channel counts leave the fast path of some kernels
      CouplingOptions options;
      options.net.activation = static_cast<ActivationKind>(choice % kActivations);
      options.net.pad = static_cast<Pad>(pad);
      options.net.kernel = 1 + 2 * (choice / 3 % 3);
      options.net.hidden = hidden[choice / 9];
      options.net.residual = choice % 2 == 0;
      options.net.gate = pad == 1;
      RandomFlow builder(++seed, shape, pad == 1 ? 2 : 0);
      builder.AddCoupling(options).AddPlu(Side::kOutput, false, true).AddAdditiveCoupling(options.net);
      ExpectAgreement(builder.Finish(BaseKind::kStandard),
                      ShapeText(shape) + " convolution choice " + std::to_string(choice));
    }
  }
}

TEST_P(DifferentialTest, EveryBaseAndPrior) {
  uint64_t seed = 5000;
  for (const EventShape& shape : {RowShape(5), ImageShape(3, 2, 2)}) {
    for (int base = 0; base < 4; ++base) {
      for (int prior = 0; prior < 5; ++prior) {
        const auto split_prior = static_cast<BaseKind>(prior);
        const bool classes = base == 3 || split_prior == BaseKind::kClass;
        RandomFlow builder(++seed, shape, 1, classes ? 3 : 0);
        builder.AddPlu(Side::kOutput, true, true).AddSplit(Half::kSecond, split_prior);
        builder.AddCoupling({}).AddSplit(Half::kFirst, split_prior);
        ExpectAgreement(
            builder.Finish(static_cast<BaseKind>(base)),
            ShapeText(shape) + " base " + std::to_string(base) + " prior " + std::to_string(prior));
      }
    }
  }
}

TEST_P(DifferentialTest, RandomFlowsInBatchesOfEverySize) {
  const int64_t sizes[] = {1, 2, 3, 7, 16, 17, 64, 255, 256, 257};
  uint64_t seed = 6000;
  for (const EventShape& shape : kShapes) {
    for (const int64_t context_size : {0, 1, 3}) {
      for (const int64_t classes : {0, 3}) {
        AgreementOptions options;
        options.rows = sizes[++seed % 10];
        if (shape.size() > 100)
          options.rows = std::min<int64_t>(options.rows, 17);  // the gold standard is slow
        ExpectAgreement(AnyFlow(seed, shape, context_size, classes), ShapeText(shape), options);
      }
    }
  }
}

TEST_P(DifferentialTest, EveryInputType) {
  uint64_t seed = 7000;
  for (const DataType in : {DataType::kFloat32, DataType::kFloat64, DataType::kUint8}) {
    for (const EventShape& shape : {RowShape(3), RowShape(12), ImageShape(2, 4, 4)}) {
      AgreementOptions options;
      options.in = in;
      options.rows = 17;
      ExpectAgreement(AnyFlow(++seed, shape, 1, 0), ShapeText(shape), options);
      RandomFlow bytes(++seed, shape);
      bytes.AddByteLogit().AddAffine(true).AddPlu(Side::kOutput, true, true).Add(LayerKind::kCouplingAffine);
      ExpectAgreement(bytes.Finish(BaseKind::kDiagChannel), ShapeText(shape) + " bytes", options);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Precisions, DifferentialTest,
                         testing::Values(Precision::kFloat64, Precision::kFloat32),
                         [](const auto& param_info) {
                           return param_info.param == Precision::kFloat64 ? "float64" : "float32";
                         });

// log p = log|det dz/dx| + log N(z; 0, I) for a flow whose base and priors are standard: nothing of the gold
// standard in it. Rows that have a spline's knot within reach of the difference quotients are passed over.
void ExpectLogLikelihoodIsTheJacobians(const FlowSpec& spec, uint64_t seed) {
  auto flow = Flow::Create(spec, OnTestDevice(Precision::kFloat64));
  ASSERT_TRUE(flow.ok()) << flow.status();
  const FlowRows rows = RandomRows(spec, seed, 12);
  int checked = 0;
  for (int64_t row = 0; row < rows.rows && checked < 2; ++row) {
    FlowRows one = rows.Pick({row});
    const auto latent = [&](const std::vector<double>& x) {
      one.numbers = x;
      return EncodeRows(**flow, one).numbers;
    };
    const NumericLogDet numeric = NumericLogAbsDet(latent, rows.Numbers(row), 2.3e-14);
    if (numeric.error_bound > 1e-5) continue;
    double want = numeric.log_abs_det;
    for (double z : latent(rows.Numbers(row))) want -= 0.5 * (z * z + std::log(2 * std::acos(-1.0)));
    const FlowAnswer answer = EncodeRows(**flow, rows.Pick({row}));
    EXPECT_NEAR(answer.log_likelihood[0], want, numeric.error_bound) << spec.name;
    ++checked;
  }
  EXPECT_EQ(checked, 2) << spec.name;
}

TEST(Differential, LogLikelihoodOfSplinesAndAutoregressiveLayersIsTheNumericJacobians) {
  NetOptions smooth;
  smooth.activation = ActivationKind::kSilu;
  smooth.residual = smooth.gate = smooth.concat = true;
  for (uint64_t seed = 8500; seed < 8540; ++seed) {
    RandomNumbers random(seed);
    const EventShape shape = seed % 4 == 0 ? ImageShape(2, 2, 2) : RowShape(1 + random.Below(6));
    RandomFlow builder(seed, shape, 2);
    CouplingOptions coupling;
    coupling.net = smooth;
    coupling.spline = AnySpline(random);
    coupling.identity_spline = AnySpline(random);
    if (builder.Fits(LayerKind::kCouplingSpline))
      builder.AddCoupling(coupling).AddPlu(Side::kOutput, true, true);
    for (const ParallelDirection parallel : {ParallelDirection::kForward, ParallelDirection::kInverse}) {
      AutoregressiveOptions options;
      options.parallel = parallel;
      options.net = smooth;
      if (random.Coin()) options.spline = AnySpline(random);
      if (builder.Fits(LayerKind::kAutoregressive)) builder.AddAutoregressive(options);
    }
    ExpectLogLikelihoodIsTheJacobians(builder.Finish(BaseKind::kStandard), seed);
  }
}

TEST(Differential, LogLikelihoodIsTheNumericJacobians) {
  CouplingOptions options;
  options.net.activation = ActivationKind::kSilu;  // smooth, for difference quotients
  options.net.residual = options.net.gate = options.net.concat = true;
  uint64_t seed = 8000;
  for (const EventShape& shape :
       {RowShape(2), RowShape(6), RowShape(12), ImageShape(3, 2, 2), ImageShape(1, 2, 4)}) {
    for (int map = 0; map < kScaleMaps; ++map) {
      options.scale_map = static_cast<ScaleMap>(map);
      RandomFlow builder(++seed, shape, 2);
      builder.AddAffine(true);
      if (shape.image)
        builder.AddSqueeze(map % 2 == 0 ? SqueezeOrder::kChannelMajor : SqueezeOrder::kSpatialMajor);
      builder.AddQr(true, true)
          .AddCoupling(options)
          .AddPermutation()
          .AddSplit(Half::kFirst, BaseKind::kStandard);
      builder.AddFull(true).Add(LayerKind::kPluInput);
      ExpectLogLikelihoodIsTheJacobians(builder.Finish(BaseKind::kStandard), seed);
    }
  }
}

}  // namespace
}  // namespace glowworm
