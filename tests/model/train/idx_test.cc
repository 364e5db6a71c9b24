// IDX files (model/train/idx.h): the header's numbers, every refusal; Fashion-MNIST itself where it is
// installed.

#include "model/train/idx.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/train/stored_file.h"
#include "tests/model/train/data_files.h"

namespace glowworm {
namespace train {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string Refusal(const std::string& bytes) { return std::string(ParseIdx(bytes).status().message()); }

TEST(Idx, ReadsShapeAndValues) {
  const std::string bytes = Idx({2, 1, 3}, "abcdef");
  const auto array = ParseIdx(bytes);
  ASSERT_TRUE(array.ok()) << array.status();
  EXPECT_THAT(array->shape, ElementsAre(2, 1, 3));
  EXPECT_EQ(array->values, "abcdef");
}

TEST(Idx, DimensionsAreBigEndian) {
  const std::string bytes = Idx({0x010203}, std::string(0x010203, '\0'));
  EXPECT_EQ(bytes.substr(0, 8), std::string("\0\0\x08\x01\0\x01\x02\x03", 8));
  const auto array = ParseIdx(bytes);
  ASSERT_TRUE(array.ok()) << array.status();
  EXPECT_THAT(array->shape, ElementsAre(0x010203));
}

TEST(Idx, RefusesOtherTypesByName) {
  const struct {
    char type;
    const char* name;
  } types[] = {{0x09, "signed byte"}, {0x0B, "int16"}, {0x0C, "int32"}, {0x0D, "float32"}, {0x0E, "float64"}};
  for (const auto& other : types) {
    EXPECT_EQ(Refusal(Idx({1}, "x", other.type)),
              std::string("IDX values of type ") + other.name + "; only unsigned bytes are read");
  }
}

TEST(Idx, RefusesOtherMagicNumbers) {
  EXPECT_THAT(Refusal(Idx({1}, "x", 0x0A)), HasSubstr("expected an IDX file"));
  EXPECT_THAT(Refusal("\x08\x03 little-endian"), HasSubstr("expected an IDX file"));
  EXPECT_THAT(Refusal(""), HasSubstr("expected an IDX file"));
}

TEST(Idx, RefusesNoDimensionAndTooMany) {
  EXPECT_EQ(Refusal(Idx({}, "x")), "an IDX array of 0 dimensions; expected 1 to 4");
  EXPECT_EQ(Refusal(Idx({1, 1, 1, 1, 1}, "x")), "an IDX array of 5 dimensions; expected 1 to 4");
}

TEST(Idx, RefusesACutAtEveryByteAndBytesBehind) {
  const std::string bytes = Idx({2, 1, 3}, "abcdef");
  for (size_t size = 0; size < bytes.size(); ++size) {
    EXPECT_EQ(ParseIdx(bytes.substr(0, size)).status().code(), absl::StatusCode::kInvalidArgument) << size;
  }
  EXPECT_EQ(Refusal(bytes + "g"),
            "an IDX array of shape (2, 1, 3) does not fit the 7 bytes after its header");
}

TEST(Idx, RefusesDimensionsWhoseProductOverflows) {
  const uint32_t most = 0xffffffff;
  EXPECT_THAT(Refusal(Idx({most, most, most, most}, "x")), HasSubstr("does not fit the 1 bytes"));
}

TEST(Idx, FashionMnistIsReadAsItIs) {
  const std::string path = "/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "the package dataset-fashion-mnist is not installed";
  const auto file = ReadStoredFile(path);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->format, FileFormat::kIdx);
  const auto array = ParseIdx(file->content);
  ASSERT_TRUE(array.ok()) << array.status();
  EXPECT_THAT(array->shape, ElementsAre(10000, 28, 28));
}

}  // namespace
}  // namespace train
}  // namespace glowworm
