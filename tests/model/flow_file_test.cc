// Tests of model/flow_file.h: the file as a whole, its texts, shapes and references. Layers, nets and bases
// have files of their own beside this one.

#include "model/flow_file.h"

#include <cstdlib>
#include <cstring>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/model/flow_draft.h"
#include "tests/model/flow_equal.h"
#include "tests/testing/random_flow.h"

namespace glowworm {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

// --- Good files
// --------------------------------------------------------------------------------------------------

TEST(FlowFile, ReadsWhatItWrote) {
  for (const FlowSpec& spec : {RowFlow(), ImageFlow()}) {
    const auto file = ParseFlowFile(SerializeFlow(spec));
    ASSERT_TRUE(file.ok()) << file.status();
    EXPECT_TRUE(file->spec == spec) << spec.name;
  }
}

TEST(FlowFile, ReadsRandomFlowsThatItWrote) {
  const EventShape shapes[] = {RowShape(1),  RowShape(2),         RowShape(5),
                               RowShape(12), ImageShape(1, 4, 4), ImageShape(3, 8, 6)};
  for (const EventShape& shape : shapes) {
    for (uint64_t seed = 1; seed <= 20; ++seed) {
      const FlowSpec spec = AnyFlow(seed, shape, /*context_size=*/seed % 2 == 0 ? 3 : 0, /*num_classes=*/2);
      const std::string bytes = SerializeFlow(spec);
      const auto file = ParseFlowFile(bytes);
      ASSERT_TRUE(file.ok()) << spec.name << ", C = " << shape.channels << ": " << file.status();
      EXPECT_EQ(SerializeFlow(file->spec), bytes) << spec.name << ", C = " << shape.channels;
      // In rows, "per element" and "per channel" are one and the same in the file.
      EXPECT_TRUE(!shape.image || file->spec == spec) << spec.name << ", C = " << shape.channels;
    }
  }
}

TEST(FlowFile, WritesLayersWhoseTensorNamesMeet) {
  FlowSpec spec = RowFlow();
  spec.layers[3].name = "coupling.net.4";  // a full weight, and the weight of the coupling's last dense
  const auto file = ParseFlowFile(SerializeFlow(spec));
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_TRUE(file->spec == spec);
}

TEST(FlowFile, ReadsTheGoldenFlows) {
  for (const char* name :
       {"tiny-plu", "digits-glow", "mammography-context", "thyroid-glow", "pendigits-qr"}) {
    const auto file = ParseFlowFile(GoldenBytes(name));
    ASSERT_TRUE(file.ok()) << name << ": " << file.status();
    EXPECT_EQ(file->spec.name, name);
    const auto again = ParseFlowFile(SerializeFlow(file->spec));
    ASSERT_TRUE(again.ok()) << name << ": " << again.status();
    EXPECT_TRUE(again->spec == file->spec) << name;
  }
}

TEST(FlowFile, ReadsTheNumbersOfTinyPlu) {
  const auto file = ParseFlowFile(GoldenBytes("tiny-plu"));
  ASSERT_TRUE(file.ok()) << file.status();
  const FlowSpec& spec = file->spec;
  EXPECT_TRUE(spec.event == (EventShape{3, 1, 1, false}));
  ASSERT_EQ(spec.layers.size(), 5u);
  const auto& linear = std::get<Linear>(spec.layers[1].op);
  EXPECT_TRUE(
      std::get<PluFactors>(linear.matrix) ==
      (PluFactors{{2, 0, 1}, Side::kOutput, {0.5, -1, 0.25}, {0.5, -0.25, 2}, {0, 0.5, -0.25}, {1, -1, 1}}));
  EXPECT_EQ(linear.bias, (std::vector<double>{0.1, -0.2, 0.3}));
  const auto& coupling = std::get<Coupling>(spec.layers[4].op);
  EXPECT_EQ(coupling.transformed, (std::vector<int64_t>{2, 0}));
  EXPECT_EQ(spec.calibration->log_likelihood, (std::vector<double>{-40, -10, -6, -4}));
}

TEST(FlowFile, FillsInSignsThatAreAbsent) {
  const auto file = ParseFlowFile(GoldenBytes("tiny-plu"));
  ASSERT_TRUE(file.ok()) << file.status();
  const auto& plu = std::get<PluFactors>(std::get<Linear>(file->spec.layers[3].op).matrix);
  EXPECT_EQ(plu.sign_s, (std::vector<double>{1, 1, 1}));
}

TEST(FlowFile, CountsParametersAndHashesTheBytes) {
  const auto file = ParseFlowFile(GoldenBytes("tiny-plu"));
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->parameters, 66);
  EXPECT_EQ(file->sha256,
            "82869452cce9a7f1cdcf2cb0393dddd7c02a81f32a2354393b43dfb562978980");  // by sha256sum
}

