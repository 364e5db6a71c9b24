// Tests of the trainer's layers, model/train/{actnorm,coupling_layer,conditioner,image_layers,normal_base}.h:
// log-dets against the Jacobian, and what they export against the gold standard's reading of it. What is
// special to linear layers: linear_test.cc.

#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/types.h>

#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <tuple>
#include <variant>
#include <vector>

#include "model/train/actnorm.h"
#include "model/train/conditioner.h"
#include "model/train/coupling_layer.h"
#include "model/train/image_layers.h"
#include "model/train/linear_layer.h"
#include "model/train/normal_base.h"
#include "tests/model/train/train_testing.h"

namespace glowworm {
namespace train {
namespace {

constexpr int64_t kRows = 7;

torch::Tensor Normals(const std::vector<int64_t>& shape) { return torch::randn(shape, torch::kFloat64); }

ContextScale FarContext(int64_t size) {
  if (size == 0) return {};
  return {torch::linspace(30, 50, size, torch::kFloat64), torch::linspace(2, 4, size, torch::kFloat64)};
}

ConditionerFactory Mlp(int64_t context_size) {
  return [context_size](int64_t in, int64_t out) {
    return MakeResidualMlp(in, FarContext(context_size), out, /*hidden=*/8, /*blocks=*/2, /*dropout=*/0);
  };
}

std::shared_ptr<Conditioner> Convolutions(int64_t in, int64_t out) { return MakeConvNet(in, out, 6); }

SplineTransform FourBins() {
  SplineTransform spline;
  spline.bins = 4;
  spline.tail_bound = 2;
  spline.min_bin_width = spline.min_bin_height = spline.min_derivative = 1e-3;
  spline.width_height_scale = 0.5;
  return spline;
}

using Made = std::shared_ptr<FlowLayer>;

struct Form {
  std::string name;
  EventShape event;
  int64_t context_size;
  std::function<Made(int64_t channels)> make;
};

std::vector<Form> AllForms() {
  const EventShape four = {4}, five = {5}, two = {2}, image = {4, 2, 6, true};
  const auto actnorm = [](int64_t c) -> Made { return std::make_shared<ActNorm>(c); };
  const auto linear = [](int64_t c) -> Made { return MakeLinear(c, {}); };
  const auto affine = [](int64_t c) { return MakeAffineCoupling(c, ScaleMap::kSigmoid, Mlp(0)); };
  const auto affine_context = [](int64_t c) { return MakeAffineCoupling(c, ScaleMap::kSigmoid, Mlp(3)); };
  const auto spline = [](int64_t c) { return MakeSplineCoupling(c, FourBins(), Mlp(0)); };
  const auto spline_context = [](int64_t c) { return MakeSplineCoupling(c, FourBins(), Mlp(3)); };
  const auto convolution = [](int64_t c) { return MakeAffineCoupling(c, ScaleMap::kSigmoid, Convolutions); };
  const auto atan = [](int64_t c) { return MakeAffineCoupling(c, ScaleMap::kAtanExp, Mlp(0)); };
  const auto atan_convolution = [](int64_t c) {
    return MakeAffineCoupling(c, ScaleMap::kAtanExp, Convolutions);
  };
  const auto squeeze = [](int64_t) -> Made { return std::make_shared<SqueezeLayer>(); };
  return {{"ActnormOfTables", five, 0, actnorm},
          {"ActnormOfImages", image, 0, actnorm},
          {"LinearOfTables", five, 0, linear},
          {"LinearOfImages", image, 0, linear},
          {"AffineCoupling", four, 0, affine},
          {"AffineCouplingOfOddChannels", five, 0, affine},
          {"AffineCouplingOfTwo", two, 0, affine},
          {"AffineCouplingWithContext", five, 3, affine_context},
          {"AffineCouplingBothWays", five, 0, atan},
          {"SplineCoupling", four, 0, spline},
          {"SplineCouplingOfOddChannels", five, 0, spline},
          {"SplineCouplingWithContext", five, 3, spline_context},
          {"AffineCouplingOfImages", image, 0, convolution},
          {"AffineCouplingOfImagesBothWays", image, 0, atan_convolution},
          {"Squeeze", image, 0, squeeze}};
}

class Layers : public testing::TestWithParam<Form> {
 protected:
  Layers() {
    torch::manual_seed(11);
    layer_ = form_.make(form_.event.channels);
    Shake(layer_.get(), 0.4);
    layer_->to(torch::kFloat64);
    const EventShape& e = form_.event;
    x_ = 1.5 * Normals(e.image ? std::vector<int64_t>{kRows, e.channels, e.height, e.width}
                               : std::vector<int64_t>{kRows, e.channels});
    if (form_.context_size > 0) conditions_.context = 40 + 3 * Normals({kRows, form_.context_size});
  }
  Conditions ConditionsOfRow(int64_t row) const {
    Conditions one;
    if (conditions_.context.defined()) one.context = conditions_.context.narrow(0, row, 1);
    return one;
  }
  // log|det dy/dx| of one row, from the derivatives of what the layer answers.
  torch::Tensor Jacobian(int64_t row) const {  // (D, D)
    const torch::Tensor x = x_.narrow(0, row, 1).clone().requires_grad_();
    const torch::Tensor y = layer_->Forward(x, ConditionsOfRow(row)).y.reshape({-1});
    std::vector<torch::Tensor> rows;
    for (int64_t i = 0; i < y.numel(); ++i) {
      rows.push_back(torch::autograd::grad({y[i]}, {x}, {}, /*retain_graph=*/true)[0].reshape({-1}));
    }
    return torch::stack(rows);
  }
  torch::Tensor LogDets() const {  // (n)
    return layer_->Forward(x_, conditions_).log_det.detach().expand({kRows});
  }

