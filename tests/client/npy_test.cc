// .npy files (client/npy.h): numpy's own bytes, every refusal, truncation at every byte, pipes.

#include "client/npy.h"

#include <unistd.h>

#include <limits>
#include <thread>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/client/temp_file.h"

namespace glowworm {
namespace client {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// What numpy 1.24 writes for np.save(f, np.array([[0, 1.5, -2], [3, 4, 5]])), byte for byte.
std::string GoldenHeader() {
  std::string bytes("\x93NUMPY\x01\x00v\x00", 10);
  bytes += "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3), }";
  bytes.append(127 - bytes.size(), ' ');
  return bytes + "\n";
}
std::string GoldenFile() { return GoldenHeader() + Array::Of<double>({2, 3}, {0, 1.5, -2, 3, 4, 5}).data; }

std::string WithHeader(const std::string& text) {
  const char length[] = {static_cast<char>(text.size() & 255), static_cast<char>(text.size() >> 8)};
  return std::string("\x93NUMPY\x01\x00", 8) + std::string(length, 2) + text;
}

absl::StatusOr<Array> Drain(NpyReader* reader, int64_t block) {
  Array all;
  for (;;) {
    bool later = false;
    absl::StatusOr<Array> rows = reader->Next(block, /*may_wait=*/true, &later);
    EXPECT_FALSE(later);
    if (!rows.ok()) return rows.status();
    if (rows->rows() == 0) return all.empty() ? *rows : all;
    absl::Status status = all.Append(*rows);
    if (!status.ok()) return status;
  }
}

absl::StatusOr<Array> ReadFile(const std::string& content, int64_t block = 100) {
  const TempFile file(".npy", content);
  auto bytes = ByteReader::Open(file.path(), -1);
  if (!bytes.ok()) return bytes.status();
  auto reader = NpyReader::Create(*std::move(bytes));
  if (!reader.ok()) return reader.status();
  return Drain(reader->get(), block);
}

// Through a pipe, which has no size; written by another thread, as a pipe holds only so much.
absl::StatusOr<Array> ReadPipe(const std::string& content, int64_t block = 100) {
  int ends[2];
  EXPECT_EQ(pipe(ends), 0);
  std::thread writer([&] {
    size_t put = 0;
    while (put < content.size()) {
      const ssize_t got = write(ends[1], content.data() + put, content.size() - put);
      if (got <= 0) break;
      put += static_cast<size_t>(got);
    }
    close(ends[1]);
  });
  absl::StatusOr<Array> result = absl::UnknownError("not read");
  auto reader = NpyReader::Create(*ByteReader::Open("-", ends[0]));
  result = reader.ok() ? Drain(reader->get(), block) : absl::StatusOr<Array>(reader.status());
  writer.join();
  close(ends[0]);
  return result;
}

TEST(Npy, WritesTheBytesThatNumpyWrites) {
  EXPECT_EQ(FormatNpyHeader({v1::DATA_TYPE_FLOAT64, {2, 3}}), GoldenHeader());
}

TEST(Npy, ReadsNumpysFileWholeAndInBlocks) {
  for (int64_t block : {1, 2, 100}) {
    const auto rows = ReadFile(GoldenFile(), block);
    ASSERT_TRUE(rows.ok()) << rows.status();
    EXPECT_THAT(rows->shape, ElementsAre(2, 3));
    EXPECT_THAT(rows->ToDoubles(), ElementsAre(0, 1.5, -2, 3, 4, 5));
  }
}

TEST(Npy, HeadersOfAnyRowCountAreEquallyLong) {
  for (int64_t rows : {int64_t{0}, int64_t{9}, int64_t{12345678}, std::numeric_limits<int64_t>::max()}) {
    const std::string header = FormatNpyHeader({v1::DATA_TYPE_FLOAT32, {rows, 3, 8, 8}});
    EXPECT_EQ(header.size(), FormatNpyHeader({v1::DATA_TYPE_FLOAT32, {0, 3, 8, 8}}).size());
    EXPECT_EQ(header.size() % 64, 0u);
  }
}

TEST(Npy, EveryTypeComesBackAsItWas) {
  const Array arrays[] = {Array::Of<float>({2, 1, 2}, {1, 2, 3, 4}), Array::Of<double>({4}, {1, 2, 3, 4}),
                          Array::Of<uint8_t>({2, 2}, {0, 255, 7, 8})};
  for (const Array& array : arrays) {
    const auto rows = ReadFile(FormatNpyHeader({array.dtype, array.shape}) + array.data);
    ASSERT_TRUE(rows.ok()) << rows.status();
    EXPECT_EQ(rows->dtype, array.dtype);
    EXPECT_EQ(rows->shape, array.shape);
    EXPECT_EQ(rows->data, array.data);
  }
}

TEST(Npy, ReadsVersionTwo) {
  std::string file = GoldenFile();
  file[6] = 2;
  file.insert(10, 2, '\0');  // the length has four bytes
  const auto rows = ReadFile(file);
  ASSERT_TRUE(rows.ok()) << rows.status();
  EXPECT_EQ(rows->rows(), 2);
}

TEST(Npy, RefusesTruncationAtEveryByte) {
  const std::string file = GoldenFile();
  for (size_t size = 0; size < file.size(); ++size) {
    EXPECT_EQ(ReadFile(file.substr(0, size)).status().code(), absl::StatusCode::kInvalidArgument) << size;
    EXPECT_EQ(ReadPipe(file.substr(0, size)).status().code(), absl::StatusCode::kInvalidArgument) << size;
  }
}

TEST(Npy, RefusesBytesAfterTheArray) {
  EXPECT_THAT(std::string(ReadFile(GoldenFile() + "x").status().message()),
              HasSubstr("has 48 bytes, the file has 49 after its header"));
  EXPECT_THAT(std::string(ReadPipe(GoldenFile() + "x").status().message()),
              HasSubstr("goes on after the 2 rows"));
}

TEST(Npy, ReadsFromAPipeLargerThanItsBuffer) {
  const Array array = Array::Of<double>({50000, 4}, std::vector<double>(200000, 0.25));
  const auto rows = ReadPipe(FormatNpyHeader({array.dtype, array.shape}) + array.data, 777);
  ASSERT_TRUE(rows.ok()) << rows.status();
  EXPECT_EQ(rows->data, array.data);
}

// A pipe that the test itself fills, so that it knows what is there.
class NpyPipe : public testing::Test {
 protected:
  NpyPipe() { EXPECT_EQ(pipe(ends_), 0); }
  ~NpyPipe() override {
    if (ends_[1] >= 0) Close();
    close(ends_[0]);
  }