TEST(FlowFile, ReadsEveryFixture) {
  const char* root = std::getenv("GLOWWORM_FIXTURES");
  const std::string folder = root == nullptr ? "" : root;
  if (ReadFlowFile(folder + "/tiny-plu/1/flow.safetensors").status().code() == absl::StatusCode::kNotFound) {
    GTEST_SKIP() << "the fixtures are not here: GLOWWORM_FIXTURES names no folder that holds them";
  }
  for (const char* name : {"tiny-plu", "digits-glow", "mammography-context", "thyroid-glow", "pendigits-qr",
                           "cardio-maf", "thyroid-iaf", "shuttle-nsf", "image-extras"}) {
    const auto file = ReadFlowFile(absl::StrCat(folder, "/", name, "/1/flow.safetensors"));
    ASSERT_TRUE(file.ok()) << name << ": " << file.status();
    const auto again = ParseFlowFile(SerializeFlow(file->spec));
    ASSERT_TRUE(again.ok()) << name << ": " << again.status();
    EXPECT_TRUE(again->spec == file->spec) << name;
  }
}

TEST(FlowFile, ThatIsMissingIsNotFoundAndNamesNoPath) {
  const auto file = ReadFlowFile("/no/such/folder/flow.safetensors");
  EXPECT_EQ(file.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(file.status().message()), Not(HasSubstr("/")));
}

// --- Damaged files
// -------------------------------------------------------------------------------------------------

// The layers of RowFlow that no small golden flow has.
std::string SplinesAndMasks() {
  FlowSpec spec = RowFlow();
  std::vector<Layer> layers;
  for (const Layer& layer : spec.layers) {
    if (layer.name == "spline" || layer.name == "maf" || layer.name == "iaf") layers.push_back(layer);
  }
  spec.layers = std::move(layers);
  spec.base = StandardNormal{};
  return SerializeFlow(spec);
}

TEST(FlowFile, RefusesEveryProperPrefix) {
  for (const std::string& bytes : {GoldenBytes("tiny-plu"), SplinesAndMasks()}) {
    ASSERT_EQ(Refusal(bytes), "");
    for (size_t n = 0; n < bytes.size(); ++n) EXPECT_NE(Refusal(bytes.substr(0, n)), "") << n << " bytes";
  }
}

// The length that opens the file says so too, so that only the JSON can tell.
TEST(FlowFile, RefusesAHeaderCutAtEveryByte) {
  const std::string bytes = GoldenBytes("tiny-plu");
  ASSERT_GT(bytes.size(), 8u);
  uint64_t header = 0;
  std::memcpy(&header, bytes.data(), 8);
  const size_t text = bytes.find_last_of('}', 8 + header) - 8;  // without the padding behind it
  for (uint64_t n = 0; n <= text; ++n) {
    std::string cut(8, '\0');
    std::memcpy(&cut[0], &n, 8);
    cut += bytes.substr(8, n);
    cut += bytes.substr(8 + header);
    ASSERT_THAT(Refusal(cut), HasSubstr("the header is not valid JSON")) << "header of " << n << " bytes";
  }
}

TEST(FlowFile, RefusesTheFlowsTextCutAtEveryByte) {
  const FlowDraft draft = FlowDraft::OfBytes(GoldenBytes("tiny-plu"));
  const std::string text = draft.json.dump();
  ASSERT_EQ(Refusal(draft.BytesWith(text)), "");
  for (size_t n = 0; n < text.size(); ++n) {
    EXPECT_THAT(Refusal(draft.BytesWith(text.substr(0, n))), HasSubstr("glowworm.flow is not valid JSON"))
        << n;
  }
}

TEST(FlowFile, SurvivesAFlippedBitInEveryByte) {
  for (const std::string& bytes : {GoldenBytes("tiny-plu"), SplinesAndMasks()}) {
    size_t refused = 0;
    for (size_t i = 0; i < bytes.size(); ++i) {
      std::string damaged = bytes;
      damaged[i] = static_cast<char>(damaged[i] ^ (1 << (i % 8)));
      const auto file = ParseFlowFile(damaged);
      if (!file.ok()) {
        ++refused;
        continue;
      }
      // A digit or a letter of a text became another: still a flow, which must be whole.
      EXPECT_TRUE(ParseFlowFile(SerializeFlow(file->spec)).ok()) << "byte " << i;
    }
    EXPECT_GT(refused, bytes.size() / 2);  // most bytes are JSON
  }
}

