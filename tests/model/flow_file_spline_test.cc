// Tests of model/flow_file.h: splines, a coupling's and those of its identity channels. Each starts from a
// good flow and changes one thing.

#include <cmath>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/flow_file.h"
#include "model/flow_file_parts.h"
#include "tests/model/flow_draft.h"
#include "tests/model/flow_equal.h"

namespace glowworm {
namespace {

using ::testing::HasSubstr;

// The layer "spline" of RowFlow: 1 identity channel, 3 transformed ones, 2 bins of SOFTMAX; its identity
// spline has 3 bins of SOFTCLIP.
struct SplineDraft : FlowDraft {
  SplineDraft() : FlowDraft(FlowDraft::Of(RowFlow())), layer(LayerAt(*this, "spline") + "/coupling") {}
  std::string layer;
  std::string spline = layer + "/spline";
  std::string identity = layer + "/identity_spline";
};

// Its refusal with that field of its spline set.
std::string RefusalWith(const std::string& field, const nlohmann::json& value) {
  SplineDraft draft;
  draft.Set(draft.spline + "/" + field, value);
  return Refusal(draft);
}

TEST(FlowFileSpline, RefusesMissingFields) {
  for (const char* field : {"bins", "tail_bound", "min_bin_width", "min_bin_height", "min_derivative",
                            "width_height_scale", "parametrization"}) {
    SplineDraft draft;
    draft.Remove(draft.spline + "/" + field);
    EXPECT_EQ(Refusal(draft), absl::StrCat("layer 'spline' spline: field '", field, "' is missing"));
    draft = SplineDraft();
    draft.Remove(draft.identity + "/spline/" + field);
    EXPECT_EQ(Refusal(draft),
              absl::StrCat("layer 'spline' identity_spline.spline: field '", field, "' is missing"));
  }
  for (const char* field : {"widths", "heights", "derivatives", "spline"}) {
    SplineDraft draft;
    draft.Remove(draft.identity + "/" + field);
    EXPECT_EQ(Refusal(draft), absl::StrCat("layer 'spline' identity_spline: field '", field, "' is missing"));
  }
}

TEST(FlowFileSpline, RefusesToStandBesideAnotherTransform) {
  SplineDraft draft;
  draft.Set(draft.layer + "/additive", nlohmann::json::object());
  EXPECT_EQ(Refusal(draft),
            "layer 'spline': both 'additive' and 'spline' are given; exactly one is expected");
}

TEST(FlowFileSpline, RefusesBinsThatAreNotPositiveOrTooMany) {
  EXPECT_EQ(RefusalWith("bins", 0), "layer 'spline' spline: field 'bins' is 0; 1 to 1024 is expected");
  EXPECT_THAT(RefusalWith("bins", 1025), HasSubstr("field 'bins' is 1025; 1 to 1024 is expected"));
  EXPECT_THAT(RefusalWith("bins", -2), HasSubstr("not a plain non-negative integer"));
  EXPECT_THAT(RefusalWith("bins", 2.0), HasSubstr("not a plain non-negative integer"));
}

TEST(FlowFileSpline, TakesAsManyBinsAsTheLimit) {
  FlowSpec spec = RowFlow();
  auto& coupling = std::get<Coupling>(spec.layers[7].op);
  ASSERT_EQ(spec.layers[7].name, "spline");
  const int64_t out = 3 * (3 * kMaxSplineBins - 1);
  coupling.transform = SplineTransform{kMaxSplineBins, 3, 0, 0, 0, 1, SplineParametrization::kSoftmax};
  coupling.net = {{{Dense{out, 1, std::vector<double>(static_cast<size_t>(out), 0.5), {}}}}};
  EXPECT_EQ(Refusal(SerializeFlow(spec)), "");
}

TEST(FlowFileSpline, ANetMayBeAsWideAsItsLayerAsks) {
  constexpr int64_t kFeatures = 64, kBins = 200;  // 38336 numbers
  FlowSpec spec;
  spec.name = "wide";
  spec.event = EventShape{2 * kFeatures};
  Coupling coupling;
  for (int64_t i = 0; i < kFeatures; ++i) coupling.identity.push_back(i);
  for (int64_t i = 0; i < kFeatures; ++i) coupling.transformed.push_back(kFeatures + i);
  const int64_t out = kFeatures * (3 * kBins - 1);
  coupling.transform = SplineTransform{kBins, 3, 0, 0, 0, 1, SplineParametrization::kSoftmax};
  coupling.net = {{{Dense{1, kFeatures, std::vector<double>(kFeatures, 0.5), {}}},
                   {Dense{out, 1, std::vector<double>(static_cast<size_t>(out), 0.5), {}}}}};
  spec.layers.push_back({"spline", coupling});
  spec.base = StandardNormal{};
  EXPECT_GT(out, kMaxNetWidth);
  EXPECT_EQ(Refusal(SerializeFlow(spec)), "");
}

TEST(FlowFileSpline, RefusesATailBoundThatIsNotPositiveOrTooLarge) {
  for (const double bound : {0.0, -0.0, -3.0, 1e31, 1e308}) {
    EXPECT_EQ(RefusalWith("tail_bound", bound), absl::StrCat("layer 'spline' spline: tail_bound is ", bound,
                                                             "; a positive one, at most 1e+30, is expected"));
  }
  EXPECT_EQ(RefusalWith("tail_bound", 7), "");
}

TEST(FlowFileSpline, RefusesNumbersThatAreNotFinite) {
  const FlowDraft good = SplineDraft();
  std::string text = good.json.dump();
  const std::string bound = R"("tail_bound":3.5)";
  ASSERT_NE(text.find(bound), std::string::npos);
  text.replace(text.find(bound), bound.size(), R"("tail_bound":1e999)");
  EXPECT_THAT(Refusal(good.BytesWith(text)), HasSubstr("glowworm.flow is not valid JSON"));
}

TEST(FlowFileSpline, RefusesNegativeMinima) {
  for (const char* field : {"min_bin_width", "min_bin_height", "min_derivative"}) {
    EXPECT_EQ(RefusalWith(field, -0.01),
              absl::StrCat("layer 'spline' spline: ", field, " is -0.01; 0 or more is expected"));
    EXPECT_EQ(RefusalWith(field, 0), "");
  }
}

TEST(FlowFileSpline, RefusesBinsThatTheirMinimaFill) {
  for (const char* field : {"min_bin_width", "min_bin_height"}) {
    for (const double least : {0.5, 0.75}) {
      EXPECT_EQ(RefusalWith(field, least), absl::StrCat("layer 'spline' spline: ", field, " is ", least,
                                                        "; with 2 bins less than 1/2 is expected"));
    }
    EXPECT_EQ(RefusalWith(field, std::nextafter(0.5, 0)), "");
  }
  EXPECT_EQ(RefusalWith("min_derivative", 2.5), "");
}

TEST(FlowFileSpline, TakesAnyScaleOfSoftmax) {
  for (const double scale : {-1.0, 0.0, 4.0}) EXPECT_EQ(RefusalWith("width_height_scale", scale), "");
}

TEST(FlowFileSpline, RefusesMinimaAndAScaleOfSoftclip) {
  SplineDraft draft;
  const auto with = [&draft](const std::string& field, double value) {
    FlowDraft changed = draft;
    changed.Set(draft.identity + "/spline/" + field, value);
    return Refusal(changed);
  };
  for (const char* field : {"min_bin_width", "min_bin_height", "min_derivative"}) {
    EXPECT_EQ(with(field, 0.001), absl::StrCat("layer 'spline' identity_spline.spline: ", field,
                                               " is 0.001; SOFTCLIP takes none, so that it must be 0"));
  }
  EXPECT_EQ(
      with("width_height_scale", 0.5),
      "layer 'spline' identity_spline.spline: width_height_scale is 0.5; SOFTCLIP takes none, so that it "
      "must be 1");
}

TEST(FlowFileSpline, RefusesAnUnknownParametrization) {
  EXPECT_EQ(RefusalWith("parametrization", "SOFTPLUS"),
            "layer 'spline' spline: field 'parametrization' has the unknown value 'SOFTPLUS'");
}

TEST(FlowFileSpline, RefusesANetThatGivesAnotherNumberOfBlocks) {
  EXPECT_EQ(RefusalWith("bins", 3), "layer 'spline' net: the net gives 15 channels; 24 are expected");
  FlowDraft image = FlowDraft::Of(ImageFlow());
  image.Set(LayerAt(image, "spline") + "/coupling/spline/bins", 1);
  EXPECT_EQ(Refusal(image), "layer 'spline' net: the net gives 16 channels; 4 are expected");
}

TEST(FlowFileIdentitySpline, RefusesTensorsOfAnotherShape) {
  const std::pair<const char*, int64_t> tensors[] = {{"widths", 3}, {"heights", 3}, {"derivatives", 2}};
  for (const auto& [name, numbers] : tensors) {
    SplineDraft draft;
    draft.SetFloats(draft.identity + "/" + name, {numbers},
                    std::vector<double>(static_cast<size_t>(numbers), 0.5));
    EXPECT_EQ(Refusal(draft),
              absl::StrCat("layer 'spline' identity_spline: tensor 'spline.identity_spline.", name,
                           "' has shape [", numbers, "]; [1, ", numbers, "] is expected"));
  }
}

TEST(FlowFileIdentitySpline, RefusesOtherBinsThanItsTensorsHave) {
  SplineDraft draft;
  draft.Set(draft.identity + "/spline/bins", 4);
  EXPECT_THAT(Refusal(draft), HasSubstr("has shape [1, 3]; [1, 4] is expected"));
}

TEST(FlowFileIdentitySpline, StandsBesideEveryTransform) {
  const IdentitySpline identity =
      *std::get<Coupling>(RowFlow().layers[7].op).identity_spline;  // of one channel
  FlowSpec spec = RowFlow();
  std::get<Coupling>(spec.layers[6].op).identity_spline = identity;
  ASSERT_EQ(spec.layers[6].name, "additive");
  const auto file = ParseFlowFile(SerializeFlow(spec));
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_TRUE(file->spec == spec);  // beside AFFINE it stands in ImageFlow
}

// One bin has no inner derivative: its tensor holds no numbers.
TEST(FlowFileIdentitySpline, OfOneBinIsReadAndWritten) {
  FlowSpec spec = RowFlow();
  const SplineTransform one{1, 3, 0.5, 0.25, 0.01, 1, SplineParametrization::kSoftmax};
  std::get<Coupling>(spec.layers[7].op).identity_spline = IdentitySpline{{0.5}, {-0.5}, {}, one};
  const auto file = ParseFlowFile(SerializeFlow(spec));
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_TRUE(file->spec == spec);
  EXPECT_EQ(FlowDraft::Of(spec).Tensor("/layers/7/coupling/identity_spline/derivatives").shape,
            (std::vector<int64_t>{1, 0}));
}

}  // namespace
}  // namespace glowworm
