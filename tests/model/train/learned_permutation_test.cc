// Tests of model/train/learned_permutation.h and model/train/sinkhorn.h: what the relaxation keeps, and that
// training finds a permutation and ends at it exactly.

#include "model/train/learned_permutation.h"

#include <gtest/gtest.h>
#include <torch/optim/adam.h>
#include <torch/types.h>

#include <cmath>
#include <limits>
#include <memory>
#include <tuple>
#include <variant>
#include <vector>

#include "model/train/sinkhorn.h"
#include "tests/model/train/central_difference.h"

namespace glowworm {
namespace train {
namespace {

constexpr double kEps = std::numeric_limits<double>::epsilon();

double Largest(const torch::Tensor& t) { return t.abs().max().item<double>(); }

std::shared_ptr<LinearLayer> Make(int64_t channels, double progress) {
  torch::manual_seed(11);
  const std::shared_ptr<LinearLayer> layer = MakeLinear(channels, {LinearKind::kLearnedPermutation});
  layer->to(torch::kFloat64);
  layer->SetProgress(progress);
  return layer;
}

void SetParameter(LinearLayer* layer, const torch::Tensor& value) {
  const torch::NoGradGuard no_grad;
  layer->parameters()[0].copy_(value);
}

// W as it is applied now: the outputs of the unit vectors.
torch::Tensor Applied(LinearLayer* layer, int64_t channels) {
  return layer->Forward(torch::eye(channels, torch::kFloat64), {}).y.detach().t();
}

bool IsPermutationMatrix(const torch::Tensor& w) {
  return ((w == 0) | (w == 1)).all().item<bool>() && (w.sum(0) == 1).all().item<bool>() &&
         (w.sum(1) == 1).all().item<bool>();
}

std::vector<int64_t> IndexOf(const LinearLayer& layer) {
  return std::get<Permutation>(layer.Export("permutation").op).index;
}

TEST(Sinkhorn, ApproachesRowsAndColumnsThatSumToOne) {
  torch::manual_seed(4);
  const int64_t c = 7;
  const torch::Tensor p = Sinkhorn(torch::randn({c, c}, torch::kFloat64), 200);
  EXPECT_LE(Largest(p.sum(1) - 1), 8 * c * kEps);
  EXPECT_LE(Largest(p.sum(0) - 1), 64 * c * kEps);
  EXPECT_TRUE((p > 0).all().item<bool>());
}

TEST(Sinkhorn, LowTemperatureGivesThePermutationOfTheLargestSum) {
  // The greedy choice of row 0 is column 0; the best sum, 8 + 9 + 5, leaves that to row 1.
  const torch::Tensor logits =
      torch::tensor({9.0, 8.0, 0.0, 9.0, 1.0, 0.0, 7.0, 6.0, 5.0}, torch::kFloat64).view({3, 3});
  const torch::Tensor best =
      torch::tensor({0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0}, torch::kFloat64).view({3, 3});
  // At a low temperature the normalisation converges as 1 / iterations.
  const int iterations = 500;
  EXPECT_LE(Largest(Sinkhorn(logits / 0.05, iterations) - best), 2.0 / iterations);
}

TEST(Gumbel, NumbersHaveTheirMeanAndDeviation) {
  torch::manual_seed(4);
  const int64_t n = 100000;
  const torch::Tensor g = GumbelLike(torch::empty({n}, torch::kFloat64));
  const double deviation = std::acos(-1.0) / std::sqrt(6.0);
  EXPECT_NEAR(g.mean().item<double>(), 0.5772156649, 5 * deviation / std::sqrt(n));
  // The variance of a variance: (kurtosis 5.4 - 1) sigma^4 / n.
  const double square = deviation * deviation;
  EXPECT_NEAR(g.var().item<double>(), square, 5 * square * std::sqrt(4.4 / n));
}

TEST(LearnedPermutation, SoftLogDetIsThatOfWhatIsApplied) {
  const int64_t c = 6;
  const std::shared_ptr<LinearLayer> layer = Make(c, 0.2);
  SetParameter(layer.get(), 0.1 * torch::randn({c, c}, torch::kFloat64));
  const torch::Tensor x = torch::randn({2, c, 3, 5}, torch::kFloat64);
  torch::manual_seed(8);  // the same noise in both calls
  const torch::Tensor w = Applied(layer.get(), c);
  torch::manual_seed(8);
  const LayerOutput image = layer->Forward(x, {});
  const double expected = 15 * std::get<1>(torch::linalg_slogdet(w)).item<double>();
  EXPECT_LT(expected, -1) << "it is not soft";
  EXPECT_NEAR(image.log_det.item<double>(), expected, 15 * 100 * c * kEps);
}

TEST(LearnedPermutation, SoftMatrixIsFarFromSingularWhateverTheLogits) {
  const int64_t c = 16;
  const std::shared_ptr<LinearLayer> layer = Make(c, 0);
  const double lowest = c * std::log(2 * LearnedPermutation::kHardShare - 1);
  for (const double spread : {0.0, 0.01, 1.0, 100.0}) {
    for (const double progress : {0.0, 0.3, 0.59}) {
      SetParameter(layer.get(), spread * torch::randn({c, c}, torch::kFloat64));
      layer->SetProgress(progress);
      const double log_det = layer->Forward(torch::ones({1, c}, torch::kFloat64), {}).log_det.item<double>();
      EXPECT_GE(log_det, lowest) << spread << " " << progress;
      EXPECT_LE(log_det, 100 * c * kEps) << spread << " " << progress;
    }
  }
}

TEST(LearnedPermutation, NoiseIsDrawnWhileItIsSoftOnly) {
  const int64_t c = 6;
  for (const double progress : {0.0, 0.3, LearnedPermutation::kHardFrom, 1.0}) {
    const std::shared_ptr<LinearLayer> layer = Make(c, progress);
    SetParameter(layer.get(), 0.1 * torch::randn({c, c}, torch::kFloat64));
    EXPECT_EQ(torch::equal(Applied(layer.get(), c), Applied(layer.get(), c)),
              progress >= LearnedPermutation::kHardFrom)
        << progress;
  }
}

TEST(LearnedPermutation, SoftMatrixTendsToThePermutation) {
  const int64_t c = 6;
  const std::shared_ptr<LinearLayer> layer = Make(c, 0);
  SetParameter(layer.get(), 0.3 * torch::eye(c, torch::kFloat64));
  const double early = Largest(Applied(layer.get(), c) - layer->Weight());
  layer->SetProgress(std::nextafter(LearnedPermutation::kHardFrom, 0));
  const double late = Largest(Applied(layer.get(), c) - layer->Weight());
  EXPECT_GT(early, 0.01);
  // Logits of 3 and 0 at a temperature of 0.1 leave a share of exp(-30) to each other place.
  EXPECT_LT(late, c * std::exp(-30));
  EXPECT_GT(late, 0);
}

TEST(LearnedPermutation, LogitsGradientIsThatOfFiniteDifferences) {
  const int64_t c = 4;
  const std::shared_ptr<LinearLayer> layer = Make(c, 0.3);
  const torch::Tensor x = torch::randn({3, c, 2, 1}, torch::kFloat64);
  ExpectGradientsOfFiniteDifferences(layer.get(), [&] {
    torch::manual_seed(9);
    const LayerOutput out = layer->Forward(x, {});
    return out.y.sin().sum() + out.log_det;
  });
}

TEST(LearnedPermutation, LateTrainingAppliesThePermutationWithTheSoftGradient) {
  const int64_t c = 6;
  const std::shared_ptr<LinearLayer> layer = Make(c, LearnedPermutation::kHardFrom);
  SetParameter(layer.get(), 0.1 * torch::randn({c, c}, torch::kFloat64));
  EXPECT_TRUE(torch::equal(Applied(layer.get(), c), layer->Weight()));
  const LayerOutput out = layer->Forward(torch::randn({3, c}, torch::kFloat64), {});
  EXPECT_EQ(out.log_det.item<double>(), 0);
  out.y.square().sum().backward();
  EXPECT_GT(Largest(layer->parameters()[0].grad()), 0);
}

TEST(LearnedPermutation, EvaluationIsTheExactPermutationAtAnyTime) {
  const int64_t c = 6;
  for (const double progress : {0.0, 0.5, 1.0}) {
    const std::shared_ptr<LinearLayer> layer = Make(c, progress);
    SetParameter(layer.get(), torch::randn({c, c}, torch::kFloat64));
    layer->eval();
    EXPECT_TRUE(IsPermutationMatrix(layer->Weight()));
    EXPECT_TRUE(torch::equal(Applied(layer.get(), c), layer->Weight()));
    const torch::Tensor x = torch::randn({2, c, 3, 3}, torch::kFloat64);
    const LayerOutput out = layer->Forward(x, {});
    EXPECT_EQ(out.log_det.item<double>(), 0);
    EXPECT_TRUE(torch::equal(out.y, x.index_select(1, torch::tensor(IndexOf(*layer), torch::kInt64))));
  }
}

TEST(LearnedPermutation, LogitsThatAreNotNumbersShowInTheWeight) {
  const int64_t c = 3;
  const std::shared_ptr<LinearLayer> layer = Make(c, 0);
  SetParameter(layer.get(), torch::full({c, c}, NAN, torch::kFloat64));
  EXPECT_TRUE(layer->Weight().isnan().all().item<bool>());
}

// log p(y | the values that the planted order gives) under a normal of deviation 1.
torch::Tensor NegativeLogLikelihood(LinearLayer* layer, const torch::Tensor& x, const torch::Tensor& mean) {
  const LayerOutput out = layer->Forward(x, {});
  return 0.5 * (out.y - mean).square().sum(1).mean() - out.log_det;
}

TEST(LearnedPermutation, TrainingFindsAPlantedPermutationAndEndsExact) {
  for (const int64_t c : {6, 8}) {
    const std::shared_ptr<LinearLayer> layer = Make(c, 0);
    const torch::Tensor planted = torch::randperm(c, torch::kInt64);
    ASSERT_FALSE(torch::equal(torch::tensor(IndexOf(*layer), torch::kInt64), planted));
    torch::optim::Adam adam(layer->parameters(), torch::optim::AdamOptions(5e-3));
    const int steps = 300;
    double loss = 0;
    for (int step = 0; step < steps; ++step) {
      layer->SetProgress(static_cast<double>(step) / steps);
      const torch::Tensor x = torch::randn({64, c}, torch::kFloat64);
      adam.zero_grad();
      const torch::Tensor nll = NegativeLogLikelihood(layer.get(), x, x.index_select(1, planted));
      nll.backward();
      adam.step();
      loss = nll.item<double>();
    }
    EXPECT_EQ(loss, 0);
    EXPECT_TRUE(torch::equal(torch::tensor(IndexOf(*layer), torch::kInt64), planted));
  }
}

}  // namespace
}  // namespace train
}  // namespace glowworm
