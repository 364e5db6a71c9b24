// model/masked_net.h: degrees are read off the zeros of the weights; model/sequential_plan.h: units are
// sorted by them.

#include "model/masked_net.h"

#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/sequential_plan.h"

namespace glowworm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Dense Weights(int64_t out, int64_t in, std::vector<double> weight) {
  return {out, in, std::move(weight), {}};
}

// Three features in the order 2, 0, 1, and a net of one product that gives each a shift and a raw scale.
const std::vector<int64_t> kOrder = {2, 0, 1};
Net OneProduct() {
  return {{{Weights(6, 3,
                    {0, 0, 1, 0, 0, 1,  // feature 0 may read 2
                     1, 0, 1, 1, 0, 0,  // feature 1 may read 2 and 0
                     0, 0, 0, 0, 0, 0})}}};
}

TEST(MaskedNetTest, AFeatureHasTheDegreeOfItsPlaceInTheOrder) {
  EXPECT_THAT(FeatureDegrees(kOrder), ElementsAre(2, 3, 1));
}

TEST(MaskedNetTest, AUnitHasTheLargestDegreeThatReachesIt) {
  EXPECT_THAT(DegreesAfter(Weights(3, 3, {0, 0, 0, 1, 0, 1, 0, -2, 0}), {2, 3, 1}), ElementsAre(0, 2, 3));
}

TEST(MaskedNetTest, AResidualKeepsTheLargerOfItsTwoSides) {
  Residual residual;
  residual.body.ops.push_back({Weights(2, 2, {0, 1, 0, 0})});
  EXPECT_THAT(DegreesAfter(Net{{{residual}}}, {1, 2}, 0), ElementsAre(2, 2));
}

TEST(MaskedNetTest, ContextHasDegreeZero) {
  EXPECT_THAT(DegreesAfter(Net{{{ConcatContext{}}}}, {1, 2}, 2), ElementsAre(1, 2, 0, 0));
}

TEST(MaskedNetTest, ANetThatReadsOnlyEarlierFeaturesIsAccepted) {
  EXPECT_TRUE(CheckAutoregressive(OneProduct(), kOrder, 2, 0).ok());
}

TEST(MaskedNetTest, ThePlanComputesEachUnitOnceFromTheInputsUpToItsDegree) {
  const SequentialPlan plan(OneProduct(), kOrder, 0);
  const SequentialPlan::Value& out = plan.values[plan.output];
  EXPECT_THAT(out.place, ElementsAre(2, 3, 4, 5, 0, 1));  // of degrees 1 1 2 2 0 0
  EXPECT_THAT(out.up_to, ElementsAre(0, 2, 4, 6, 6));
  ASSERT_EQ(plan.steps.size(), 1);
  const auto& multiply = std::get<SequentialPlan::Multiply>(plan.steps[0]);
  EXPECT_THAT(multiply.begin, ElementsAre(0, 0, 2, 6));
  EXPECT_THAT(multiply.weight, ElementsAre(1, 1,          // of feature 2
                                           1, 1, 0, 1));  // of features 2 and 0
}

TEST(MaskedNetTest, ANetThatReadsItsOwnOrALaterFeatureIsRefusedByName) {
  for (int64_t reads : {0, 1}) {
    Net net = OneProduct();
    std::get<Dense>(net.ops[0].op).weight[reads] = 1e-300;  // feature 0 reads itself, or feature 1
    const absl::Status status = CheckAutoregressive(net, kOrder, 2, 0);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), HasSubstr(reads == 0 ? "of feature 0, depends on feature 0"
                                                                    : "of feature 0, depends on feature 1"));
  }
}

}  // namespace
}  // namespace glowworm
