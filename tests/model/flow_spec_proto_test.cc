// Holds proto/glowworm/v1/flow_spec.proto, which documents the flow file, against the files and the reader.

#include <google/protobuf/descriptor.pb.h>
#include <google/protobuf/dynamic_message.h>
#include <google/protobuf/util/json_util.h>

#include <fstream>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/flow_file_names.h"
#include "tests/model/flow_draft.h"

namespace glowworm {
namespace {

namespace pb = google::protobuf;

class FlowSpecProto : public ::testing::Test {
 protected:
  // The build compiles the proto, beside density.proto, into GLOWWORM_PROTO_DESCRIPTORS.
  void SetUp() override {
    std::ifstream in(GLOWWORM_PROTO_DESCRIPTORS, std::ios::binary);
    pb::FileDescriptorSet files;
    ASSERT_TRUE(files.ParseFromIstream(&in));
    for (const pb::FileDescriptorProto& file : files.file()) ASSERT_NE(pool_.BuildFile(file), nullptr);
    spec_ = pool_.FindMessageTypeByName("glowworm.v1.FlowSpec");
    ASSERT_NE(spec_, nullptr);
  }

  // The names of an enum, in the order of its numbers.
  std::vector<std::string> Names(const std::string& message, const std::string& name) const {
    const pb::EnumDescriptor* found =
        pool_.FindEnumTypeByName(absl::StrCat("glowworm.v1.FlowSpec.", message, ".", name));
    std::vector<std::string> names;
    for (int i = 0; found != nullptr && i < found->value_count(); ++i)
      names.push_back(found->value(i)->name());
    return names;
  }

  pb::DescriptorPool pool_;
  const pb::Descriptor* spec_ = nullptr;
};

template <typename E, size_t n>
std::vector<std::string> Names(const EnumName<E> (&rows)[n]) {
  std::vector<std::string> names;
  for (const EnumName<E>& row : rows) names.emplace_back(row.name);
  return names;
}

TEST_F(FlowSpecProto, ListsTheEnumsThatTheReaderKnows) {
  EXPECT_EQ(Names("Net.Conv", "Pad"), glowworm::Names(kPadNames));
  EXPECT_EQ(Names("Net.Activation", "Kind"), glowworm::Names(kActivationNames));
  EXPECT_EQ(Names("Linear.Plu", "Side"), glowworm::Names(kSideNames));
  EXPECT_EQ(Names("Squeeze", "Order"), glowworm::Names(kSqueezeOrderNames));
  EXPECT_EQ(Names("Split", "Half"), glowworm::Names(kHalfNames));
  EXPECT_EQ(Names("AffineTransform", "ScaleMap"), glowworm::Names(kScaleMapNames));
  EXPECT_EQ(Names("AffineTransform", "Order"), glowworm::Names(kAffineOrderNames));
  EXPECT_EQ(Names("Spline", "Parametrization"), glowworm::Names(kSplineParametrizationNames));
  EXPECT_EQ(Names("Autoregressive", "Parallel"), glowworm::Names(kParallelDirectionNames));
}

TEST_F(FlowSpecProto, HasEveryFieldOfEveryFlow) {
  std::vector<std::string> texts = {FlowDraft::Of(RowFlow()).json.dump(),
                                    FlowDraft::Of(ImageFlow()).json.dump()};
  for (const char* name :
       {"tiny-plu", "digits-glow", "mammography-context", "thyroid-glow", "pendigits-qr"}) {
    texts.push_back(FlowDraft::OfBytes(GoldenBytes(name)).json.dump());
  }
  pb::DynamicMessageFactory factory;
  for (const std::string& text : texts) {
    const std::unique_ptr<pb::Message> message(factory.GetPrototype(spec_)->New());
    const auto status =
        pb::util::JsonStringToMessage(text, message.get());  // refuses unknown fields and enum names
    EXPECT_TRUE(status.ok()) << status.ToString();
    EXPECT_GT(message->ByteSizeLong(), 100u);
  }
}

TEST_F(FlowSpecProto, StandsBesideDensityProto) {
  EXPECT_NE(pool_.FindServiceByName("glowworm.v1.DensityService"), nullptr);
}

}  // namespace
}  // namespace glowworm
