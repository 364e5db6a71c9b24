// Tests of model/flow_file.h: what layers refuse. Each starts from a good flow and changes one thing.

#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/model/flow_draft.h"

namespace glowworm {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

FlowDraft Rows() { return FlowDraft::Of(RowFlow()); }
FlowDraft Image() { return FlowDraft::Of(ImageFlow()); }

// The refusal of RowFlow with that field of that layer set.
std::string RefusalWith(const std::string& layer, const std::string& field, const nlohmann::json& value) {
  FlowDraft draft = Rows();
  draft.Set(LayerAt(draft, layer) + field, value);
  return Refusal(draft);
}

TEST(FlowFileLayer, RefusesBadNames) {
  for (const std::string& name :
       {std::string(), std::string(129, 'n'), std::string("a\nb"), std::string("é")}) {
    EXPECT_THAT(RefusalWith("affine", "/name", name), HasSubstr("is not 1 to 128 printable ASCII bytes"));
  }
  EXPECT_EQ(RefusalWith("affine", "/name", std::string(128, 'n')), "");
}

TEST(FlowFileLayer, RefusesNoneOrTwoOrUnknownKinds) {
  FlowDraft draft = Rows();
  draft.Remove("/layers/0/affine");
  EXPECT_THAT(Refusal(draft), HasSubstr("layer 'affine': one of affine, linear, permutation, coupling"));
  EXPECT_EQ(RefusalWith("affine", "/squeeze", {{"order", "CHANNEL_MAJOR"}}),
            "layer 'affine': both 'affine' and 'squeeze' are given; exactly one is expected");
  EXPECT_EQ(RefusalWith("affine", "/warp", 1), "layer 'affine': unknown field 'warp'");
}

TEST(FlowFileLayer, RefusesMissingFields) {
  const std::pair<const char*, const char*> fields[] = {{"affine", "/affine/scale"},
                                                        {"affine", "/affine/shift"},
                                                        {"plu", "/linear/plu"},
                                                        {"plu", "/linear/plu/permutation"},
                                                        {"plu", "/linear/plu/side"},
                                                        {"plu", "/linear/plu/lower"},
                                                        {"plu", "/linear/plu/upper"},
                                                        {"plu", "/linear/plu/log_abs_s"},
                                                        {"qr", "/linear/qr/reflectors"},
                                                        {"qr", "/linear/qr/upper"},
                                                        {"qr", "/linear/qr/log_abs_s"},
                                                        {"full", "/linear/full/weight"},
                                                        {"permutation", "/permutation/index"},
                                                        {"split", "/split/emit"},
                                                        {"split", "/split/prior"},
                                                        {"coupling", "/coupling/identity"},
                                                        {"coupling", "/coupling/transformed"},
                                                        {"coupling", "/coupling/net"},
                                                        {"coupling", "/coupling/affine"},
                                                        {"coupling", "/coupling/affine/scale_map"},
                                                        {"coupling", "/coupling/affine/order"},
                                                        {"coupling", "/coupling/affine/offset"},
                                                        {"coupling", "/coupling/affine/epsilon"},
                                                        {"coupling", "/coupling/affine/clamp"},
                                                        {"additive", "/coupling/additive"}};
  for (const auto& [layer, field] : fields) {
    FlowDraft draft = Rows();
    draft.Remove(LayerAt(draft, layer) + field);
    EXPECT_THAT(Refusal(draft), StartsWith(absl::StrCat("layer '", layer, "'"))) << field;
  }
}

TEST(FlowFileLayer, RefusesUnknownEnumNames) {
  EXPECT_EQ(RefusalWith("plu", "/linear/plu/side", "LEFT"),
            "layer 'plu' plu: field 'side' has the unknown value 'LEFT'");
  EXPECT_THAT(RefusalWith("split", "/split/emit", "first_half"), HasSubstr("unknown value 'first_half'"));
  EXPECT_THAT(RefusalWith("coupling", "/coupling/affine/scale_map", "CUBE"),
              HasSubstr("unknown value 'CUBE'"));
  EXPECT_THAT(RefusalWith("coupling", "/coupling/affine/order", ""), HasSubstr("unknown value ''"));
  EXPECT_THAT(RefusalWith("coupling", "/coupling/affine/order", 0), HasSubstr("is not a string"));
}

// --- affine, permutation, squeeze, split, logit
// ----------------------------------------------------------------------

TEST(FlowFileAffine, RefusesAZeroScale) {
  for (const double zero : {0.0, -0.0}) {
    FlowDraft draft = Rows();
    draft.SetNumber("/layers/0/affine/scale", 2, zero);
    EXPECT_EQ(Refusal(draft), "layer 'affine': the scale holds a zero");
  }
}

TEST(FlowFileAffine, RefusesAScaleAndShiftOfTwoShapes) {
  FlowDraft draft = Image();
  draft.SetFloats("/layers/1/affine/shift", {2}, {1, 2});
  EXPECT_EQ(Refusal(draft), "layer 'affine': tensor 'affine.shift' has shape [2]; [2, 8, 8] is expected");
  draft.SetFloats("/layers/1/affine/scale", {2}, {1, 2});
  EXPECT_EQ(Refusal(draft), "");
}

TEST(FlowFileAffine, NamesBothShapesThatItTakes) {
  FlowDraft draft = Image();
  draft.SetFloats("/layers/1/affine/scale", {3}, {1, 2, 3});
  EXPECT_EQ(Refusal(draft),
            "layer 'affine': tensor 'affine.scale' has shape [3]; [2] or [2, 8, 8] is expected");
}

TEST(FlowFilePermutation, RefusesAnIndexThatIsNoPermutation) {
  const auto with = [](const std::vector<int64_t>& index) {
    FlowDraft draft = Rows();
    draft.SetIndices(LayerAt(draft, "permutation") + "/permutation/index", index);
    return Refusal(draft);
  };
  EXPECT_EQ(with({0, 1, 2, 2}), "layer 'permutation': tensor 'permutation.index' holds the index 2 twice");
  EXPECT_THAT(with({0, 1, 2, 4}), HasSubstr("holds the index 4; 0 to 3 is expected"));
  EXPECT_THAT(with({0, 1, 2, -1}), HasSubstr("holds the index -1"));
  EXPECT_THAT(with({0, 1, 2, INT64_MIN}), HasSubstr("holds the index -9223372036854775808"));
  EXPECT_THAT(with({0, 1, 2}), HasSubstr("has shape [3]; [4] is expected"));
}

TEST(FlowFileSqueeze, RefusesOddSides) {
  for (const auto& [height, width] : {std::pair(7, 8), std::pair(8, 7), std::pair(1, 1)}) {
    FlowDraft draft = Image();
    draft.Set("/event_shape", {2, height, width});
    draft.SetFloats("/layers/1/affine/scale", {2}, {1, 2});
    draft.SetFloats("/layers/1/affine/shift", {2}, {1, 2});
    EXPECT_EQ(Refusal(draft), absl::StrCat("layer 'squeeze': squeeze of ", height, " x ", width,
                                           " positions; an even height and width are expected"));
  }
}

TEST(FlowFileSqueeze, RefusesRows) {
  FlowDraft draft = Rows();
  draft.json["layers"] = {{{"name", "squeeze"}, {"squeeze", {{"order", "CHANNEL_MAJOR"}}}}};
  EXPECT_EQ(Refusal(draft), "layer 'squeeze': squeeze is for images; the event here is tabular");
}

TEST(FlowFileSqueeze, RefusesToPassTheLimitOfChannels) {
  FlowDraft draft = Rows();
  draft.Set("/event_shape", {2049, 2, 2});
  draft.json["layers"] = {{{"name", "squeeze"}, {"squeeze", {{"order", "SPATIAL_MAJOR"}}}}};
  EXPECT_EQ(Refusal(draft), "layer 'squeeze': squeeze gives 8196 channels; at most 8192 are read");
}

TEST(FlowFileSplit, RefusesAHalfWithoutChannels) {
  for (const char* half : {"FIRST_HALF", "SECOND_HALF"}) {
    FlowDraft draft = Rows();
    draft.Set("/event_shape", {1});
    draft.json["layers"] = {
        {{"name", "split"}, {"split", {{"emit", half}, {"prior", {{"standard_normal", {}}}}}}}};
    EXPECT_EQ(Refusal(draft), "layer 'split': split of 1 channel; 2 or more are expected");
  }
}

TEST(FlowFileLogit, RefusesAlphaOutsideItsRange) {
  for (const double alpha : {-0.01, 0.5, 0.7, 1e300}) {
    FlowDraft draft = Image();
    draft.Set("/layers/0/logit/alpha", alpha);
    EXPECT_EQ(Refusal(draft),
              absl::StrCat("layer 'logit': alpha is ", alpha, "; 0 or more and less than 0.5 is expected"));
  }
  FlowDraft draft = Image();
  draft.Set("/layers/0/logit/alpha", 0);
  EXPECT_EQ(Refusal(draft), "");
}

// --- linear
// ----------------------------------------------------------------------------------------------------------

TEST(FlowFileLinear, RefusesAPermutationThatIsNone) {
  FlowDraft draft = Rows();
  draft.SetIndices("/layers/1/linear/plu/permutation", {0, 0, 1, 2});
  EXPECT_EQ(Refusal(draft), "layer 'plu' plu: tensor 'plu.permutation' holds the index 0 twice");
}

TEST(FlowFileLinear, RefusesLogAbsSBeyondSixty) {
  for (const char* matrix : {"plu", "qr"}) {
    for (const double edge : {60.0, -60.0}) {
      FlowDraft draft = Rows();
      const std::string field = LayerAt(draft, matrix) + "/linear/" + matrix + "/log_abs_s";
      draft.SetNumber(field, 3, edge);
      EXPECT_EQ(Refusal(draft), "");
      draft.SetNumber(field, 3, edge * 1.001);
      EXPECT_THAT(Refusal(draft),
                  HasSubstr(absl::StrCat("log_abs_s holds ", edge * 1.001, "; -60 to 60 is expected")));
    }
  }
}

TEST(FlowFileLinear, RefusesSignsThatAreNotOne) {
  for (const char* matrix : {"plu", "qr"}) {
    for (const double sign : {0.0, 2.0, -0.999999}) {
      FlowDraft draft = Rows();
      draft.SetNumber(LayerAt(draft, matrix) + "/linear/" + matrix + "/sign_s", 1, sign);
      EXPECT_THAT(Refusal(draft), HasSubstr(absl::StrCat("sign_s holds ", sign, "; 1 or -1 is expected")));
    }
  }
}

TEST(FlowFileLinear, RefusesAZeroReflector) {
  // Exactly zero, and so short or so long that its square is no normal number.
  for (const double q : {0.0, 1e-170, 1e160}) {
    FlowDraft draft = Rows();
    draft.SetFloats(LayerAt(draft, "qr") + "/linear/qr/reflectors", {2, 4}, {1, 2, 3, 4, q, q, q, q});
    EXPECT_THAT(Refusal(draft), StartsWith("layer 'qr' qr: reflector 1 has the squared length"));
  }
}

TEST(FlowFileLinear, RefusesASingularMatrix) {
  for (const std::vector<double>& weight :
       {std::vector<double>(16, 0.0),
        {1, 2, 3, 4, 2, 4, 6, 8, 0, 0, 1, 0, 0, 0, 0, 1},
        {1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1},
        {1e308, -1e308, 0, 0, 1e308, 1e308, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1}}) {
    FlowDraft draft = Rows();
    draft.SetFloats(LayerAt(draft, "full") + "/linear/full/weight", {4, 4}, weight);
    EXPECT_THAT(Refusal(draft), StartsWith("layer 'full' full: the weight is singular: log|det| is "));
  }
}

TEST(FlowFileLinear, RefusesTwoMatrices) {
  EXPECT_THAT(RefusalWith("plu", "/linear/full", nlohmann::json::object()),
              HasSubstr("both 'plu' and 'full' are given"));
}

// --- coupling
// --------------------------------------------------------------------------------------------------------

std::string RefusalOfPartition(const std::vector<int64_t>& identity,
                               const std::vector<int64_t>& transformed) {
  FlowDraft draft = Rows();
  const std::string coupling = LayerAt(draft, "coupling") + "/coupling";
  draft.SetIndices(coupling + "/identity", identity);
  draft.SetIndices(coupling + "/transformed", transformed);
  return Refusal(draft);
}

TEST(FlowFileCoupling, RefusesIndicesThatDoNotPartition) {
  EXPECT_EQ(RefusalOfPartition({1, 2}, {3, 0}), "");
  EXPECT_EQ(RefusalOfPartition({0, 1}, {1, 2}),
            "layer 'coupling': channel 1 is both in identity and in transformed");
  EXPECT_EQ(RefusalOfPartition({0}, {1, 2}),
            "layer 'coupling': identity and transformed list 3 channels; the event has 4");
  EXPECT_THAT(RefusalOfPartition({0, 0}, {1, 2}), HasSubstr("holds the index 0 twice"));
  EXPECT_THAT(RefusalOfPartition({0, 4}, {1, 2}), HasSubstr("holds the index 4; 0 to 3"));
}

TEST(FlowFileCoupling, RefusesAnEmptyHalf) {
  EXPECT_THAT(RefusalOfPartition({}, {0, 1, 2, 3}), HasSubstr("'coupling.identity' has shape [0]; [1+]"));
  EXPECT_THAT(RefusalOfPartition({0, 1, 2, 3}, {}), HasSubstr("'coupling.transformed' has shape [0]; [1+]"));
}

TEST(FlowFileCoupling, RefusesFieldsInAdditive) {
  EXPECT_EQ(RefusalWith("additive", "/coupling/additive/clamp", 0),
            "layer 'additive' additive: unknown field 'clamp'");
}

std::string RefusalOfMap(const std::string& map, double offset, double epsilon, double clamp) {
  return RefusalWith("coupling", "/coupling/affine",
                     {{"scale_map", map},
                      {"order", "SCALE_THEN_SHIFT"},
                      {"offset", offset},
                      {"epsilon", epsilon},
                      {"clamp", clamp}});
}

TEST(FlowFileCoupling, TakesTheNumbersThatItsScaleMapNames) {
  EXPECT_EQ(RefusalOfMap("EXP", 0, 0, 0), "");
  EXPECT_EQ(RefusalOfMap("SIGMOID", -2, 0.001, 0), "");
  EXPECT_EQ(RefusalOfMap("INVERSE_SIGMOID", 2, 0, 0), "");
  EXPECT_EQ(RefusalOfMap("SOFTPLUS", 0, 0.001, 3), "");
  EXPECT_EQ(RefusalOfMap("SOFTPLUS", 0, 0, 0), "");
  for (const char* map : {"TANH_EXP", "ATAN_EXP", "SOFTCLIP_EXP"})
    EXPECT_EQ(RefusalOfMap(map, 0, 0, 2), "") << map;
}

TEST(FlowFileCoupling, RefusesNumbersThatItsScaleMapDoesNotName) {
  for (const char* map : {"EXP", "SOFTPLUS", "TANH_EXP", "ATAN_EXP", "SOFTCLIP_EXP"}) {
    const double clamp = std::string(map) == "EXP" ? 0 : 1;
    EXPECT_THAT(RefusalOfMap(map, 0.5, 0, clamp), HasSubstr("offset is 0.5; ")) << map;
  }
  for (const char* map : {"EXP", "INVERSE_SIGMOID", "TANH_EXP", "ATAN_EXP", "SOFTCLIP_EXP"}) {
    const double clamp = std::string(map).size() < 8 ? 0 : std::string(map) == "INVERSE_SIGMOID" ? 0 : 1;
    EXPECT_THAT(RefusalOfMap(map, 0, 0.5, clamp), HasSubstr("epsilon is 0.5; ")) << map;
  }
  for (const char* map : {"EXP", "SIGMOID", "INVERSE_SIGMOID"}) {
    EXPECT_THAT(RefusalOfMap(map, 0, 0, 0.5),
                HasSubstr(absl::StrCat("clamp is 0.5; ", map, " takes none, so that it must be 0")));
  }
}

TEST(FlowFileCoupling, RefusesANegativeEpsilon) {
  for (const char* map : {"SIGMOID", "SOFTPLUS"}) {
    EXPECT_EQ(RefusalOfMap(map, 0, -1e-9, 0),
              "layer 'coupling' affine: epsilon is -1e-09; 0 or more is expected");
  }
}

TEST(FlowFileCoupling, RefusesAClampThatIsNotPositive) {
  for (const char* map : {"TANH_EXP", "ATAN_EXP", "SOFTCLIP_EXP"}) {
    for (const double clamp : {0.0, -1.0}) {
      EXPECT_THAT(RefusalOfMap(map, 0, 0, clamp),
                  HasSubstr(absl::StrCat("; ", map, " takes a positive one")));
    }
  }
  EXPECT_THAT(RefusalOfMap("SOFTPLUS", 0, 0, -1), HasSubstr("clamp is -1; SOFTPLUS takes 0 or more"));
}

}  // namespace
}  // namespace glowworm