  void Put(const std::string& bytes) {
    ASSERT_EQ(write(ends_[1], bytes.data(), bytes.size()), static_cast<ssize_t>(bytes.size()));
  }
  void Close() { close(std::exchange(ends_[1], -1)); }
  void Open() {
    Put(GoldenHeader());
    reader_ = *NpyReader::Create(*ByteReader::Open("-", ends_[0]));
  }
  absl::StatusOr<Array> Next(bool may_wait) { return reader_->Next(100, may_wait, &later_); }

  const std::string data_ = GoldenFile().substr(GoldenHeader().size());  // two rows of 24 bytes
  int ends_[2];
  std::unique_ptr<NpyReader> reader_;
  bool later_ = false;
};

TEST_F(NpyPipe, WithoutWaitingNothingReadyIsLater) {
  Open();
  EXPECT_EQ(Next(false)->rows(), 0);
  EXPECT_TRUE(later_);
  Put(data_.substr(0, 23));  // all but the row's last byte
  EXPECT_EQ(Next(false)->rows(), 0);
  EXPECT_TRUE(later_);
  Put(data_.substr(23));
  EXPECT_THAT(Next(false)->ToDoubles(), ElementsAre(0, 1.5, -2, 3, 4, 5));
  EXPECT_FALSE(later_);
  EXPECT_EQ(Next(false)->rows(), 0);  // whether the input ends here is not known yet
  EXPECT_TRUE(later_);
  Close();
  EXPECT_EQ(Next(false)->rows(), 0);
  EXPECT_FALSE(later_);
}

TEST_F(NpyPipe, WholeRowsDoNotWaitForAFullBlock) {
  Open();
  Put(data_.substr(0, 30));
  EXPECT_THAT(Next(true)->ToDoubles(), ElementsAre(0, 1.5, -2));
  Put(data_.substr(30));
  EXPECT_THAT(Next(true)->ToDoubles(), ElementsAre(3, 4, 5));
}

TEST_F(NpyPipe, WholeRowsBeforeACutAreGivenFirst) {
  Open();
  Put(data_.substr(0, 30));
  Close();
  EXPECT_EQ(Next(true)->rows(), 1);
  for (bool may_wait : {false, true}) {
    EXPECT_THAT(std::string(Next(may_wait).status().message()), HasSubstr("the array ends in row 1"));
  }
}

TEST(Npy, ARefusalSaysWhatIsWrong) {
  const struct {
    const char* text;
    const char* message;
  } cases[] = {
      {"{'descr': '<i8', 'fortran_order': False, 'shape': (1, 1), }",
       "'<i8' are not taken; expected little-endian"},
      {"{'descr': '>f8', 'fortran_order': False, 'shape': (1, 1), }", "x.astype('<f8')"},
      {"{'descr': [('a', '<f8')], 'fortran_order': False, 'shape': (1, 1), }", "structured types"},
      {"{'descr': '<f8', 'fortran_order': True, 'shape': (1073741824, 1), }",
       "has 8589934592 bytes, the file"},
      {"{'descr': '<f8', 'fortran_order': False, }", "descr, fortran_order and shape"},
      {"{'descr': '<f8', 'descr': '<f8', 'fortran_order': False, 'shape': (1, 1), }", "each key once"},
      {"{'descr': '<f8', 'fortran_order': False, 'shape': (1, 1), 'x': 1}", "descr, fortran_order or shape"},
      {"{'descr': '<f8', 'fortran_order': False, 'shape': (1), }", "a comma after the only dimension"},
      {"{'descr': '<f8', 'fortran_order': False, 'shape': (-1, 1), }", "a dimension below 2^63"},
      {"{'descr': '<f8', 'fortran_order': False, 'shape': (99999999999999999999, 1), }",
       "a dimension below 2^63"},
      {"{'descr': '<f8', 'fortran_order': False, 'shape': (1 1), }", "a dimension"},
      {"{'descr': '<f8', 'fortran_order': False, 'shape': (), }", "a single number"},
      {"{'descr': '<f8', 'fortran_order': False, 'shape': (1, 1), } + f()", "nothing after }"},
      {"{'descr': '<f8' 'fortran_order': False, 'shape': (1, 1), }", ", or }"},
      {"{'descr': '<f8, 'fortran_order': False, 'shape': (1, 1), }", "npy header"},
      {"__import__('os')", "expected {"},
      {"{'descr': '<f8', 'fortran_order': False, 'shape': (4, 4294967296, 4294967296), }",
       "larger than 1 GiB"},
      {"{'descr': '<f8', 'fortran_order': False, 'shape': (9223372036854775807, 2), }",
       "larger than any file"},
      {"{'descr': '<f8', 'fortran_order': False, 'shape': (5, 0), }", "rows without values"},
  };
  for (const auto& refused : cases) {
    const absl::Status status = ReadFile(WithHeader(refused.text) + "12345678").status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << refused.text;
    EXPECT_THAT(std::string(status.message()), HasSubstr(refused.message)) << refused.text;
  }
}

// What numpy writes for np.asfortranarray(x): the first index runs fastest.
std::string FortranFile(const std::string& shape, const std::vector<double>& columns) {
  return WithHeader("{'descr': '<f8', 'fortran_order': True, 'shape': " + shape + ", }") +
         Array::Of<double>({static_cast<int64_t>(columns.size())}, columns).data;
}

TEST(Npy, AnArrayInFortranOrderIsGivenRowByRow) {
  for (const auto& read : {ReadFile, ReadPipe}) {
    const absl::StatusOr<Array> table = read(FortranFile("(2, 3)", {0, 3, 1, 4, 2, 5}), 1);
    ASSERT_TRUE(table.ok()) << table.status();
    EXPECT_THAT(table->shape, ElementsAre(2, 3));
    EXPECT_THAT(table->ToDoubles(), ElementsAre(0, 1, 2, 3, 4, 5));
    // np.arange(8).reshape(2, 2, 2) in Fortran order.
    const absl::StatusOr<Array> images = read(FortranFile("(2, 2, 2)", {0, 4, 2, 6, 1, 5, 3, 7}), 100);
    ASSERT_TRUE(images.ok()) << images.status();
    EXPECT_THAT(images->ToDoubles(), ElementsAre(0, 1, 2, 3, 4, 5, 6, 7));
    EXPECT_THAT(read(FortranFile("(3,)", {7, 8, 9}), 2)->ToDoubles(), ElementsAre(7, 8, 9));
  }
}

TEST(Npy, AnArrayInFortranOrderOfAnotherLengthIsRefused) {
  const std::string file = FortranFile("(2, 2)", {0, 1, 2, 3});
  EXPECT_THAT(std::string(ReadPipe(file.substr(0, file.size() - 1)).status().message()),
              HasSubstr("has 31 bytes; its header promised 32"));
  EXPECT_THAT(std::string(ReadPipe(file + "x").status().message()), HasSubstr("goes on after the 2 rows"));
  EXPECT_THAT(std::string(ReadFile(file + "x").status().message()), HasSubstr("33 after its header"));
}

// numpy's np.array(values, '<i8').
std::string IntegerFile(const std::vector<int64_t>& values) {
  return WithHeader("{'descr': '<i8', 'fortran_order': False, 'shape': (" + std::to_string(values.size()) +
                    ",), }") +
         std::string(reinterpret_cast<const char*>(values.data()), 8 * values.size());
}

absl::StatusOr<Array> ReadIntegers(const std::string& content) {
  auto reader = NpyReader::Create(ByteReader::OfMemory("y.npy", content), NpyIntegers::kAsFloat64);
  if (!reader.ok()) return reader.status();
  EXPECT_TRUE((*reader)->header().int64);
  return Drain(reader->get(), 2);
}

TEST(Npy, IntegersOfEightBytesComeAsFloat64WhereAskedFor) {
  const int64_t most = int64_t{1} << 53;
  const auto rows = ReadIntegers(IntegerFile({0, -1, most, -most, 7}));
  ASSERT_TRUE(rows.ok()) << rows.status();
  EXPECT_EQ(rows->dtype, v1::DATA_TYPE_FLOAT64);
  EXPECT_THAT(rows->ToDoubles(), ElementsAre(0, -1, 0x1p53, -0x1p53, 7));
}

TEST(Npy, AnIntegerThatFloat64CannotHoldIsRefused) {
  for (const int64_t beyond : {(int64_t{1} << 53) + 1, std::numeric_limits<int64_t>::min()}) {
    EXPECT_EQ(ReadIntegers(IntegerFile({0, 0, beyond})).status().message(),
              "y.npy: after row 2, the integer " + std::to_string(beyond) + "; expected -2^53 to 2^53");
  }
}

TEST(Npy, ReadsFromMemoryAsFromAFile) {
  const std::string file = GoldenFile();
  auto reader = NpyReader::Create(ByteReader::OfMemory("x.npy", file));
  ASSERT_TRUE(reader.ok()) << reader.status();
  EXPECT_THAT(Drain(reader->get(), 1)->ToDoubles(), ElementsAre(0, 1.5, -2, 3, 4, 5));
  EXPECT_THAT(std::string(NpyReader::Create(ByteReader::OfMemory("x.npy", file + "y")).status().message()),
              HasSubstr("x.npy: an array of shape (2, 3) has 48 bytes, the file has 49 after its header"));
}

TEST(Npy, RefusesOtherFilesVersionsAndHugeHeaders) {
  EXPECT_THAT(std::string(ReadFile("1,2,3\n4,5,6\n").status().message()), HasSubstr("not a .npy file"));
  std::string file = GoldenFile();
  file[6] = 3;
  EXPECT_THAT(std::string(ReadFile(file).status().message()),
              HasSubstr("expected .npy version 1.0 or 2.0, got 3.0"));
  EXPECT_THAT(std::string(ReadPipe(std::string("\x93NUMPY\x02\x00\xff\xff\xff\x7f", 12)).status().message()),
              HasSubstr("header of 2147483647 bytes"));
}

TEST(Npy, APromiseOfManyRowsTakesNoMemoryBeforeTheyCome) {
  const auto rows = ReadPipe(FormatNpyHeader({v1::DATA_TYPE_FLOAT64, {1 << 30, 1000}}) + "short");
  EXPECT_THAT(std::string(rows.status().message()), HasSubstr("ends in row 0"));
}

}  // namespace
}  // namespace client
}  // namespace glowworm
