// Tests of model/safetensors.h and model/regular_file.h.

#include "model/safetensors.h"

#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/regular_file.h"

namespace glowworm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

std::string LengthBytes(uint64_t length) {
  std::string bytes(8, '\0');
  std::memcpy(&bytes[0], &length, 8);
  return bytes;
}

// A file of that header, its length set right, and that data.
std::string File(const std::string& header, const std::string& data = "") {
  return LengthBytes(header.size()) + header + data;
}

// A file of one tensor's entry and `n` zero bytes.
std::string Entry(const std::string& fields, size_t n) {
  return File("{\"t\":{" + fields + "}}", std::string(n, '\0'));
}

// Why the bytes are refused; "" if they are not.
std::string Refusal(const std::string& bytes) {
  const auto file = Safetensors::Parse(bytes);
  if (file.ok()) return "";
  EXPECT_EQ(file.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_LE(file.status().message().size(), 1024u);
  return std::string(file.status().message());
}

const std::string& Simple() {
  static const std::string* const bytes = new std::string(
      File(R"({"test":{"dtype":"I32","shape":[2,2],"data_offsets":[0,16]}})", std::string(16, '\0')));
  return *bytes;
}

// --- The vectors of the format's own tests
// ---------------------------------------------------------------------

TEST(Safetensors, AcceptsTheReferenceFile) {
  const auto file = Safetensors::Parse(Simple());
  ASSERT_TRUE(file.ok()) << file.status();
  const TensorEntry& entry = file->tensors().at("test");
  EXPECT_EQ(entry.dtype, Dtype::kI32);
  EXPECT_THAT(entry.shape, ElementsAre(2, 2));
  EXPECT_EQ(entry.size(), 4);
}

TEST(Safetensors, RefusesTrailingBytes) {
  EXPECT_THAT(Refusal(Simple() + "extra_bogus_data_for_polyglot_file"),
              HasSubstr("the tensors take 16 bytes"));
}

TEST(Safetensors, RefusesMissingData) {
  EXPECT_THAT(Refusal(Simple().substr(0, Simple().size() - 2)), HasSubstr("the file holds 14"));
}

TEST(Safetensors, RefusesAnEmptyFile) { EXPECT_THAT(Refusal(""), HasSubstr("the file has 0 bytes")); }

TEST(Safetensors, RefusesAnOversizedHeader) {
  EXPECT_THAT(Refusal(std::string("\x3c\0\0\0\0\xff\xff\xff", 8)), HasSubstr("at most 16777216"));
  EXPECT_THAT(Refusal(LengthBytes(UINT64_MAX)), HasSubstr("at most 16777216"));
  EXPECT_THAT(Refusal(File(std::string(kMaxHeaderBytes + 1, ' '))), HasSubstr("at most 16777216"));
}

TEST(Safetensors, RefusesAHeaderLongerThanTheFile) {
  EXPECT_THAT(Refusal(LengthBytes(60)), HasSubstr("the header has 60 bytes, the file only 0"));
}

TEST(Safetensors, RefusesAHeaderThatIsNoJson) {
  EXPECT_THAT(Refusal(File("\xff")), HasSubstr("not valid JSON"));
  EXPECT_THAT(Refusal(File("{")), HasSubstr("not valid JSON"));
  EXPECT_THAT(Refusal(File("")), HasSubstr("not valid JSON"));
  EXPECT_THAT(Refusal(File("[]")), HasSubstr("not a JSON object"));
}

TEST(Safetensors, AcceptsWhitespaceOnBothSides) {
  EXPECT_EQ(Refusal(File("{}\r \t\n")), "");
  EXPECT_EQ(Refusal(File("\t\n{}\r ")), "");
}

TEST(Safetensors, AcceptsTensorsWithoutNumbers) {
  EXPECT_EQ(Refusal(Entry(R"("dtype":"F64","shape":[2,0],"data_offsets":[0,0])", 0)), "");
}

TEST(Safetensors, AcceptsScalars) {
  EXPECT_EQ(Refusal(Entry(R"("dtype":"F64","shape":[],"data_offsets":[0,8])", 8)), "");
}

TEST(Safetensors, RefusesAShapeThatIsNotItsData) {
  EXPECT_THAT(Refusal(Entry(R"("dtype":"F32","shape":[2,2],"data_offsets":[0,4])", 4)),
              HasSubstr("tensor 't': its shape takes 16 bytes, its data_offsets give 4"));
}

TEST(Safetensors, RefusesOverflowingShapes) {
  EXPECT_THAT(Refusal(Entry(R"("dtype":"F32","shape":[2,18446744073709551614],"data_offsets":[0,16])", 16)),
              HasSubstr("a dimension of 18446744073709551614"));
  EXPECT_THAT(Refusal(Entry(R"("dtype":"F32","shape":[2,9223372036854775807],"data_offsets":[0,16])", 16)),
              HasSubstr("a dimension of 9223372036854775807"));
  EXPECT_THAT(Refusal(Entry(R"("dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0])", 0)),
              HasSubstr("overflow"));
}

TEST(Safetensors, RefusesOverflowWhateverTheOrderOfDimensions) {
  for (const char* shape : {"[0,281474976710655,281474976710655]", "[281474976710655,281474976710655,0]"}) {
    EXPECT_THAT(
        Refusal(Entry(absl::StrCat(R"("dtype":"F32","shape":)", shape, R"(,"data_offsets":[0,0])"), 0)),
        HasSubstr("overflow"));
  }
}

TEST(Safetensors, RefusesTensorsOnTheSameData) {
  std::string header = "{";
  for (int i = 0; i < 10; ++i) {
    absl::StrAppend(&header, i == 0 ? "" : ",", "\"t", i,
                    R"(":{"dtype":"I32","shape":[2,2],"data_offsets":[0,16]})");
  }
  EXPECT_THAT(Refusal(File(header + "}", std::string(16, '\0'))), HasSubstr("its data begins at 0"));
}

// --- Where the format's reader is looser
// -----------------------------------------------------------------------

TEST(Safetensors, RefusesHolesAndOverlaps) {
  const auto two = [](const char* second) {
    return File(absl::StrCat(R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)",
                             R"("b":{"dtype":"F32","shape":[1],"data_offsets":)", second, "}}"),
                std::string(12, '\0'));
  };
  EXPECT_THAT(Refusal(two("[8,12]")),
              HasSubstr("tensor 'b': its data begins at 8, the data before it ends at 4"));
  EXPECT_THAT(Refusal(two("[2,6]")), HasSubstr("tensor 'b': its data begins at 2"));
  EXPECT_THAT(Refusal(two("[6,2]")), HasSubstr("tensor 'b': its data ends at 2"));
  EXPECT_THAT(Refusal(Entry(R"("dtype":"F32","shape":[1],"data_offsets":[4,8])", 8)),
              HasSubstr("begins at 4"));
}