  const Form form_ = GetParam();
  Made layer_;
  torch::Tensor x_;
  Conditions conditions_;
};

TEST_P(Layers, LogDetIsThatOfTheJacobian) {
  const torch::Tensor log_det = LogDets();
  for (int64_t row = 0; row < kRows; ++row) {
    const torch::Tensor jacobian = Jacobian(row);
    const torch::Tensor sigma = torch::linalg_svdvals(jacobian);
    const double expected = std::get<1>(torch::linalg_slogdet(jacobian)).item<double>();
    // Each entry errs by a few dozen roundings of the conditioner, and the determinant by cond times these.
    const double bound =
        256 * static_cast<double>(jacobian.size(0)) * kEps * (sigma.max() / sigma.min()).item<double>();
    EXPECT_NEAR(log_det[row].item<double>(), expected, bound) << "row " << row;
  }
}

TEST_P(Layers, TheGoldStandardReadsTheSameLayer) {
  const FlowSpec spec = SpecOf(layer_->Export("layer"), form_.event, form_.context_size);
  const ReferenceAnswers expected = AskReference(spec, x_, conditions_);
  EXPECT_LE(RelativeError(layer_->Forward(x_, conditions_).y.flatten(1), expected.latent), 1e-10);
  EXPECT_LE(RelativeError(LogDets(), expected.first_log_det), 1e-10);
}

TEST_P(Layers, RowsStandAlone) {
  const torch::Tensor together = layer_->Forward(x_, conditions_).y;
  for (int64_t row = 0; row < kRows; ++row) {
    const torch::Tensor alone = layer_->Forward(x_.narrow(0, row, 1), ConditionsOfRow(row)).y;
    EXPECT_LE(RelativeError(alone, together.narrow(0, row, 1)), 256 * kEps) << "row " << row;
  }
}

INSTANTIATE_TEST_SUITE_P(All, Layers, testing::ValuesIn(AllForms()),
                         [](const testing::TestParamInfo<Form>& form) { return form.param.name; });

// Mean and variance of each channel, (2, c).
torch::Tensor Moments(const torch::Tensor& y) {
  const torch::Tensor by_channel = y.transpose(0, 1).flatten(1);
  return torch::stack({by_channel.mean(1), by_channel.var(1, /*unbiased=*/false)});
}

class ActNormStart : public testing::TestWithParam<std::vector<int64_t>> {};

TEST_P(ActNormStart, GivesTheFirstRowsMeanZeroAndVarianceOne) {
  torch::manual_seed(1);
  const torch::Tensor spread = torch::tensor({0.2, 3.0, 50.0}, torch::kFloat32);
  const std::vector<int64_t> per_channel =
      GetParam().size() == 2 ? std::vector<int64_t>{3} : std::vector<int64_t>{3, 1, 1};
  const torch::Tensor x = (torch::randn(GetParam()) + 2) * spread.view(per_channel);
  ActNorm actnorm(3);
  actnorm.Initialize(x);
  const torch::Tensor moments = Moments(actnorm.Forward(x, {}).y.detach());
  // Of numbers up to 2 deviations from 0 on average, each mean in float32 errs by a few roundings.
  EXPECT_LE(Largest(moments[0]), 32 * kFloatEps);
  EXPECT_LE(Largest(moments[1] - 1), 64 * kFloatEps);
}

INSTANTIATE_TEST_SUITE_P(Both, ActNormStart,
                         testing::Values(std::vector<int64_t>{100, 3}, std::vector<int64_t>{10, 3, 4, 4}));

TEST(ActNorm, ConstantChannelStaysFinite) {
  torch::manual_seed(1);
  torch::Tensor x = torch::randn({20, 3});
  x.select(1, 1).fill_(7);
  ActNorm actnorm(3);
  actnorm.Initialize(x);
  const LayerOutput out = actnorm.Forward(x, {});
  EXPECT_TRUE(out.y.isfinite().all().item<bool>());
  EXPECT_TRUE(out.log_det.isfinite().item<bool>());
  EXPECT_LE(Largest(out.y.select(1, 1)), 7000 * 4 * kFloatEps);  // 7 and its mean, 1000 times
}

TEST(ActNorm, MultiplyMultipliesItsOutput) {
  torch::manual_seed(1);
  ActNorm actnorm(4);
  Shake(&actnorm, 1);
  actnorm.to(torch::kFloat64);
  const torch::Tensor x = Normals({5, 4});
  const LayerOutput before = actnorm.Forward(x, {});
  actnorm.Multiply(7.5);
  const LayerOutput after = actnorm.Forward(x, {});
  EXPECT_LE(RelativeError(after.y, 7.5 * before.y), 16 * kEps);
  EXPECT_NEAR((after.log_det - before.log_det).item<double>(), 4 * std::log(7.5), 64 * kEps);
}

// Expects the second half to be the same multiple of what it was.
void ExpectStartsWithScale(ScaleMap map, double scale) {
  torch::manual_seed(1);
  const Made coupling = MakeAffineCoupling(5, map, Mlp(0));
  coupling->to(torch::kFloat64);
  const torch::Tensor x = Normals({4, 5});
  const torch::Tensor y = coupling->Forward(x, {}).y;
  EXPECT_TRUE(torch::equal(y.narrow(1, 0, 3), x.narrow(1, 0, 3)));
  EXPECT_LE(RelativeError(y.narrow(1, 3, 2), scale * x.narrow(1, 3, 2)), 8 * kEps);
}

TEST(AffineCoupling, StartsAsOneScaleForAllAndKeepsTheFirstHalf) {
  ExpectStartsWithScale(ScaleMap::kSigmoid, 1 / (1 + std::exp(-2.0)) + 1e-3);
  ExpectStartsWithScale(ScaleMap::kAtanExp, 1);
}

SplineOutput RandomSpline(const torch::Tensor& x, const SplineTransform& spline) {
  torch::manual_seed(9);
  const torch::Tensor raw = Normals({1, 1, 3 * spline.bins - 1}).expand({x.size(0), 1, -1});
  return ApplySpline(x.unsqueeze(1), raw, spline);
}

TEST(Spline, IsTheIdentityOutsideOfItsBounds) {
  const torch::Tensor x = torch::tensor({-1e6, -2.5, -2.0000001, 2.0000001, 3.0, 1e300}, torch::kFloat64);
  const SplineOutput out = RandomSpline(x, FourBins());
  EXPECT_TRUE(torch::equal(out.y.squeeze(1), x));
  EXPECT_EQ(Largest(out.log_derivative), 0);
}

TEST(Spline, RisesWithoutAJumpFromBoundToBound) {
  constexpr int64_t kPoints = 40001;
  const torch::Tensor x = torch::linspace(-2, 2, kPoints, torch::kFloat64);
  const SplineOutput out = RandomSpline(x, FourBins());
  const torch::Tensor y = out.y.squeeze(1), rise = y.diff();
  EXPECT_GT(rise.min().item<double>(), 0);
  const double step = 4.0 / (kPoints - 1);
  EXPECT_LE(rise.max().item<double>(), 1.01 * step * out.log_derivative.exp().max().item<double>());
  EXPECT_NEAR(y[0].item<double>(), -2, 8 * kEps);
  EXPECT_NEAR(y[kPoints - 1].item<double>(), 2, 8 * kEps);
}

TEST(Spline, GradientsAreFiniteWhereItEnds) {
  torch::manual_seed(2);
  const torch::Tensor x = torch::tensor({-2.0, 2.0, 1e30}, torch::kFloat64).unsqueeze(1).requires_grad_();
  const torch::Tensor raw = Normals({3, 1, 11}).requires_grad_();
  const SplineOutput out = ApplySpline(x, raw, FourBins());
  (out.y.sum() + out.log_derivative.sum()).backward();
  EXPECT_TRUE(x.grad().isfinite().all().item<bool>());
  EXPECT_TRUE(raw.grad().isfinite().all().item<bool>());
}

TEST(Conditioner, DropsOutInTrainingOnly) {
  torch::manual_seed(1);
  const std::shared_ptr<Conditioner> net = MakeResidualMlp(3, {}, 2, 32, 2, /*dropout=*/0.5);
  Shake(net.get(), 0.5);
  const torch::Tensor x = torch::randn({4, 3});
  EXPECT_FALSE(torch::equal(net->Forward(x, {}), net->Forward(x, {})));
  net->eval();
  EXPECT_TRUE(torch::equal(net->Forward(x, {}), net->Forward(x, {})));
}

TEST(Split, EmitsTheSecondHalfWithItsDensityGivenTheFirst) {
  torch::manual_seed(3);
  SplitLayer split(4);
  Shake(&split, 0.3);
  split.to(torch::kFloat64);
  const torch::Tensor x = Normals({kRows, 4, 2, 4});
  const LayerOutput out = split.Forward(x, {});
  EXPECT_TRUE(torch::equal(out.y, x.narrow(1, 0, 2)));
  const ReferenceAnswers expected = AskReference(SpecOf(split.Export("split"), {4, 2, 4, true}, 0), x, {});
  EXPECT_TRUE(torch::equal(expected.latent.narrow(1, 0, 16), x.narrow(1, 2, 2).flatten(1)));
  EXPECT_LE(RelativeError(out.log_det.detach(), expected.first_log_det), 1e-10);
}

// The flow of a base alone, behind a layer that changes nothing.
FlowSpec SpecOfBase(const NormalBase& base, const EventShape& event) {
  Permutation identity;
  for (int64_t c = 0; c < event.channels; ++c) identity.index.push_back(c);
  FlowSpec spec = SpecOf({"identity", identity}, event, 0);
  spec.base = base.Export();
  return spec;
}

struct BaseForm {
  std::string name;
  EventShape event;
  std::vector<int64_t> class_rows;
};

class Bases : public testing::TestWithParam<BaseForm> {
 protected:
  Bases() : base_(GetParam().event, GetParam().class_rows) {
    torch::manual_seed(5);
    Shake(&base_, 0.7);
    base_.to(torch::kFloat64);
    const EventShape& e = GetParam().event;
    z_ = Normals(e.image ? std::vector<int64_t>{kRows, e.channels, e.height, e.width}
                         : std::vector<int64_t>{kRows, e.channels});
  }
  void ExpectGoldStandardsDensity(const Conditions& conditions) {
    const ReferenceAnswers expected = AskReference(SpecOfBase(base_, GetParam().event), z_, conditions);
    EXPECT_LE(RelativeError(base_.LogProb(z_, conditions).detach(), expected.log_prob), 1e-10);
  }

