// Tests of model/flow_file.h: what bases, priors and the calibration refuse. Each starts from a good flow and
// changes one thing.

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/model/flow_draft.h"

namespace glowworm {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;

FlowDraft Rows() { return FlowDraft::Of(RowFlow()); }
FlowDraft Image() { return FlowDraft::Of(ImageFlow()); }
std::vector<double> Ones(int64_t n) { return std::vector<double>(static_cast<size_t>(n), 1.0); }

TEST(FlowFileBase, RefusesNoneOrTwoOrUnknownKinds) {
  FlowDraft draft = Rows();
  draft.Set("/base/standard_normal", json::object());
  EXPECT_EQ(Refusal(draft),
            "base: both 'standard_normal' and 'class_normal' are given; exactly one is expected");
  draft = Rows();
  draft.Set("/base", json::object());
  EXPECT_EQ(Refusal(draft),
            "base: one of standard_normal, diag_normal, class_normal, net_normal is expected; none is given");
  draft.Set("/base", {{"cauchy", json::object()}});
  EXPECT_THAT(Refusal(draft), HasSubstr("none is given"));
}

TEST(FlowFileBase, RefusesMissingFields) {
  for (const char* field :
       {"/base/class_normal/mean", "/base/class_normal/log_scale", "/base/class_normal/log_weight"}) {
    FlowDraft draft = Rows();
    draft.Remove(field);
    EXPECT_THAT(Refusal(draft), HasSubstr("base class_normal: field")) << field;
  }
  const std::pair<const char*, const char*> fields[] = {{"split", "/split/prior/diag_normal/mean"},
                                                        {"split", "/split/prior/diag_normal/log_scale"},
                                                        {"split3", "/split/prior/net_normal/net"}};
  for (const auto& [layer, field] : fields) {
    FlowDraft draft = Image();
    draft.Remove(LayerAt(draft, layer) + field);
    EXPECT_THAT(Refusal(draft), HasSubstr("is missing")) << field;
  }
}

TEST(FlowFileBase, RefusesNetNormalAsTheBase) {
  FlowDraft draft = Rows();
  const json net = draft.json["layers"].back()["split"]["prior"];
  for (const char* field :
       {"/base/class_normal/mean", "/base/class_normal/log_scale", "/base/class_normal/log_weight"}) {
    draft.Remove(field);
  }
  draft.Set("/base", net);
  EXPECT_EQ(Refusal(draft), "base net_normal: net_normal is for the prior of a split only");
}

TEST(FlowFileBase, RefusesShapesOfAnotherEvent) {
  FlowDraft draft = Rows();
  draft.SetFloats("/base/class_normal/mean", {3, 4}, Ones(12));  // of the event, not of what the split left
  EXPECT_THAT(Refusal(draft), HasSubstr("has shape [3, 4]; [3, 2] is expected"));
  draft = Image();
  const std::string normal = LayerAt(draft, "split") + "/split/prior/diag_normal";
  draft.SetFloats(normal + "/mean", {8, 4, 4}, Ones(128));
  EXPECT_THAT(Refusal(draft), HasSubstr("has shape [8, 4, 4]; [4] or [4, 4, 4] is expected"));
  draft = Image();
  draft.SetFloats(normal + "/mean", {4}, Ones(4));
  EXPECT_THAT(Refusal(draft), HasSubstr("has shape [4, 4, 4]; [4] is expected"));
  draft.SetFloats(normal + "/log_scale", {4}, Ones(4));
  EXPECT_EQ(Refusal(draft), "");
}

TEST(FlowFileBase, RefusesNoClasses) {
  FlowDraft draft = Rows();
  draft.SetFloats("/base/class_normal/log_weight", {0}, {});
  EXPECT_THAT(Refusal(draft), HasSubstr("has shape [0]; [1+] is expected"));
}

TEST(FlowFileBase, RefusesClassesThatDiffer) {
  FlowDraft draft = Image();
  draft.SetNumber("/base/class_normal/log_weight", 1, 0.25);
  EXPECT_EQ(Refusal(draft), "base: class_normal has another log_weight than an earlier one");
  draft.SetFloats("/base/class_normal/log_weight", {2}, Ones(2));
  draft.SetFloats("/base/class_normal/mean", {2, 16}, Ones(32));
  draft.SetFloats("/base/class_normal/log_scale", {2, 16}, Ones(32));
  EXPECT_EQ(Refusal(draft), "base: class_normal has 2 classes, an earlier one 3");
}

TEST(FlowFileBase, RefusesANetNormalOfAnotherWidth) {
  FlowDraft draft = Image();
  const std::string net = LayerAt(draft, "split3") + "/split/prior/net_normal/net";
  draft.SetFloats(net + "/ops/0/conv/weight", {4, 4, 3, 3}, Ones(144));
  draft.SetFloats(net + "/ops/0/conv/bias", {4}, Ones(4));
  EXPECT_EQ(Refusal(draft), "layer 'split3' prior.net_normal.net: the net gives 4 channels; 8 are expected");
  draft.SetFloats(net + "/ops/0/conv/weight", {8, 8, 3, 3}, Ones(576));  // reads what it emits too
  EXPECT_THAT(Refusal(draft), HasSubstr("has shape [8, 8, 3, 3]; [1+, 4, 1+, 1+] is expected"));
}

// --- Calibration
// -------------------------------------------------------------------------------------------------------

std::string RefusalOf(const std::vector<double>& log_likelihood, const std::vector<double>& probability) {
  FlowDraft draft = Rows();
  draft.SetFloats("/calibration/log_likelihood", {static_cast<int64_t>(log_likelihood.size())},
                  log_likelihood);
  draft.SetFloats("/calibration/probability", {static_cast<int64_t>(probability.size())}, probability);
  return Refusal(draft);
}

TEST(FlowFileCalibration, MayBeAbsent) {
  FlowDraft draft = Rows();
  draft.Remove("/calibration/log_likelihood");
  draft.Remove("/calibration/probability");
  draft.Remove("/calibration");
  EXPECT_EQ(Refusal(draft), "");
}

TEST(FlowFileCalibration, TakesEqualProbabilities) {
  EXPECT_EQ(RefusalOf({-3, -2, -1}, {0.25, 0.25, 1}), "");
}

TEST(FlowFileCalibration, RefusesQuantilesThatDoNotAscend) {
  EXPECT_EQ(RefusalOf({-3, -3, -1}, {0, 0.5, 1}),
            "calibration: log_likelihood 1 is not above the one before it");
  EXPECT_EQ(RefusalOf({-3, -2, -2.5}, {0, 0.5, 1}),
            "calibration: log_likelihood 2 is not above the one before it");
}

TEST(FlowFileCalibration, RefusesProbabilitiesThatDescend) {
  EXPECT_EQ(RefusalOf({-3, -2, -1}, {0, 0.5, 0.25}), "calibration: probability 2 is below the one before it");
}

TEST(FlowFileCalibration, RefusesProbabilitiesOutsideZeroToOne) {
  EXPECT_EQ(RefusalOf({-3, -2}, {-0.5, 1}),
            "calibration: the probabilities run from -0.5 to 1; 0 to 1 is expected");
  EXPECT_THAT(RefusalOf({-3, -2}, {0, 1.5}), HasSubstr("run from 0 to 1.5"));
}

TEST(FlowFileCalibration, RefusesUnequalLengths) {
  EXPECT_THAT(RefusalOf({-3, -2, -1}, {0, 1}), HasSubstr("has shape [2]; [3] is expected"));
  EXPECT_THAT(RefusalOf({}, {}), HasSubstr("has shape [0]; [1+] is expected"));
}

}  // namespace
}  // namespace glowworm