TEST(Safetensors, RefusesDuplicateKeysAtEveryLevel) {
  const std::string entry = R"({"dtype":"F32","shape":[1],"data_offsets":[0,4]})";
  EXPECT_THAT(Refusal(File("{\"t\":" + entry + ",\"t\":" + entry + "}", "0000")), HasSubstr("'t' twice"));
  EXPECT_THAT(Refusal(Entry(R"("dtype":"F32","dtype":"F32","shape":[1],"data_offsets":[0,4])", 4)),
              HasSubstr("'dtype' twice"));
  EXPECT_THAT(Refusal(File(R"({"__metadata__":{"a":"1","a":"1"}})")), HasSubstr("'a' twice"));
}

TEST(Safetensors, RefusesUnknownAndMissingFields) {
  EXPECT_THAT(Refusal(Entry(R"("dtype":"F32","shape":[1],"data_offsets":[0,4],"x":1)", 4)),
              HasSubstr("unknown field 'x'"));
  for (const char* fields : {R"("shape":[1],"data_offsets":[0,4])", R"("dtype":"F32","data_offsets":[0,4])",
                             R"("dtype":"F32","shape":[1])"}) {
    EXPECT_THAT(Refusal(Entry(fields, 4)), HasSubstr("is missing"));
  }
}

TEST(Safetensors, RefusesNumbersThatAreNotPlainIntegers) {
  for (const char* number : {"1.0", "1e0", "-0", "-1", "\"1\"", "null", "true", "[1]"}) {
    EXPECT_THAT(
        Refusal(Entry(absl::StrCat(R"("dtype":"F32","shape":[)", number, R"(],"data_offsets":[0,4])"), 4)),
        HasSubstr("a dimension is not a plain integer"));
  }
  for (const char* pair : {"[0.0,4]", "[0]", "[0,4,4]", "[-0,4]", "4", "[0,\"4\"]"}) {
    EXPECT_THAT(Refusal(Entry(absl::StrCat(R"("dtype":"F32","shape":[1],"data_offsets":)", pair), 4)),
                HasSubstr("data_offsets are not two plain integers"));
  }
  EXPECT_THAT(Refusal(Entry(R"("dtype":"F32","shape":[01],"data_offsets":[0,4])", 4)),
              HasSubstr("not valid JSON"));
}