TEST(FlowFile, RefusesTrailingBytes) {
  EXPECT_THAT(Refusal(GoldenBytes("tiny-plu") + '\0'), HasSubstr("the file holds 625 after its header"));
}

TEST(FlowFile, RefusesASafetensorsFileThatIsNoFlow) {
  EXPECT_THAT(Refusal(SerializeSafetensors({}, {})), HasSubstr("this is no flow file"));
  EXPECT_THAT(Refusal(SerializeSafetensors({{"format", "pt"}}, {})), HasSubstr("this is no flow file"));
  EXPECT_THAT(Refusal(SerializeSafetensors({{"format", "pt"}, {"glowworm.flow", "{}"}}, {})),
              HasSubstr("the one key 'glowworm.flow'"));
}

// --- The flow's own fields
// -------------------------------------------------------------------------------------------

TEST(FlowFile, RefusesDuplicateKeysInTheFlow) {
  const FlowDraft draft = FlowDraft::Of(RowFlow());
  std::string text = draft.json.dump();
  const std::string kind = R"("kind":"GELU")";
  ASSERT_NE(text.find(kind), std::string::npos);
  text.insert(text.find(kind), kind + ",");
  EXPECT_THAT(Refusal(draft.BytesWith(text)), HasSubstr("glowworm.flow has the key 'kind' twice"));
}

TEST(FlowFile, RefusesAnotherFormat) {
  FlowDraft draft = FlowDraft::Of(RowFlow());
  draft.Set("/format", 2);
  EXPECT_EQ(Refusal(draft), "the flow: format is 2; this version reads format 1");
  draft.Set("/format", 1.0);
  EXPECT_EQ(Refusal(draft), "the flow: field 'format' is not a plain non-negative integer");
}

TEST(FlowFile, RefusesMissingFields) {
  for (const char* field :
       {"format", "name", "description", "event_shape", "context_size", "layers", "base", "provenance"}) {
    FlowDraft draft = FlowDraft::Of(RowFlow());
    draft.json.erase(field);
    EXPECT_EQ(Refusal(draft), absl::StrCat("the flow: field '", field, "' is missing"));
  }
}

// Every field, wherever it stands. Without one that is optional its tensors are not referenced.
TEST(FlowFile, RefusesWithoutAnyField) {
  for (const FlowSpec& spec : {RowFlow(), ImageFlow()}) {
    const FlowDraft good = FlowDraft::Of(spec);
    const nlohmann::json flat = good.json.flatten();
    std::set<std::string> fields;
    for (const auto& item : flat.items()) {
      for (nlohmann::json::json_pointer at(item.key()); !at.empty(); at = at.parent_pointer()) {
        if (good.json.at(at.parent_pointer()).is_object()) fields.insert(at.to_string());
      }
    }
    EXPECT_GT(fields.size(), 100u);
    for (const std::string& field : fields) {
      if (field.rfind("/provenance/", 0) == 0) continue;
      const nlohmann::json::json_pointer at(field);
      FlowDraft draft = good;
      draft.json.at(at.parent_pointer()).erase(at.back());
      EXPECT_NE(Refusal(draft), "") << field;
    }
  }
}

// Every object of the flow, so also every one that a later change adds, gets a field it does not know.
TEST(FlowFile, RefusesUnknownFieldsAtEveryLevel) {
  for (const FlowSpec& spec : {RowFlow(), ImageFlow()}) {
    const FlowDraft good = FlowDraft::Of(spec);
    const nlohmann::json flat = good.json.flatten();
    std::set<std::string> objects = {""};
    for (const auto& item : flat.items()) {
      for (size_t at = item.key().find('/', 1); at != std::string::npos; at = item.key().find('/', at + 1)) {
        const std::string pointer = item.key().substr(0, at);
        if (good.json.at(nlohmann::json::json_pointer(pointer)).is_object()) objects.insert(pointer);
      }
      if (item.value().is_object()) objects.insert(item.key());  // an empty one
    }
    objects.erase("/provenance");  // which takes any
    EXPECT_GT(objects.size(), 30u);
    for (const std::string& pointer : objects) {
      FlowDraft draft = good;
      draft.Set(pointer + "/surplus\nfield", 1);
      EXPECT_THAT(Refusal(draft), HasSubstr("unknown field 'surplus\\nfield'")) << pointer;
    }
  }
}

