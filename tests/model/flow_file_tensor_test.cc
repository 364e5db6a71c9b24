// Tests of model/flow_file.h: the tensors that a flow references, one by one.

#include <cmath>
#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/flow_file.h"
#include "model/flow_file_fields.h"
#include "tests/model/flow_draft.h"

namespace glowworm {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

TEST(FlowFileTensors, ReferencedTwiceAreAccepted) {
  FlowDraft draft = FlowDraft::Of(RowFlow());
  draft.Remove("/layers/0/affine/shift");
  draft.Set("/layers/0/affine/shift", draft.json["layers"][0]["affine"]["scale"]);
  EXPECT_EQ(Refusal(draft), "");
}

TEST(FlowFileTensors, InFloat32AreRead) {
  FlowDraft draft = FlowDraft::Of(RowFlow());
  TensorData& tensor = draft.Tensor("/layers/0/affine/scale");
  const float scale[4] = {0.1f, 0.2f, -0.3f, 0.4f};
  tensor.dtype = Dtype::kF32;
  tensor.bytes.assign(reinterpret_cast<const char*>(scale), sizeof(scale));
  const auto file = ParseFlowFile(draft.Bytes());
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(std::get<Affine>(file->spec.layers[0].op).scale[2], static_cast<double>(-0.3f));
}

// ------------------------------------------------------------------------------------------

TEST(FlowFileTensors, UnreferencedAreRefused) {
  FlowDraft draft = FlowDraft::Of(RowFlow());
  draft.tensors["spare"] = FloatTensor("spare", {1}, {1});
  EXPECT_EQ(Refusal(draft), "the flow: tensor 'spare' is not referenced");
}

// Below, every tensor of the flow in turn.
class EveryTensor : public ::testing::TestWithParam<bool> {
 protected:
  const FlowDraft good_ = FlowDraft::Of(GetParam() ? ImageFlow() : RowFlow());
};
INSTANTIATE_TEST_SUITE_P(Of, EveryTensor, ::testing::Bool(),
                         [](const auto& p) { return p.param ? "ImageFlow" : "RowFlow"; });

TEST_P(EveryTensor, ThatIsMissingIsRefused) {
  for (const auto& [name, tensor] : good_.tensors) {
    FlowDraft draft = good_;
    draft.tensors.erase(name);
    EXPECT_THAT(Refusal(draft), HasSubstr(absl::StrCat("tensor '", name, "' is not in the file")));
  }
}

TEST_P(EveryTensor, OfAnotherDtypeIsRefused) {
  for (const auto& [name, tensor] : good_.tensors) {
    const std::pair<Dtype, Dtype> twins[] = {{Dtype::kI64, Dtype::kF64}, {Dtype::kF64, Dtype::kI64}};
    for (const auto& [from, to] : twins) {
      if (tensor.dtype != from) continue;
      FlowDraft draft = good_;
      draft.tensors[name].dtype = to;
      EXPECT_THAT(Refusal(draft),
                  AllOf(HasSubstr(absl::StrCat("tensor '", name, "' has dtype ", DtypeName(to))),
                        HasSubstr("is expected")));
    }
  }
}

TEST_P(EveryTensor, OfHalfPrecisionIsRefused) {
  for (const auto& [name, tensor] : good_.tensors) {
    for (const Dtype dtype : {Dtype::kF16, Dtype::kBf16, Dtype::kI32}) {
      FlowDraft draft = good_;
      TensorData& narrow = draft.tensors[name];
      narrow.dtype = dtype;
      narrow.bytes.resize(narrow.bytes.size() / 8 * static_cast<size_t>(DtypeBytes(dtype)));
      EXPECT_THAT(Refusal(draft), HasSubstr(absl::StrCat("has dtype ", DtypeName(dtype)))) << name;
    }
  }
}

TEST_P(EveryTensor, OfAnotherShapeIsRefused) {
  for (const auto& [name, tensor] : good_.tensors) {
    FlowDraft draft = good_;
    draft.tensors[name].shape.push_back(1);
    EXPECT_NE(Refusal(draft), "") << name << " with a dimension more";
    draft = good_;
    TensorData& longer = draft.tensors[name];
    const size_t slice = longer.bytes.size() / static_cast<size_t>(longer.shape.front());
    longer.shape.front() += 1;
    longer.bytes.append(longer.bytes.substr(0, slice));
    // Of reflectors there may be any number.
    EXPECT_EQ(Refusal(draft).empty(), name == "qr.reflectors") << name << " with a row more";
    draft = good_;
    draft.tensors[name].shape = {0};
    draft.tensors[name].bytes.clear();
    EXPECT_NE(Refusal(draft), "") << name << " without numbers";
  }
}

TEST_P(EveryTensor, ThatIsNotFiniteIsRefused) {
  for (const auto& [name, tensor] : good_.tensors) {
    if (tensor.dtype != Dtype::kF64 && tensor.dtype != Dtype::kF32) continue;
    for (const double value : {std::nan(""), HUGE_VAL, -HUGE_VAL}) {
      FlowDraft draft = good_;
      std::string& bytes = draft.tensors[name].bytes;
      const float narrow = static_cast<float>(value);
      if (tensor.dtype == Dtype::kF64) {
        std::memcpy(&bytes[bytes.size() - sizeof(value)], &value, sizeof(value));
      } else {
        std::memcpy(&bytes[bytes.size() - sizeof(narrow)], &narrow, sizeof(narrow));
      }
      EXPECT_THAT(Refusal(draft),
                  AllOf(HasSubstr(absl::StrCat("tensor '", name, "'")), HasSubstr("not finite")));
    }
  }
}

TEST(FlowSource, CountsANumberEachTimeItIsReferenced) {
  const auto file = Safetensors::Parse(SerializeSafetensors({}, {FloatTensor("t", {4}, {1, 2, 3, 4})}));
  ASSERT_TRUE(file.ok()) << file.status();
  FlowSource source(*file, /*max_numbers=*/11);
  const Place place = {"here", ""};
  EXPECT_NE(source.Reference(place, "t"), nullptr);
  EXPECT_NE(source.Reference(place, "t"), nullptr);
  EXPECT_EQ(source.Reference(place, "t"), nullptr);
  EXPECT_EQ(source.status(), absl::InvalidArgumentError("here: the flow holds more than 11 numbers"));
}

}  // namespace
}  // namespace glowworm