TEST(Safetensors, RefusesOtherDtypes) {
  for (const char* dtype : {"BOOL", "U8", "f32", "F8_E4M3", ""}) {
    EXPECT_THAT(
        Refusal(Entry(absl::StrCat(R"("dtype":")", dtype, R"(","shape":[1],"data_offsets":[0,4])"), 4)),
        HasSubstr("unknown dtype"));
  }
  EXPECT_THAT(Refusal(Entry(R"("dtype":1,"shape":[1],"data_offsets":[0,4])", 4)), HasSubstr("not a string"));
}

TEST(Safetensors, RefusesTooManyDimensions) {
  EXPECT_EQ(Refusal(Entry(R"("dtype":"F32","shape":[1,1,1,1,1,1,1,1],"data_offsets":[0,4])", 4)), "");
  EXPECT_THAT(Refusal(Entry(R"("dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4])", 4)),
              HasSubstr("9 dimensions"));
}

TEST(Safetensors, RefusesBadNames) {
  const auto named = [](const std::string& name) {
    return File("{\"" + name + R"(":{"dtype":"F32","shape":[0],"data_offsets":[0,0]}})");
  };
  EXPECT_EQ(Refusal(named(std::string(256, 'n'))), "");
  for (const std::string& name : {std::string(), std::string(257, 'n'), std::string("\\u0000"),
                                  std::string("a\\n"), std::string("é")}) {
    EXPECT_THAT(Refusal(named(name)), HasSubstr("printable ASCII")) << name;
  }
}

TEST(Safetensors, RefusesTooManyTensors) {
  std::string header = "{";
  for (int64_t i = 0; i <= kMaxTensors; ++i) {
    absl::StrAppend(&header, i == 0 ? "" : ",", "\"", i,
                    R"(":{"dtype":"F32","shape":[0],"data_offsets":[0,0]})");
  }
  EXPECT_THAT(Refusal(File(header + "}")), HasSubstr("more than 16384 tensors"));
}

TEST(Safetensors, RefusesMetadataThatIsNotText) {
  EXPECT_THAT(Refusal(File(R"({"__metadata__":{"a":1}})")), HasSubstr("the value of 'a' is not a string"));
  EXPECT_THAT(Refusal(File(R"({"__metadata__":[]})")), HasSubstr("__metadata__ is not an object"));
}

TEST(Safetensors, RefusesDeepHeaders) {
  EXPECT_THAT(Refusal(File(R"({"t":{"shape":[[[]]]}})")), HasSubstr("deeper than 4"));
}

TEST(Safetensors, RefusesEveryProperPrefix) {
  for (size_t n = 0; n < Simple().size(); ++n) EXPECT_NE(Refusal(Simple().substr(0, n)), "") << n << " bytes";
}

TEST(Safetensors, QuotesHostileNamesSafely) {
  const std::string why = Refusal(File("{\"a\\n" + std::string(10000, 'b') + "\":1}"));
  EXPECT_THAT(why, Not(HasSubstr("\n")));
  EXPECT_LE(why.size(), 200u);
}

// --- Numbers
// -----------------------------------------------------------------------------------------------------

TEST(Safetensors, ReadsNumbersAtOddOffsets) {
  const float third = 1.0f / 3;
  const double seventh = 1.0 / 7;
  const int64_t index = -5;
  std::string data(2, '\0');  // an F16 before them puts the rest at 2, 6, 14
  data.append(reinterpret_cast<const char*>(&third), 4);
  data.append(reinterpret_cast<const char*>(&seventh), 8);
  data.append(reinterpret_cast<const char*>(&index), 8);
  // One byte more in the header makes every address odd.
  for (const char* pad : {"", " "}) {
    const auto file = Safetensors::Parse(
        File(absl::StrCat(R"({"h":{"dtype":"F16","shape":[1],"data_offsets":[0,2]},)",
                          R"("f":{"dtype":"F32","shape":[1],"data_offsets":[2,6]},)",
                          R"("d":{"dtype":"F64","shape":[1],"data_offsets":[6,14]},)",
                          R"("i":{"dtype":"I64","shape":[1],"data_offsets":[14,22]}})", pad),
             data));
    ASSERT_TRUE(file.ok()) << file.status();
    EXPECT_THAT(file->Floats(file->tensors().at("f")), ElementsAre(static_cast<double>(third)));
    EXPECT_THAT(file->Floats(file->tensors().at("d")), ElementsAre(seventh));
    EXPECT_THAT(file->Integers(file->tensors().at("i")), ElementsAre(-5));
  }
}

