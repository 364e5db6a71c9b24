// Tensors of stored files (model/train/file_tensor.h): types and shapes, blocks, headers, ignored columns.

#include "model/train/file_tensor.h"

#include <cmath>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/model/train/data_files.h"

namespace glowworm {
namespace train {
namespace {

using client::CsvHeader;
using client::NpyIntegers;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

StoredFile File(FileFormat format, const std::string& content) {
  StoredFile file;
  file.name = "rows";
  file.format = format;
  file.content = content;
  return file;
}

std::vector<double> Values(const torch::Tensor& tensor) {
  const torch::Tensor flat = tensor.to(torch::kFloat64);
  return {flat.data_ptr<double>(), flat.data_ptr<double>() + flat.numel()};
}

TEST(FileTensor, BytesStayBytesAndFloatsBecomeFloat64) {
  const auto bytes = ReadTensor(File(FileFormat::kNpy, Npy<uint8_t>({1, 2, 2}, {0, 1, 2, 255})));
  const auto floats = ReadTensor(File(FileFormat::kNpy, Npy<float>({2}, {0.5, -3})));
  const auto doubles = ReadTensor(File(FileFormat::kNpy, Npy<double>({2, 1}, {0.1, 1e300})));
  const auto idx = ReadTensor(File(FileFormat::kIdx, Idx({2, 1}, "ab")));
  ASSERT_TRUE(bytes.ok() && floats.ok() && doubles.ok() && idx.ok());
  EXPECT_EQ(bytes->scalar_type(), torch::kUInt8);
  EXPECT_THAT(bytes->sizes().vec(), ElementsAre(1, 2, 2));
  EXPECT_THAT(Values(*bytes), ElementsAre(0, 1, 2, 255));
  EXPECT_EQ(floats->scalar_type(), torch::kFloat64);
  EXPECT_THAT(Values(*floats), ElementsAre(0.5, -3));
  EXPECT_THAT(Values(*doubles), ElementsAre(0.1, 1e300));
  EXPECT_EQ(idx->scalar_type(), torch::kUInt8);
  EXPECT_THAT(Values(*idx), ElementsAre('a', 'b'));
}

TEST(FileTensor, IntegersOfEightBytesAreTakenWhereAsked) {
  const StoredFile file = File(FileFormat::kNpy, NpyOfType("<i8", {3}, {0, 7, -1}));
  const auto values = ReadTensor(file, NpyIntegers::kAsFloat64);
  ASSERT_TRUE(values.ok()) << values.status();
  EXPECT_THAT(Values(*values), ElementsAre(0, 7, -1));
  EXPECT_THAT(std::string(ReadTensor(file).status().message()), HasSubstr("'<i8' are not taken"));
}

// More than one block of every format: 400 000 numbers.
TEST(FileTensor, BlocksJoinToTheWhole) {
  constexpr int64_t kRows = 100000, kColumns = 4;
  std::vector<double> numbers(kRows * kColumns);
  for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<double>(i);
  const auto npy = ReadTensor(File(FileFormat::kNpy, Npy<double>({kRows, kColumns}, numbers)));
  ASSERT_TRUE(npy.ok()) << npy.status();
  EXPECT_TRUE(Values(*npy) == numbers);

  const StoredFile csv =
      File(FileFormat::kCsv, client::CsvLines(client::Array::Of<double>({kRows, kColumns}, numbers)));
  const auto table = ReadCsv(csv, *ReadCsvHead(csv, CsvHeader::kDetect));
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_THAT(table->sizes().vec(), ElementsAre(kRows, kColumns));
  EXPECT_TRUE(Values(*table) == numbers);
}

TEST(FileTensor, AHeadSaysWhatTheColumnsAre) {
  const auto named =
      ReadCsvHead(File(FileFormat::kCsv, "\xEF\xBB\xBF age , height\n1,2\n"), CsvHeader::kDetect);
  ASSERT_TRUE(named.ok()) << named.status();
  EXPECT_TRUE(named->header);
  EXPECT_THAT(named->names, ElementsAre("age", "height"));
  const auto plain = ReadCsvHead(File(FileFormat::kCsv, "1,2,3\n"), CsvHeader::kDetect);
  ASSERT_TRUE(plain.ok()) << plain.status();
  EXPECT_FALSE(plain->header);
  EXPECT_THAT(plain->names, IsEmpty());
  EXPECT_EQ(plain->columns, 3);
  const auto years = ReadCsvHead(File(FileFormat::kCsv, "2023,2024\n1,2\n"), CsvHeader::kYes);
  EXPECT_THAT(years->names, ElementsAre("2023", "2024"));
}

TEST(FileTensor, AFileOfBlankLinesHasNoRows) {
  EXPECT_EQ(ReadCsvHead(File(FileFormat::kCsv, "\n\n"), CsvHeader::kDetect).status().message(),
            "rows: the file has no rows");
}

// The rows are counted beforehand, by the line ends and by the bytes that a row needs at least.
TEST(FileTensor, TheShortestRowsAreAllRead) {
  const struct {
    const char* text;
    std::vector<bool> ignored;
    int64_t rows;
  } cases[] = {{"1", {}, 1},        {"1\r2\r3", {}, 3},    {"1\r\n2\r\n3\r\n", {}, 3},
               {"1,2\n3,4", {}, 2}, {"\n\n1\n\n2", {}, 2}, {",1\n,2\n,3", {true, false}, 3}};
  for (const auto& few : cases) {
    const StoredFile file = File(FileFormat::kCsv, few.text);
    const auto rows = ReadCsv(file, *ReadCsvHead(file, CsvHeader::kNo), few.ignored);
    ASSERT_TRUE(rows.ok()) << rows.status();
    EXPECT_EQ(rows->size(0), few.rows) << few.text;
  }
}

TEST(FileTensor, TextInAnIgnoredColumnIsNoFailure) {
  for (const std::string text : {"name,x\nann,1\nbob,2\n", "ann,1\nbob,2\n"}) {
    const StoredFile file = File(FileFormat::kCsv, text);
    const auto head = ReadCsvHead(file, CsvHeader::kDetect);
    ASSERT_TRUE(head.ok()) << head.status();
    EXPECT_EQ(head->columns, 2);
    const auto rows = ReadCsv(file, *head, {true, false});
    ASSERT_TRUE(rows.ok()) << rows.status();
    EXPECT_THAT(Values(rows->select(1, 1).contiguous()), ElementsAre(1, 2));
    EXPECT_TRUE(std::isnan((*rows)[0][0].item<double>()));
    EXPECT_THAT(std::string(ReadCsv(file, *head).status().message()),
                HasSubstr("expected a number, got \"ann\""));
  }
}

}  // namespace
}  // namespace train
}  // namespace glowworm
