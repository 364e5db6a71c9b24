// Tests of model/train/linear_layer.h: W = P L (U + diag s), Q (U + diag s) and the full matrix, against
// dense linear algebra in float64, finite differences and the serving library's reading of their factors.

#include <gtest/gtest.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/optim/adam.h>
#include <torch/serialize.h>
#include <torch/types.h>

#include <cmath>
#include <limits>
#include <sstream>
#include <string>
#include <tuple>
#include <variant>
#include <vector>

#include "model/linear_map.h"
#include "model/train/channel_product.h"
#include "model/train/linear_layer.h"
#include "model/train/positive_diagonal.h"
#include "tests/model/train/central_difference.h"
#include "tests/model/train/operator_log.h"

namespace glowworm {
namespace train {
namespace {

constexpr double kEps = std::numeric_limits<double>::epsilon();
constexpr double kFloatEps = std::numeric_limits<float>::epsilon();

torch::Tensor Normals(const std::vector<int64_t>& shape) { return torch::randn(shape, torch::kFloat64); }

double Largest(const torch::Tensor& t) { return t.numel() == 0 ? 0 : t.abs().max().item<double>(); }

// Moves every parameter off its start, by normals of this deviation.
void Shake(LinearLayer* layer, double deviation) {
  const torch::NoGradGuard no_grad;
  for (torch::Tensor& p : layer->parameters()) p.add_(torch::randn_like(p), deviation);
}

std::shared_ptr<LinearLayer> Shaken(int64_t channels, const LinearOptions& options) {
  const std::shared_ptr<LinearLayer> layer = MakeLinear(channels, options);
  Shake(layer.get(), 0.1);
  layer->to(torch::kFloat64);
  return layer;
}

double ConditionNumberOf(const torch::Tensor& w) {
  const torch::Tensor values = torch::linalg_svdvals(w);
  return (values.max() / values.min()).item<double>();
}

LinearMap Composed(const LinearLayer& layer, int64_t channels) {
  absl::StatusOr<LinearMap> map = ComposeLinear(std::get<Linear>(layer.Export("linear").op), channels);
  EXPECT_TRUE(map.ok()) << map.status();
  return *map;
}

struct Form {
  LinearOptions options;
  int64_t channels;
};

std::string NameOf(const testing::TestParamInfo<Form>& info) {
  const LinearOptions& o = info.param.options;
  const std::string kind = o.kind == LinearKind::kPlu ? "Plu" : o.kind == LinearKind::kQr ? "Qr" : "Full";
  return kind + (o.diagonal_map == DiagonalMap::kExp ? "Exp" : "Softplus") +
         (o.init == LinearInit::kRotation ? "Rotation" : "Identity") + std::to_string(info.param.channels);
}

std::vector<Form> AllForms() {
  std::vector<Form> forms;
  for (const LinearKind kind : {LinearKind::kPlu, LinearKind::kQr, LinearKind::kFull}) {
    for (const DiagonalMap map : {DiagonalMap::kExp, DiagonalMap::kSoftplus}) {
      if (kind == LinearKind::kFull && map == DiagonalMap::kSoftplus) continue;  // it has no diagonal
      for (const LinearInit init : {LinearInit::kRotation, LinearInit::kIdentity}) {
        for (const int64_t channels : {1, 2, 5, 12}) forms.push_back({{kind, map, init}, channels});
      }
    }
  }
  return forms;
}

class LinearForms : public testing::TestWithParam<Form> {
 protected:
  LinearForms() { torch::manual_seed(7); }
  const LinearOptions options_ = GetParam().options;
  const int64_t c_ = GetParam().channels;
  const double size_ = static_cast<double>(c_);
};

TEST_P(LinearForms, StartIsOrthogonalWithPositiveScales) {
  const std::shared_ptr<LinearLayer> layer = MakeLinear(c_, options_);
  const torch::Tensor w = layer->Weight();
  // Parameters are rounded to float32: each entry of W errs by the sum over c products of entries that do
  // not exceed 1 by much, and W W^T by c products of those.
  EXPECT_LE(Largest(torch::matmul(w, w.t()) - torch::eye(c_, torch::kFloat64)),
            4 * size_ * size_ * kFloatEps);
  if (options_.kind != LinearKind::kFull) {
    EXPECT_TRUE((layer->Scales() > 0).all().item<bool>());
  }
}

TEST_P(LinearForms, TableIsMultipliedByTheWeight) {
  const std::shared_ptr<LinearLayer> layer = Shaken(c_, options_);
  const torch::Tensor x = Normals({9, c_});
  const torch::Tensor expected = torch::einsum("ij,nj->ni", {layer->Weight(), x});
  EXPECT_LE(Largest(layer->Forward(x, {}).y - expected),
            2 * size_ * size_ * kEps * Largest(layer->Weight()) * Largest(x));
}

TEST_P(LinearForms, ImageIsMultipliedAtEachPositionHoweverItLies) {
  const std::shared_ptr<LinearLayer> layer = Shaken(c_, options_);
  const torch::Tensor x = Normals({3, c_, 4, 6});
  const torch::Tensor expected = torch::einsum("ij,njhw->nihw", {layer->Weight(), x});
  const double bound = 2 * size_ * size_ * kEps * Largest(layer->Weight()) * Largest(x);
  const torch::Tensor channels_last = x.contiguous(torch::MemoryFormat::ChannelsLast);
  EXPECT_LE(Largest(layer->Forward(x, {}).y - expected), bound);
  const torch::Tensor y = layer->Forward(channels_last, {}).y;
  EXPECT_LE(Largest(y - expected), bound);
  EXPECT_TRUE(y.is_contiguous(torch::MemoryFormat::ChannelsLast));
}

TEST_P(LinearForms, LogDetIsThatOfTheWeightAtEachPosition) {
  const std::shared_ptr<LinearLayer> layer = Shaken(c_, options_);
  const torch::Tensor w = layer->Weight();
  const double one = std::get<1>(torch::linalg_slogdet(w)).item<double>();
  const double bound = 2 * size_ * size_ * kEps * ConditionNumberOf(w) + size_ * kEps * std::abs(one);
  EXPECT_NEAR(layer->Forward(Normals({3, c_}), {}).log_det.item<double>(), one, bound);
  EXPECT_NEAR(layer->Forward(Normals({3, c_, 4, 6}), {}).log_det.item<double>(), 24 * one, 24 * bound);
}

TEST_P(LinearForms, GradientOfTheLogDetIsThatOfFiniteDifferences) {
  const std::shared_ptr<LinearLayer> layer = Shaken(c_, options_);
  const torch::Tensor x = Normals({2, c_, 2, 2});
  ExpectGradientsOfFiniteDifferences(layer.get(), [&] { return layer->Forward(x, {}).log_det; });
}

TEST_P(LinearForms, GradientThroughTheOutputIsThatOfFiniteDifferences) {
  const std::shared_ptr<LinearLayer> layer = Shaken(c_, options_);
  const torch::Tensor x = Normals({4, c_}), direction = Normals({4, c_});
  ExpectGradientsOfFiniteDifferences(layer.get(),
                                     [&] { return (layer->Forward(x, {}).y.sin() * direction).sum(); });
}

TEST_P(LinearForms, TheServersReadingOfTheFactorsIsTheSameMatrix) {
  const std::shared_ptr<LinearLayer> layer = Shaken(c_, options_);
  const LinearMap map = Composed(*layer, c_);
  const torch::Tensor weight = torch::tensor(map.weight, torch::kFloat64).view({c_, c_});
  const double cond = ConditionNumberOf(weight);
  EXPECT_LE(Largest(layer->Weight() - weight), 8 * size_ * kEps * cond * Largest(weight));
  const double log_det = layer->Forward(Normals({1, c_}), {}).log_det.item<double>();
  EXPECT_NEAR(log_det, map.log_abs_det, 1e-12);
}

TEST_P(LinearForms, ExportIsComputedInFloat64FromWhatIsStored) {
  const std::shared_ptr<LinearLayer> layer = MakeLinear(c_, options_);
  Shake(layer.get(), 0.1);
  const LinearMap before = Composed(*layer, c_);
  layer->to(torch::kFloat64);
  const LinearMap after = Composed(*layer, c_);
  EXPECT_EQ(before.weight, after.weight);
  EXPECT_EQ(before.log_abs_det, after.log_abs_det);
}

TEST_P(LinearForms, CheckpointBringsTheSameMatrixBack) {
  const std::shared_ptr<LinearLayer> saved = MakeLinear(c_, options_), loaded = MakeLinear(c_, options_);
  Shake(saved.get(), 0.1);
  std::stringstream bytes;
  torch::save(std::static_pointer_cast<torch::nn::Module>(saved), bytes);
  std::shared_ptr<torch::nn::Module> module = loaded;
  torch::load(module, bytes);
  EXPECT_TRUE(torch::equal(saved->Weight(), loaded->Weight()));
}

INSTANTIATE_TEST_SUITE_P(All, LinearForms, testing::ValuesIn(AllForms()), NameOf);

class FactoredForms : public testing::TestWithParam<LinearOptions> {};

TEST_P(FactoredForms, LargeStepsKeepScalesPositiveAndTheMatrixFinite) {
  torch::manual_seed(3);
  const int64_t c = 6;
  const std::shared_ptr<LinearLayer> layer = MakeLinear(c, GetParam());
  torch::optim::Adam adam(layer->parameters(), torch::optim::AdamOptions(0.5));
  const torch::Tensor x = torch::randn({64, c}) * torch::tensor({1e-3, 1e-2, 0.1, 1.0, 10.0, 100.0});
  for (int step = 0; step < 200; ++step) {
    adam.zero_grad();
    const LayerOutput out = layer->Forward(x.to(torch::kFloat32), {});
    (0.5 * out.y.square().sum(1).mean() - out.log_det).backward();
    adam.step();
    ASSERT_TRUE((layer->Scales() > 0).all().item<bool>()) << "step " << step;
    ASSERT_TRUE(layer->Weight().isfinite().all().item<bool>()) << "step " << step;
  }
  EXPECT_GT(layer->Scales().max().item<double>(), 10) << "the steps were not large";
}

TEST_P(FactoredForms, NormalizedScalesHaveGeometricMeanOneAndTheFactorIsReturned) {
  torch::manual_seed(2);
  const int64_t c = 6;
  const std::shared_ptr<LinearLayer> layer = Shaken(c, GetParam());
  {
    const torch::NoGradGuard no_grad;
    for (torch::Tensor& p : layer->parameters()) p.mul_(1.5);
  }
  const torch::Tensor before = layer->Weight();
  const double g = layer->NormalizeScale();
  EXPECT_NE(g, 1);
  // Some roundings an entry, of s~ and of U, then c products of them.
  const double bound = 16.0 * c * kEps * ConditionNumberOf(before);
  EXPECT_LE(Largest(before - g * layer->Weight()), bound * Largest(before));
  EXPECT_NEAR(layer->Scales().log().mean().item<double>(), 0, 8 * kEps);
}

INSTANTIATE_TEST_SUITE_P(
    All, FactoredForms,
    testing::Values(LinearOptions{LinearKind::kPlu, DiagonalMap::kExp, LinearInit::kRotation},
                    LinearOptions{LinearKind::kPlu, DiagonalMap::kSoftplus, LinearInit::kIdentity},
                    LinearOptions{LinearKind::kQr, DiagonalMap::kExp, LinearInit::kIdentity},
                    LinearOptions{LinearKind::kQr, DiagonalMap::kSoftplus, LinearInit::kRotation}));

// The operators that a training step runs, forward and backward.
std::vector<std::string> OperatorsOfAStep(LinearKind kind) {
  const std::shared_ptr<LinearLayer> layer = MakeLinear(12, {kind});
  const torch::Tensor x = torch::randn({4, 12, 2, 2});
  const OperatorLog log;
  const LayerOutput out = layer->Forward(x, {});
  (out.y.sum() - out.log_det).backward();
  return log.names();
}

TEST(PluLinear, StepRunsNoFactorizationDeterminantOrSolve) {
  const std::vector<std::string> costly = {"linalg_",  "slogdet", "lu_",
                                           "cholesky", "inverse", "triangular_solve"};
  EXPECT_EQ(Containing(OperatorsOfAStep(LinearKind::kPlu), costly), std::vector<std::string>());
  EXPECT_NE(Containing(OperatorsOfAStep(LinearKind::kFull), costly), std::vector<std::string>());
}

TEST(PluLinear, StoresTheStrictHalvesAndTheDiagonalOnly) {
  const int64_t c = 7;
  const std::shared_ptr<LinearLayer> layer = MakeLinear(c, {LinearKind::kPlu});
  const auto parameters = layer->named_parameters();
  EXPECT_EQ(parameters["lower"].numel(), c * (c - 1) / 2);
  EXPECT_EQ(parameters["scaled_upper.upper"].numel(), c * (c - 1) / 2);
  EXPECT_EQ(parameters["scaled_upper.raw_s"].numel(), c);
  EXPECT_EQ(parameters.size(), 3u);
}

TEST(PluLinear, RotationStartIsThatOrthogonalMatrixButForSignsOfRows) {
  const int64_t c = 9;
  torch::manual_seed(1);
  const torch::Tensor q = RandomOrthogonal(c);
  torch::manual_seed(1);
  const torch::Tensor w = MakeLinear(c, {LinearKind::kPlu})->Weight();
  const torch::Tensor signs = torch::matmul(w, q.t()).diagonal().sign().unsqueeze(1);
  EXPECT_LE(Largest(w - signs * q), 4.0 * c * kFloatEps);
}

TEST(PluLinear, IdentityStartIsItsPermutation) {
  torch::manual_seed(1);
  const int64_t c = 9;
  const std::shared_ptr<LinearLayer> layer =
      MakeLinear(c, {LinearKind::kPlu, DiagonalMap::kExp, LinearInit::kIdentity});
  const auto factors = std::get<PluFactors>(std::get<Linear>(layer->Export("linear").op).matrix);
  torch::Tensor expected = torch::zeros({c, c}, torch::kFloat64);
  for (int64_t i = 0; i < c; ++i) expected[i][factors.permutation[i]] = 1;
  EXPECT_TRUE(torch::equal(layer->Weight(), expected));
  EXPECT_FALSE(torch::equal(expected, torch::eye(c, torch::kFloat64)));
}

TEST(PluLinear, PermutationStaysThroughChangesOfDtype) {
  const std::shared_ptr<LinearLayer> layer = MakeLinear(300, {LinearKind::kPlu});
  const torch::Tensor before = layer->Weight();
  layer->to(torch::kFloat64);
  EXPECT_TRUE(torch::equal(layer->Weight(), before));
  layer->to(torch::kFloat32);
  EXPECT_TRUE(torch::equal(layer->Weight(), before));
}

TEST(FullLinear, HasNoScalesToNormalize) {
  const std::shared_ptr<LinearLayer> layer = MakeLinear(4, {LinearKind::kFull});
  const torch::Tensor before = layer->Weight();
  EXPECT_FALSE(layer->Scales().defined());
  EXPECT_EQ(layer->NormalizeScale(), 1);
  EXPECT_TRUE(torch::equal(layer->Weight(), before));
}

TEST(QrLinear, IdentityStartIsTheIdentity) {
  torch::manual_seed(1);
  for (const int64_t c : {1, 2, 7, 8}) {
    const std::shared_ptr<LinearLayer> layer =
        MakeLinear(c, {LinearKind::kQr, DiagonalMap::kExp, LinearInit::kIdentity});
    EXPECT_LE(Largest(layer->Weight() - torch::eye(c, torch::kFloat64)), 16 * static_cast<double>(c) * kEps);
  }
}

// LAPACK's QR, as it comes, gives the first entry one sign only.
TEST(RandomOrthogonal, EntriesHaveEitherSign) {
  torch::manual_seed(5);
  const int draws = 400;
  int positive = 0;
  for (int i = 0; i < draws; ++i) positive += RandomOrthogonal(4)[0][0].item<double>() > 0 ? 1 : 0;
  EXPECT_NEAR(positive, draws / 2, 5 * std::sqrt(draws / 4.0));  // 5 standard deviations
}

class PositiveDiagonal : public testing::TestWithParam<DiagonalMap> {};

TEST_P(PositiveDiagonal, RawUndoesScale) {
  const torch::Tensor raw = torch::linspace(-700, 700, 2801, torch::kFloat64);
  const torch::Tensor back = RawOf(ScaleOf(raw, GetParam()), GetParam());
  // s has a relative rounding, which log s has as an absolute one.
  EXPECT_LE(Largest((back - raw) / raw.abs().clamp_min(1)), 4 * kEps);
}

TEST_P(PositiveDiagonal, LogScaleIsFiniteWhereTheScaleUnderflows) {
  const torch::Tensor raw = torch::tensor({-1e4, -800.0}, torch::kFloat64).requires_grad_();
  const torch::Tensor log_s = LogScaleOf(raw, GetParam());
  EXPECT_EQ(Largest(ScaleOf(raw, GetParam())), 0);
  EXPECT_TRUE(torch::equal(log_s, raw));
  log_s.sum().backward();
  EXPECT_TRUE(torch::equal(raw.grad(), torch::ones_like(raw)));
}

TEST_P(PositiveDiagonal, LogScaleIsTheLogarithmOfTheScaleWithItsGradient) {
  const torch::Tensor raw = torch::linspace(-30, 30, 601, torch::kFloat64).requires_grad_();
  const torch::Tensor log_s = LogScaleOf(raw, GetParam()), s = ScaleOf(raw, GetParam());
  EXPECT_LE(Largest(log_s - s.log()), 40 * kEps);
  const torch::Tensor of_log_s = torch::autograd::grad({log_s.sum()}, {raw})[0];
  const torch::Tensor of_s = torch::autograd::grad({s.sum()}, {raw})[0];
  EXPECT_LE(Largest(of_log_s - of_s / s), 8 * kEps);
}

INSTANTIATE_TEST_SUITE_P(Both, PositiveDiagonal, testing::Values(DiagonalMap::kExp, DiagonalMap::kSoftplus));

}  // namespace
}  // namespace train
}  // namespace glowworm