TEST(Safetensors, ReadsWhatItWrote) {
  const std::string bytes =
      SerializeSafetensors({{"key", "a \"quoted\" é"}},
                           {TensorData{"narrow", Dtype::kF16, {1}, "ab"}, FloatTensor("b", {2, 1}, {1.5, -2}),
                            IndexTensor("a", {1}, {7}), FloatTensor("none", {0}, {})});
  const auto file = Safetensors::Parse(bytes);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->metadata().at("key"), "a \"quoted\" é");
  EXPECT_THAT(file->Floats(file->tensors().at("b")), ElementsAre(1.5, -2));
  EXPECT_THAT(file->tensors().at("b").shape, ElementsAre(2, 1));
  EXPECT_THAT(file->Integers(file->tensors().at("a")), ElementsAre(7));
  EXPECT_EQ(file->tensors().at("a").begin, 0u) << "wide dtypes first, then by name";
  EXPECT_EQ(file->tensors().at("narrow").begin, 24u);
  uint64_t header = 0;
  std::memcpy(&header, bytes.data(), 8);
  EXPECT_EQ(header % 8, 0u);
}

TEST(Safetensors, ACompactTensorIsNarrowOnlyWhereNothingIsLost) {
  const double wide = 0.1, narrow = static_cast<float>(0.1);
  EXPECT_EQ(CompactTensor("t", {2}, {narrow, -2}).dtype, Dtype::kF32);
  EXPECT_EQ(CompactTensor("t", {2}, {narrow, wide}).dtype, Dtype::kF64);
  EXPECT_EQ(CompactTensor("t", {1}, {1e300}).dtype, Dtype::kF64);
  EXPECT_EQ(CompactTensor("t", {0}, {}).dtype, Dtype::kF64);
  const auto file = Safetensors::Parse(SerializeSafetensors({}, {CompactTensor("t", {2}, {narrow, -2})}));
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_THAT(file->Floats(file->tensors().at("t")), ElementsAre(narrow, -2));
}

// --- Files
// -------------------------------------------------------------------------------------------------------

// A folder for one test, removed after it.
class RegularFile : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string name = ::testing::TempDir() + "glowworm-XXXXXX";
    ASSERT_NE(mkdtemp(&name[0]), nullptr);
    folder_ = name;
  }
  void TearDown() override {
    for (const char* name : {"file", "link", "pipe"}) std::remove((folder_ + "/" + name).c_str());
    rmdir(folder_.c_str());
  }
  std::string Path(const char* name) const { return folder_ + "/" + name; }
  void Write(const std::string& bytes) { std::ofstream(Path("file"), std::ios::binary) << bytes; }

  std::string folder_;
};

TEST_F(RegularFile, IsReadWhole) {
  Write(std::string("a\0b", 3));
  EXPECT_EQ(*ReadRegularFile(Path("file"), 3), std::string("a\0b", 3));
  Write("");
  EXPECT_EQ(*ReadRegularFile(Path("file"), 0), "");
}

TEST_F(RegularFile, ThatIsTooLargeIsRefused) {
  Write("1234");
  const absl::Status status = ReadRegularFile(Path("file"), 3).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("has 4 bytes; at most 3"));
}

TEST_F(RegularFile, ThatIsMissingIsNotFound) {
  const absl::Status status = ReadRegularFile(Path("file"), 3).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), Not(HasSubstr(folder_)));
}

TEST_F(RegularFile, IsNeitherALinkNorAFolderNorAPipe) {
  Write("1");
  ASSERT_EQ(symlink(Path("file").c_str(), Path("link").c_str()), 0);
  ASSERT_EQ(mkfifo(Path("pipe").c_str(), 0600), 0);
  EXPECT_THAT(std::string(ReadRegularFile(Path("link"), 9).status().message()), HasSubstr("symbolic link"));
  EXPECT_THAT(std::string(ReadRegularFile(Path("pipe"), 9).status().message()),
              HasSubstr("not a regular file"));
  EXPECT_THAT(std::string(ReadRegularFile(folder_, 9).status().message()), HasSubstr("not a regular file"));
}

TEST_F(RegularFile, OfSafetensorsIsParsed) {
  Write(Simple());
  EXPECT_TRUE(ReadSafetensors(Path("file")).ok());
  Write("123");
  EXPECT_EQ(ReadSafetensors(Path("file")).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace glowworm
