// CSV reading and number formatting (client/csv.h).

#include "client/csv.h"

#include <unistd.h>

#include <cmath>
#include <limits>
#include <random>

#include "absl/strings/numbers.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/client/temp_file.h"

namespace glowworm {
namespace client {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

absl::StatusOr<Array> Read(const std::string& text, CsvHeader header = CsvHeader::kDetect,
                           int64_t block = 1000) {
  const TempFile file(".csv", text.empty() ? "\n" : text);
  CsvReader reader(*ByteReader::Open(file.path(), -1), header);
  Array all;
  for (;;) {
    bool later = false;
    absl::StatusOr<Array> rows = reader.Next(block, true, &later);
    if (!rows.ok()) return rows.status();
    if (rows->rows() == 0) return all.empty() ? *rows : all;
    absl::Status status = all.Append(*rows);
    if (!status.ok()) return status;
  }
}

std::string Refusal(const std::string& text, CsvHeader header = CsvHeader::kDetect) {
  return std::string(Read(text, header).status().message());
}

std::string Text(double value) {
  std::string text;
  AppendNumber(value, &text);
  return text;
}

TEST(Csv, ReadsRowsOfNumbers) {
  const auto rows = Read("1,2.5,-3e2\n+4, 5 ,6\n");
  ASSERT_TRUE(rows.ok()) << rows.status();
  EXPECT_THAT(rows->shape, ElementsAre(2, 3));
  EXPECT_THAT(rows->ToDoubles(), ElementsAre(1, 2.5, -300, 4, 5, 6));
}

TEST(Csv, TakesCrLfAMissingLastNewlineBlankLinesQuotesAndAByteOrderMark) {
  const auto rows = Read(
      "\xEF\xBB\xBF"
      "1,2\r\n\r\n\"3\",4");
  ASSERT_TRUE(rows.ok()) << rows.status();
  EXPECT_THAT(rows->ToDoubles(), ElementsAre(1, 2, 3, 4));
}

TEST(Csv, NanAndInfAreNumbers) {
  const auto rows = Read("nan,inf,-inf\n");
  ASSERT_TRUE(rows.ok()) << rows.status();
  EXPECT_TRUE(std::isnan(rows->ToDoubles()[0]));
  EXPECT_EQ(rows->ToDoubles()[2], -std::numeric_limits<double>::infinity());
}

TEST(Csv, AFirstRowOfWordsIsAHeader) {
  EXPECT_EQ(Read("a,b\n1,2\n")->rows(), 1);
  EXPECT_EQ(Read("1,2\n3,4\n")->rows(), 2);
  EXPECT_EQ(Read("1,2\n3,4\n", CsvHeader::kYes)->rows(), 1);
  EXPECT_THAT(Refusal("a,b\n1,2\n", CsvHeader::kNo),
              HasSubstr("row 1, column 1: expected a number, got \"a\""));
}

TEST(Csv, AFirstRowWithOneWordIsAMistakeAndNoHeader) {
  EXPECT_THAT(Refusal("1,x\n1,2\n"), HasSubstr("row 1, column 2: expected a number, got \"x\""));
}

std::vector<std::string> Names(const std::string& text, CsvHeader header) {
  CsvReader reader(ByteReader::OfMemory("x.csv", text), header);
  bool later = false;
  EXPECT_TRUE(reader.Next(1, true, &later).ok());
  return reader.names();
}

TEST(Csv, AHeadersFieldsAreItsNames) {
  EXPECT_THAT(Names("\xEF\xBB\xBF a , \"b,c\",\n1,2,3\n", CsvHeader::kDetect), ElementsAre("a", "b,c", ""));
  EXPECT_THAT(Names("1,b\n1,2\n", CsvHeader::kYes), ElementsAre("1", "b"));
  EXPECT_THAT(Names("1,2\n", CsvHeader::kDetect), ElementsAre());
  EXPECT_THAT(Names("1,2\n", CsvHeader::kNo), ElementsAre());
}

TEST(Csv, AQuoteMayFollowAByteOrderMark) {
  EXPECT_THAT(Names("\xEF\xBB\xBF\"a\",b\r\n1,2\r\n", CsvHeader::kDetect), ElementsAre("a", "b"));
}

TEST(Csv, AnIgnoredColumnMayHoldAnyText) {
  for (const CsvHeader header : {CsvHeader::kYes, CsvHeader::kNo}) {
    const std::string text = header == CsvHeader::kYes ? "id,x\nann,1\n,2\n" : "ann,1\n,2\n";
    CsvReader reader(ByteReader::OfMemory("x.csv", text), header, {true, false});
    bool later = false;
    const auto rows = reader.Next(10, true, &later);
    ASSERT_TRUE(rows.ok()) << rows.status();
    EXPECT_THAT(rows->ToDoubles(), ElementsAre(testing::IsNan(), 1, testing::IsNan(), 2));
  }
}

TEST(Csv, TheWidthIsKnownWhereTheFirstRowIsRefused) {
  CsvReader reader(ByteReader::OfMemory("x.csv", "ann,1,2\n"), CsvHeader::kDetect);
  bool later = false;
  EXPECT_FALSE(reader.Next(1, true, &later).ok());
  EXPECT_EQ(reader.columns(), 3);
  EXPECT_THAT(reader.names(), ElementsAre());
}

TEST(Csv, RefusalsNameRowAndColumn) {
  EXPECT_THAT(Refusal("1,2\n3,four\n"), HasSubstr("row 2, column 2: expected a number, got \"four\""));
  EXPECT_THAT(Refusal("1,2\n3,\n"), HasSubstr("row 2, column 2: expected a number, got \"\""));
  EXPECT_THAT(Refusal("1,2\n3\n"), HasSubstr("row 2, column 1: the row ends here; expected 2 columns"));
  EXPECT_THAT(Refusal("1,2\n3,4,5\n"), HasSubstr("row 2, column 3: expected 2 columns, got more"));
  EXPECT_THAT(Refusal("a,b\n1\n"), HasSubstr("row 2, column 1"));
  EXPECT_THAT(Refusal("1,\"2\n"), HasSubstr("quote"));
  EXPECT_THAT(Refusal("1,2\n\x1b[31m,2\n"), HasSubstr("\\x1b"));
}

TEST(Csv, RefusesAFieldWithoutEnd) {
  EXPECT_THAT(Refusal(std::string(1 << 20, '1')), HasSubstr("a field of more than 4096 bytes"));
}

TEST(Csv, RowsBeforeABadOneAreGivenFirst) {
  const TempFile file(".csv", "1\n2\nbad\n");
  CsvReader reader(*ByteReader::Open(file.path(), -1), CsvHeader::kDetect);
  bool later = false;
  EXPECT_EQ(reader.Next(10, true, &later)->rows(), 2);
  EXPECT_FALSE(reader.Next(10, true, &later).ok());
}

TEST(Csv, AShortRowDoesNotCutTheRowsBeforeItAnew) {
  for (const std::string bad : {"5,6\n", "5\n"}) {
    const TempFile file(".csv", "1,2,3,4\n" + bad);
    CsvReader reader(*ByteReader::Open(file.path(), -1), CsvHeader::kDetect);
    bool later = false;
    const auto rows = reader.Next(10, true, &later);
    ASSERT_TRUE(rows.ok()) << rows.status();
    EXPECT_THAT(rows->shape, ElementsAre(1, 4));
    EXPECT_THAT(rows->ToDoubles(), ElementsAre(1, 2, 3, 4));
    EXPECT_THAT(std::string(reader.Next(10, true, &later).status().message()),
                HasSubstr("expected 4 columns"));
  }
}

TEST(Csv, BlocksJoinToTheWhole) {
  std::string text;
  for (int i = 0; i < 5000; ++i) text += std::to_string(i) + "," + std::to_string(-i) + "\n";
  const auto whole = Read(text);
  const auto blocks = Read(text, CsvHeader::kDetect, 7);
  ASSERT_TRUE(whole.ok() && blocks.ok());
  EXPECT_EQ(whole->rows(), 5000);
  EXPECT_EQ(whole->data, blocks->data);
}

TEST(Csv, AnEmptyFileHasNoRows) { EXPECT_EQ(Read("")->rows(), 0); }

TEST(Csv, APipeThatRanDryGivesWhatCame) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  CsvReader reader(*ByteReader::Open("-", ends[0]), CsvHeader::kDetect);
  bool later = false;
  EXPECT_EQ(reader.Next(10, /*may_wait=*/false, &later)->rows(), 0);
  EXPECT_TRUE(later);
  ASSERT_EQ(write(ends[1], "1,2\n3,4\n5,", 10), 10);
  EXPECT_EQ(reader.Next(10, /*may_wait=*/true, &later)->rows(), 2);
  EXPECT_EQ(reader.Next(10, /*may_wait=*/false, &later)->rows(), 0);
  EXPECT_TRUE(later);
  ASSERT_EQ(write(ends[1], "6\n", 2), 2);
  close(ends[1]);
  EXPECT_THAT(reader.Next(10, /*may_wait=*/true, &later)->ToDoubles(), ElementsAre(5, 6));
  EXPECT_EQ(reader.Next(10, /*may_wait=*/true, &later)->rows(), 0);
  EXPECT_FALSE(later);
  close(ends[0]);
}

TEST(Csv, NumbersReadBackAsTheSameBits) {
  std::mt19937_64 random(1);
  for (int i = 0; i < 10000; ++i) {
    const uint64_t bits = random();
    double value;
    std::memcpy(&value, &bits, 8);
    if (!std::isfinite(value)) continue;
    double back = 0;
    ASSERT_TRUE(absl::SimpleAtod(Text(value), &back));
    ASSERT_EQ(std::memcmp(&back, &value, 8), 0) << Text(value);
  }
  EXPECT_EQ(Text(0.1), "0.1");
  EXPECT_EQ(Text(std::nan("")), "nan");
  EXPECT_EQ(Text(-std::numeric_limits<double>::infinity()), "-inf");
}

TEST(Csv, LinesHaveTheShortestTextOfTheirType) {
  EXPECT_EQ(CsvLines(Array::Of<float>({2, 1, 2}, {0.1f, 2, 3, 4})), "0.1,2\n3,4\n");
  EXPECT_EQ(CsvLines(Array::Of<uint8_t>({1, 2}, {0, 255})), "0,255\n");
}

}  // namespace
}  // namespace client
}  // namespace glowworm