  NormalBase base_;
  torch::Tensor z_;
};

TEST_P(Bases, DensityIsTheGoldStandards) { ExpectGoldStandardsDensity({}); }

TEST_P(Bases, DensityOfAClassIsTheGoldStandards) {
  const auto classes = static_cast<int64_t>(GetParam().class_rows.size());
  if (classes > 0) ExpectGoldStandardsDensity({{}, torch::arange(kRows, torch::kInt64).remainder(classes)});
}

INSTANTIATE_TEST_SUITE_P(All, Bases,
                         testing::Values(BaseForm{"Table", {4}, {}}, BaseForm{"Image", {2, 3, 2, true}, {}},
                                         BaseForm{"ClassesOfTables", {4}, {70, 20, 10}},
                                         BaseForm{"ClassesOfImages", {2, 3, 2, true}, {5, 50}},
                                         BaseForm{"ClassWithoutRows", {4}, {30, 0}}),
                         [](const testing::TestParamInfo<BaseForm>& form) { return form.param.name; });

TEST(NormalBase, MixtureWeighsClassesByTheirRows) {
  NormalBase base({2}, {59, 19});
  const auto exported = std::get<ClassNormal>(base.Export());
  // One row more a class: 60 and 20.
  EXPECT_NEAR(exported.log_weight[0] - exported.log_weight[1], std::log(3.0), 8 * kFloatEps);
}

}  // namespace
}  // namespace train
}  // namespace glowworm
