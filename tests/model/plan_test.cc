// Tests of model/plan.h: what is folded, what is not, and the dump. That a plan computes the right numbers is
// differential_test.cc's claim.

#include "model/plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

namespace glowworm {
namespace {

using testing::HasSubstr;

Layer AffineLayer(std::string name, std::vector<double> scale, std::vector<double> shift) {
  return {std::move(name), Affine{false, std::move(scale), std::move(shift)}};
}

// W = [[1, 0.5], [0.25, 1.125]].
Layer LinearLayer(std::string name, double log_abs_s = 0) {
  PluFactors plu;
  plu.permutation = {0, 1};
  plu.lower = {0.25};
  plu.upper = {0.5};
  plu.log_abs_s = {log_abs_s, 0};
  plu.sign_s = {1, 1};
  return {std::move(name), Linear{plu, {}}};
}

Layer CouplingLayer(std::string name) {
  Coupling coupling;
  coupling.identity = {0};
  coupling.transformed = {1};
  coupling.net.ops.push_back({Dense{2, 1, {0.5, -0.5}, {0.1, 0.2}}});
  coupling.transform = AffineTransform{ScaleMap::kSigmoid, AffineOrder::kScaleThenShift, 2, 0, 0};
  return {std::move(name), coupling};
}

FlowSpec FlowOf(std::vector<Layer> layers) {
  FlowSpec spec;
  spec.name = "flow";
  spec.event.channels = 2;
  spec.layers = std::move(layers);
  spec.base = StandardNormal{};
  return spec;
}

Plan CompileOrDie(const FlowSpec& spec) {
  auto plan = Compile(spec, 1e6);
  EXPECT_TRUE(plan.ok()) << plan.status();
  return *std::move(plan);
}

TEST(Plan, DumpShowsOneOpALine) {
  const Plan plan =
      CompileOrDie(FlowOf({AffineLayer("00.affine", {2, 0.5}, {0, 1}), LinearLayer("01.linear"),
                           AffineLayer("02.affine", {1, 2}, {3, 4}), CouplingLayer("03.coupling")}));
  EXPECT_EQ(Dump(plan),
            "flow of 2, context 0, classes 0, constant -1.144730\n"
            "f64 2 00.affine: affine of 2\n"
            "    2 01.linear+02.affine: mix 2x2\n"
            "    2 03.coupling: affine coupling 1+1 sigmoid scale-shift [dense1>2]\n"
            "    2 base: emit 2 keep 0 at 0 normal\n");
}

SplineTransform Spline(int64_t bins, double tail_bound, SplineParametrization parametrization) {
  SplineTransform spline;
  spline.bins = bins;
  spline.tail_bound = tail_bound;
  spline.parametrization = parametrization;
  return spline;
}

// A spline coupling whose identity channel has a spline of its own.
Layer SplineLayer(std::string name) {
  Coupling coupling;
  coupling.identity = {0};
  coupling.transformed = {1};
  coupling.net.ops.push_back({Dense{5, 1, {1, 2, 3, 4, 5}, {}}});
  coupling.transform = Spline(2, 3, SplineParametrization::kSoftmax);
  coupling.identity_spline = IdentitySpline{{0}, {0}, {}, Spline(1, 1.5, SplineParametrization::kSoftclip)};
  return {std::move(name), coupling};
}

// Feature 1, then feature 0.
Layer AutoregressiveLayer(std::string name, ParallelDirection parallel) {
  Autoregressive layer;
  layer.order = {1, 0};
  layer.net.ops.push_back({Dense{4, 2, {0, 1, 0, 1, 0, 0, 0, 0}, {}}});
  layer.parallel = parallel;
  layer.transform = AffineTransform{};
  return {std::move(name), layer};
}

TEST(Plan, DumpShowsSplinesAndAutoregressiveLayers) {
  const Plan plan =
      CompileOrDie(FlowOf({SplineLayer("a"), AutoregressiveLayer("b", ParallelDirection::kForward),
                           AutoregressiveLayer("c", ParallelDirection::kInverse)}));
  EXPECT_EQ(Dump(plan),
            "flow of 2, context 0, classes 0, constant -1.837877\n"
            "    2 a: spline coupling 1+1 softmax, 2 bins on +-3 [dense1>5]\n"
            "    2 a.identity_spline: fixed spline of 1 softclip, 1 bins on +-1.5\n"
            "    2 b: autoregressive 2 parallel forward affine exp [dense2>4]\n"
            "    2 c: autoregressive 2 parallel inverse affine exp [dense2>4]\n"
            "    2 base: emit 2 keep 0 at 0 normal\n");
}

TEST(Plan, AnIdentitySplineRunsAfterItsCouplingOnItsChannels) {
  const Plan plan = CompileOrDie(FlowOf({{"p", Permutation{{1, 0}}}, SplineLayer("a")}));
  ASSERT_EQ(plan.ops.size(), 3u);
  EXPECT_EQ(std::get<SplineCoupling>(plan.ops[0].op).identity, std::vector<int64_t>{1});
  EXPECT_EQ(std::get<SplineCoupling>(plan.ops[0].op).transformed, std::vector<int64_t>{0});
  EXPECT_EQ(std::get<FixedSpline>(plan.ops[1].op).channels, std::vector<int64_t>{1});
}

TEST(Plan, APermutationBeforeAnAutoregressiveLayerMovesItsFeatures) {
  const Plan plan = CompileOrDie(
      FlowOf({{"p", Permutation{{1, 0}}}, AutoregressiveLayer("b", ParallelDirection::kForward)}));
  ASSERT_EQ(plan.ops.size(), 2u);
  EXPECT_EQ(std::get<AutoregressiveMap>(plan.ops[0].op).features, (std::vector<int64_t>{1, 0}));
  EXPECT_EQ(std::get<AutoregressiveMap>(plan.ops[0].op).order, (std::vector<int64_t>{1, 0}));
}

TEST(Plan, AnAffineAfterASplineOrAnAutoregressiveLayerIsNotLeading) {
  for (const Layer& first : {SplineLayer("a"), AutoregressiveLayer("a", ParallelDirection::kInverse)}) {
    const Plan plan = CompileOrDie(FlowOf(
        {AffineLayer("0", {2, 3}, {0, 1}), first, AffineLayer("b", {2, 3}, {0, 1}), LinearLayer("c")}));
    EXPECT_EQ(plan.leading, 1u);
    EXPECT_EQ(plan.ops[plan.ops.size() - 2].name, "b+c");
  }
}

TEST(Plan, LeadingAffinesAreNotFolded) {
  const Plan plan = CompileOrDie(
      FlowOf({AffineLayer("a", {2, 3}, {0, 1}), AffineLayer("b", {2, 3}, {0, 1}), LinearLayer("c")}));
  EXPECT_EQ(plan.leading, 2u);
  ASSERT_EQ(plan.ops.size(), 4u);
  EXPECT_EQ(std::get<ChannelMix>(plan.ops[2].op).weight, (std::vector<double>{1, 0.5, 0.25, 1.125}));
}

TEST(Plan, AnAffineBeforeALinearLayerScalesItsColumns) {
  const Plan plan =
      CompileOrDie(FlowOf({CouplingLayer("a"), AffineLayer("b", {2, 4}, {1, -1}), LinearLayer("c")}));
  const auto& mix = std::get<ChannelMix>(plan.ops[1].op);
  EXPECT_EQ(plan.ops[1].name, "b+c");
  EXPECT_EQ(mix.weight, (std::vector<double>{2, 2, 0.5, 4.5}));
  EXPECT_EQ(mix.bias, (std::vector<double>{0.5, -0.875}));
}

TEST(Plan, AnAffineAfterALinearLayerScalesItsRows) {
  const Plan plan = CompileOrDie(FlowOf({LinearLayer("a"), AffineLayer("b", {2, 4}, {1, -1})}));
  const auto& mix = std::get<ChannelMix>(plan.ops[0].op);
  EXPECT_EQ(mix.weight, (std::vector<double>{2, 1, 1, 4.5}));
  EXPECT_EQ(mix.bias, (std::vector<double>{1, -1}));
}

TEST(Plan, TheInverseOfAFoldedMixUndoesIt) {
  const Plan plan = CompileOrDie(FlowOf({CouplingLayer("a"), AffineLayer("b", {2, 4}, {1, -1}),
                                         LinearLayer("c"), AffineLayer("d", {-3, 0.5}, {7, 9})}));
  const auto& mix = std::get<ChannelMix>(plan.ops[1].op);
  const double x[2] = {0.3, -1.7};
  double y[2], back[2];
  for (int i = 0; i < 2; ++i) y[i] = mix.weight[2 * i] * x[0] + mix.weight[2 * i + 1] * x[1] + mix.bias[i];
  for (int i = 0; i < 2; ++i) {
    back[i] = mix.inverse[2 * i] * y[0] + mix.inverse[2 * i + 1] * y[1] + mix.inverse_bias[i];
    EXPECT_NEAR(back[i], x[i], 64 * 2.3e-16 * 9);  // terms of size 9 cancel
  }
}

TEST(Plan, APermutationLeavesNoOpBehind) {
  const Plan plan = CompileOrDie(
      FlowOf({LinearLayer("a"), {"b", Permutation{{1, 0}}}, CouplingLayer("c"), {"d", Permutation{{1, 0}}}}));
  ASSERT_EQ(plan.ops.size(), 3u);
  EXPECT_EQ(std::get<AffineCoupling>(plan.ops[1].op).identity, std::vector<int64_t>{1});
  EXPECT_EQ(std::get<AffineCoupling>(plan.ops[1].op).transformed, std::vector<int64_t>{0});
  EXPECT_EQ(std::get<EmitLatent>(plan.ops[2].op).emit, (std::vector<int64_t>{0, 1}));
}

TEST(Plan, TheConstantHoldsEveryLogDetThatDoesNotDependOnTheInput) {
  const Plan plan =
      CompileOrDie(FlowOf({AffineLayer("a", {-2, 3}, {0, 1}), LinearLayer("b", -0.5), CouplingLayer("c")}));
  EXPECT_DOUBLE_EQ(plan.constant_log_det, std::log(2) + std::log(3) - 0.5 - std::log(2 * M_PI));
}

TEST(Plan, AnIllConditionedLayerRunsInFloat64) {
  const Plan plan = CompileOrDie(FlowOf({LinearLayer("a", std::log(1e4))}));
  EXPECT_TRUE(std::get<ChannelMix>(plan.ops[0].op).wide);
  EXPECT_THAT(Dump(plan), HasSubstr("in float64"));
  EXPECT_FALSE(std::get<ChannelMix>(CompileOrDie(FlowOf({LinearLayer("a")})).ops[0].op).wide);
}

TEST(Plan, AHopelesslyConditionedLayerIsRefusedByNameUnlessAllowed) {
  const FlowSpec spec = FlowOf({LinearLayer("03.linear", std::log(1e8))});
  const auto refused = Compile(spec, 1e6);
  ASSERT_EQ(refused.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(refused.status().message()),
              HasSubstr("layer '03.linear': the condition number of W is"));
  EXPECT_TRUE(Compile(spec, 1e12).ok());
}

TEST(Plan, ConditionIsThatOfTheUnfoldedWeight) {
  const Plan plan = CompileOrDie(FlowOf({LinearLayer("a"), AffineLayer("b", {1e5, 1}, {0, 0})}));
  EXPECT_LT(plan.max_condition_number, 3);
  EXPECT_EQ(plan.layers[0].condition_number, plan.max_condition_number);
}

TEST(FlowSpec, ShapesFollowSqueezeAndSplit) {
  EventShape image{3, 8, 6, true};
  EXPECT_EQ(ShapeAfter({"s", Squeeze{}}, image), (EventShape{12, 4, 3, true}));
  EXPECT_EQ(ShapeAfter({"s", Split{Half::kFirst, StandardNormal{}}}, image), (EventShape{1, 8, 6, true}));
  EXPECT_EQ(ShapeAfter({"s", Split{Half::kSecond, StandardNormal{}}}, image), (EventShape{2, 8, 6, true}));
}

}  // namespace
}  // namespace glowworm
