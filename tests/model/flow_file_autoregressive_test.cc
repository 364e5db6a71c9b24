// Tests of model/flow_file.h: autoregressive layers. Each starts from a good flow and changes one thing.

#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/model/flow_draft.h"

namespace glowworm {
namespace {

using ::testing::HasSubstr;

// RowFlow's layers "maf" (affine, FORWARD) and "iaf" (a spline of 2 bins, INVERSE) work on 4 features in the
// order 2, 0, 3, 1.
FlowDraft Rows() { return FlowDraft::Of(RowFlow()); }

std::string RefusalWith(const std::string& layer, const std::string& field, const nlohmann::json& value) {
  FlowDraft draft = Rows();
  draft.Set(LayerAt(draft, layer) + "/autoregressive" + field, value);
  return Refusal(draft);
}

TEST(FlowFileAutoregressive, RefusesMissingFields) {
  for (const char* field : {"order", "net", "parallel"}) {
    FlowDraft draft = Rows();
    draft.Remove(LayerAt(draft, "maf") + "/autoregressive/" + field);
    EXPECT_EQ(Refusal(draft), absl::StrCat("layer 'maf': field '", field, "' is missing"));
  }
  FlowDraft draft = Rows();
  draft.Remove(LayerAt(draft, "iaf") + "/autoregressive/spline");
  EXPECT_EQ(Refusal(draft), "layer 'iaf': one of affine, spline is expected; none is given");
}

TEST(FlowFileAutoregressive, RefusesFieldsOfACoupling) {
  for (const char* field : {"additive", "identity", "identity_spline"}) {
    EXPECT_EQ(RefusalWith("maf", absl::StrCat("/", field), nlohmann::json::object()),
              absl::StrCat("layer 'maf': unknown field '", field, "'"));
  }
}

TEST(FlowFileAutoregressive, RefusesTwoTransforms) {
  EXPECT_EQ(RefusalWith("maf", "/spline", nlohmann::json::object()),
            "layer 'maf': both 'affine' and 'spline' are given; exactly one is expected");
}

TEST(FlowFileAutoregressive, RefusesAnUnknownDirection) {
  EXPECT_EQ(RefusalWith("iaf", "/parallel", "BACKWARD"),
            "layer 'iaf': field 'parallel' has the unknown value 'BACKWARD'");
}

TEST(FlowFileAutoregressive, RefusesBadNumbersOfItsTransform) {
  EXPECT_EQ(RefusalWith("maf", "/affine/epsilon", -1),
            "layer 'maf' affine: epsilon is -1; 0 or more is expected");
  EXPECT_EQ(RefusalWith("iaf", "/spline/tail_bound", 0),
            "layer 'iaf' spline: tail_bound is 0; a positive one, at most 1e+30, is expected");
}

TEST(FlowFileAutoregressive, RefusesAnOrderThatIsNoPermutation) {
  const auto with = [](const std::vector<int64_t>& order) {
    FlowDraft draft = Rows();
    draft.SetIndices(LayerAt(draft, "maf") + "/autoregressive/order", order);
    return Refusal(draft);
  };
  EXPECT_EQ(with({2, 0, 3, 2}), "layer 'maf': tensor 'maf.order' holds the index 2 twice");
  EXPECT_THAT(with({2, 0, 3, 4}), HasSubstr("holds the index 4; 0 to 3 is expected"));
  EXPECT_THAT(with({2, 0, 3, -1}), HasSubstr("holds the index -1"));
  EXPECT_THAT(with({2, 0, 1}), HasSubstr("has shape [3]; [4] is expected"));
}

TEST(FlowFileAutoregressive, RefusesImages) {
  FlowDraft draft = FlowDraft::Of(ImageFlow());
  draft.json["layers"] = {{{"name", "maf"}, {"autoregressive", nlohmann::json::object()}}};
  EXPECT_EQ(Refusal(draft), "layer 'maf': autoregressive is for tabular events; the event here is an image");
}

// 2 numbers a feature for an affine map, 3K - 1 for a spline.
TEST(FlowFileAutoregressive, RefusesANetThatGivesAnotherNumberOfBlocks) {
  FlowDraft draft = Rows();
  draft.SetFloats(LayerAt(draft, "maf") + "/autoregressive/net/ops/3/dense/weight", {7, 5},
                  std::vector<double>(35, 0));
  draft.SetFloats(LayerAt(draft, "maf") + "/autoregressive/net/ops/3/dense/bias", {7},
                  std::vector<double>(7, 0));
  EXPECT_EQ(Refusal(draft), "layer 'maf' net: the net gives 7 channels; 8 are expected");
  EXPECT_EQ(RefusalWith("iaf", "/spline/bins", 3),
            "layer 'iaf' net: the net gives 20 channels; 32 are expected");
}

// The net of "maf" is concat_context, dense, residual, dense. Weight `i` of its dense layer at `field` is
// set.
std::string RefusalWithWeight(const std::string& field, size_t i) {
  FlowDraft draft = Rows();
  draft.SetNumber(LayerAt(draft, "maf") + "/autoregressive/net/ops/" + field + "/weight", i, 1e-30);
  return Refusal(draft);
}

TEST(FlowFileAutoregressive, RefusesAMaskThatLetsAFeatureReadItselfOrALaterOne) {
  // Hidden unit 1 reads nothing but the context, and reaches feature 2, the first in order.
  EXPECT_EQ(
      RefusalWithWeight("1/dense", 1 * 6 + 2),
      "layer 'maf' net: the net's output 4, of feature 2, depends on feature 2, which `order` does not put "
      "before it; are the masks multiplied into the weights?");
  // Inside the residual, unit 2 of level 2 comes to read unit 0 of level 3, and reaches feature 3.
  EXPECT_THAT(RefusalWithWeight("2/residual/body/ops/1/dense", 2 * 5 + 0),
              HasSubstr("of feature 3, depends on feature 3"));
  // Feature 0, the second, comes to read unit 4 of level 3, and through it feature 3, the third.
  EXPECT_THAT(RefusalWithWeight("3/dense", 1 * 5 + 4),
              HasSubstr("output 1, of feature 0, depends on feature 3"));
  // From the context into a unit that feature 2 reads: any feature may depend on it.
  EXPECT_EQ(RefusalWithWeight("1/dense", 1 * 6 + 5), "");
}

TEST(FlowFileAutoregressive, RefusesTheOrderOfOtherMasks) {
  FlowDraft draft = Rows();
  draft.SetIndices(LayerAt(draft, "iaf") + "/autoregressive/order", {0, 2, 3, 1});
  EXPECT_THAT(Refusal(draft),
              HasSubstr("layer 'iaf' net: the net's output 0, of feature 0, depends on feature 2"));
}

}  // namespace
}  // namespace glowworm