// Every field, wherever it stands, gets a value of the wrong type.
TEST(FlowFile, RefusesValuesOfTheWrongType) {
  for (const FlowSpec& spec : {RowFlow(), ImageFlow()}) {
    const FlowDraft good = FlowDraft::Of(spec);
    const nlohmann::json flat = good.json.flatten();
    for (const auto& item : flat.items()) {
      for (const nlohmann::json& wrong :
           {nlohmann::json(nullptr), nlohmann::json(true), nlohmann::json::array({1})}) {
        FlowDraft draft = good;
        draft.Set(item.key(), wrong);
        EXPECT_NE(Refusal(draft), "") << item.key() << " = " << wrong;
      }
    }
  }
}

TEST(FlowFile, RefusesTextsThatAreTooLongOrHoldControlBytes) {
  const std::pair<const char*, size_t> texts[] = {
      {"/name", 256}, {"/description", 16 * 1024}, {"/provenance/data", 4096}};
  for (const auto& [pointer, longest] : texts) {
    FlowDraft draft = FlowDraft::Of(RowFlow());
    draft.Set(pointer, std::string(longest, 'x'));
    EXPECT_EQ(Refusal(draft), "") << pointer;
    draft.Set(pointer, std::string(longest + 1, 'x'));
    EXPECT_THAT(Refusal(draft), HasSubstr("control bytes or more than")) << pointer;
    draft.Set(pointer, "\x1b[2J");
    EXPECT_THAT(Refusal(draft), HasSubstr("control bytes or more than")) << pointer;
  }
  FlowDraft draft = FlowDraft::Of(RowFlow());
  draft.Set("/name", "two\nlines");
  EXPECT_THAT(Refusal(draft), HasSubstr("control bytes"));
}

TEST(FlowFile, RefusesTooMuchProvenance) {
  FlowDraft draft = FlowDraft::Of(RowFlow());
  for (int i = 0; i < 257; ++i) draft.json["provenance"][absl::StrCat("key", i)] = "";
  EXPECT_THAT(Refusal(draft), HasSubstr("provenance: 259 entries; at most 256"));
}

TEST(FlowFile, RefusesBadEventShapes) {
  const auto shaped = [](const nlohmann::json& shape) {
    FlowDraft draft = FlowDraft::Of(RowFlow());
    draft.Set("/event_shape", shape);
    return Refusal(draft);
  };
  for (const nlohmann::json& shape :
       {nlohmann::json::array(), nlohmann::json({1, 2}), nlohmann::json({1, 2, 3, 4}), nlohmann::json(4)}) {
    EXPECT_EQ(shaped(shape), "the flow: event_shape is neither [D] nor [C, H, W]");
  }
  for (const nlohmann::json& shape : {nlohmann::json({0}), nlohmann::json({-4}), nlohmann::json({4.0}),
                                      nlohmann::json({1, 0, 4}), nlohmann::json({1, 1, 1ull << 60})}) {
    EXPECT_THAT(shaped(shape), HasSubstr("something else than plain integers of 1 to"));
  }
  EXPECT_THAT(shaped({8193}), HasSubstr("8193 channels; at most 8192"));
  EXPECT_THAT(shaped({2, 4096, 4096}), HasSubstr("[2, 4096, 4096] has more than 16777216 numbers"));
  EXPECT_THAT(shaped({8192, 16777216, 16777216}), HasSubstr("more than 16777216 numbers"));
}

TEST(FlowFile, RefusesABadContextSize) {
  FlowDraft draft = FlowDraft::Of(RowFlow());
  draft.Set("/context_size", 8193);
  EXPECT_EQ(Refusal(draft), "the flow: field 'context_size' is 8193; 0 to 8192 is expected");
  draft.Set("/context_size", -1);
  EXPECT_THAT(Refusal(draft), HasSubstr("not a plain non-negative integer"));
}

TEST(FlowFile, RefusesTooManyLayers) {
  FlowDraft draft = FlowDraft::Of(RowFlow());
  draft.json["layers"] = std::vector<nlohmann::json>(4097, draft.json["layers"][0]);
  EXPECT_THAT(Refusal(draft), HasSubstr("4097 layers; at most 4096"));
}

TEST(FlowFile, RefusesTwoLayersOfOneName) {
  FlowDraft draft = FlowDraft::Of(RowFlow());
  draft.Set("/layers/1/name", "affine");
  EXPECT_EQ(Refusal(draft), "the flow: two layers are named 'affine'");
}

}  // namespace
}  // namespace glowworm
