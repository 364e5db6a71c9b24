// Costs counted by hand.

#include "tests/bench/plan_cost.h"

#include <gtest/gtest.h>

namespace glowworm {
namespace bench {
namespace {

EventShape Shape(int64_t channels, int64_t height = 1, int64_t width = 1) {
  return {channels, height, width, height > 1};
}

Plan PlanOf(const EventShape& shape, decltype(PlanOp::op) op) {
  Plan plan;
  plan.event = shape;
  plan.ops.push_back({"op", std::move(op), shape, shape});
  return plan;
}

NetOp DenseOp(int64_t in, int64_t out) { return {Dense{out, in, {}, {}}}; }

TEST(PlanCost, AMixIsAProductAtEachPosition) {
  ChannelMix mix;
  mix.channels = 12;
  const PlanCost cost = CountCost(PlanOf(Shape(12, 4, 4), mix));
  EXPECT_EQ(cost.operations, 2 * 12 * 12 * 16);
  EXPECT_EQ(cost.weight_bytes, 4 * 12 * 12);
  EXPECT_EQ(cost.row_bytes, 4 * (12 + 12) * 16);
}

TEST(PlanCost, WideAndLeadingOpsHaveEightBytes) {
  ChannelMix mix;
  mix.channels = 5;
  const PlanCost narrow = CountCost(PlanOf(Shape(5), mix));
  mix.wide = true;
  EXPECT_EQ(CountCost(PlanOf(Shape(5), mix)).row_bytes, 2 * narrow.row_bytes);
  Plan plan = PlanOf(Shape(5), ElementwiseAffine{});
  EXPECT_EQ(CountCost(plan).row_bytes, 4 * 10);
  plan.leading = 1;
  EXPECT_EQ(CountCost(plan).row_bytes, 8 * 10);
}

TEST(PlanCost, ACouplingIsItsNetsProductsAndWhatItTransforms) {
  AffineCoupling coupling;
  coupling.identity = {0, 1, 2};
  coupling.transformed = {3, 4};
  Residual residual;
  residual.body.ops = {{Activation{}}, DenseOp(8, 8)};
  residual.context_gate = ContextGate{8, 3, {}, {}};
  coupling.net.ops = {DenseOp(3, 8), {residual}, DenseOp(8, 4)};
  const PlanCost cost = CountCost(PlanOf(Shape(5), coupling));
  EXPECT_EQ(cost.operations, 2 * (3 * 8 + 8 * 8 + 8 * 3 + 8 * 4));
  EXPECT_EQ(cost.weight_bytes, 4 * (3 * 8 + 8 * 8 + 8 * 3 + 8 * 4));
  EXPECT_EQ(cost.row_bytes, 4 * (11 + 16 + 12 + 2 * 2));
}

TEST(PlanCost, AConvolutionHasAWeightForEachTap) {
  AdditiveCoupling coupling;
  coupling.identity = {0};
  coupling.transformed = {1};
  coupling.net.ops = {{Conv{1, 1, 3, {}, {}, Pad::kZero}}};
  const PlanCost cost = CountCost(PlanOf(Shape(2, 6, 4), coupling));
  EXPECT_EQ(cost.operations, 2 * 9 * 24);
  EXPECT_EQ(cost.weight_bytes, 4 * 9);
  EXPECT_EQ(cost.row_bytes, 4 * (2 + 2) * 24);
}

}  // namespace
}  // namespace bench
}  // namespace glowworm
