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
            "layer 'iaf' spline: tail_bound is 0; a positive one is expected");
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

}  // namespace
}  // namespace glowworm
