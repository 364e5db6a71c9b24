// RowReader, RowWriter and ByteWriter: formats by name and by content, files that appear only when whole,
// broken pipes.

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <csignal>

#include "client/row_reader.h"
#include "client/row_writer.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/client/temp_file.h"

namespace glowworm {
namespace client {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const Array& TwoRows() {
  static const Array* const rows = new Array(Array::Of<float>({2, 2}, {0.5f, 1, 2, 3}));
  return *rows;
}

std::string NpyOf(const Array& array) { return FormatNpyHeader({array.dtype, array.shape}) + array.data; }

// Writes TwoRows twice.
absl::Status WriteTwice(const std::string& name, int fd, RowFormat format, absl::optional<int64_t> total) {
  auto writer = RowWriter::Open(name, fd, format, total, {v1::DATA_TYPE_FLOAT32, {0, 2}});
  if (!writer.ok()) return writer.status();
  absl::Status status = (*writer)->Write(TwoRows());
  if (status.ok()) status = (*writer)->Write(TwoRows());
  return status.ok() ? (*writer)->Finish() : status;
}

std::string FourRows() {
  Array rows = TwoRows();
  EXPECT_TRUE(rows.Append(TwoRows()).ok());
  return NpyOf(rows);
}

TEST(RowReader, TellsTheFormatByExtension) {
  const TempFile npy(".npy", NpyOf(TwoRows())), csv(".csv", "1,2\n3,4\n5,6\n");
  EXPECT_EQ(ReadAllRows(npy.path(), -1, 10)->rows(), 2);
  EXPECT_EQ(ReadAllRows(csv.path(), -1, 10)->rows(), 3);
  const TempFile lie(".npy", "1,2\n3,4\n");
  EXPECT_THAT(std::string(ReadAllRows(lie.path(), -1, 10).status().message()), HasSubstr("not a .npy file"));
}

TEST(RowReader, TellsOtherNamesByTheirFirstBytes) {
  const TempFile npy(".dat", NpyOf(TwoRows())), csv(".dat", "1,2\n");
  EXPECT_EQ(ReadAllRows(npy.path(), -1, 10)->dtype, v1::DATA_TYPE_FLOAT32);
  EXPECT_EQ(ReadAllRows(csv.path(), -1, 10)->dtype, v1::DATA_TYPE_FLOAT64);
}

TEST(RowReader, AOneDimensionalArrayIsRowsOfOneValue) {
  const TempFile file(".npy", NpyOf(Array::Of<double>({3}, {1, 2, 3})));
  EXPECT_THAT(ReadAllRows(file.path(), -1, 10)->shape, ElementsAre(3, 1));
}

TEST(RowReader, ANpyPipeDoesNotBlockACallerThatMayNotWait) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  const std::string bytes = NpyOf(TwoRows());
  const size_t half = bytes.size() - TwoRows().data.size() / 2;
  ASSERT_EQ(write(ends[1], bytes.data(), half), static_cast<ssize_t>(half));
  auto reader = RowReader::Open("-", ends[0]);
  ASSERT_TRUE(reader.ok()) << reader.status();
  bool later = true;
  EXPECT_EQ((*reader)->Next(2, /*may_wait=*/false, &later)->rows(), 1);
  EXPECT_FALSE(later);
  EXPECT_EQ((*reader)->Next(2, /*may_wait=*/false, &later)->rows(), 0);
  EXPECT_TRUE(later);
  close(ends[0]);
  close(ends[1]);
}

TEST(RowReader, RefusesMissingFilesAndTooManyRows) {
  EXPECT_EQ(ReadAllRows("/no/such/file.npy", -1, 1).status().code(), absl::StatusCode::kInvalidArgument);
  const TempFile csv(".csv", "1\n2\n3\n");
  EXPECT_THAT(std::string(ReadAllRows(csv.path(), -1, 2).status().message()), HasSubstr("more than 2 rows"));
}

TEST(RowWriter, TellsTheFormatByExtension) {
  EXPECT_EQ(*FormatOf("a.NPY"), RowFormat::kNpy);
  EXPECT_EQ(*FormatOf("a.csv"), RowFormat::kCsv);
  EXPECT_EQ(*FormatOf("-"), RowFormat::kCsv);
  EXPECT_FALSE(FormatOf("a.txt").ok());
}

TEST(RowWriter, WritesNpyFilesOfKnownAndUnknownLength) {
  const TempFile known(".npy"), unknown(".npy");
  ASSERT_TRUE(WriteTwice(known.path(), -1, RowFormat::kNpy, 4).ok());
  ASSERT_TRUE(WriteTwice(unknown.path(), -1, RowFormat::kNpy, absl::nullopt).ok());
  EXPECT_EQ(known.Read(), FourRows());
  EXPECT_EQ(unknown.Read(), FourRows());
}

TEST(RowWriter, APipeOfUnknownLengthGetsAWholeNpyToo) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  ASSERT_TRUE(WriteTwice("-", ends[1], RowFormat::kNpy, absl::nullopt).ok());
  close(ends[1]);
  auto reader = NpyReader::Create(*ByteReader::Open("-", ends[0]));
  ASSERT_TRUE(reader.ok()) << reader.status();
  bool later = false;
  EXPECT_EQ((*reader)->Next(10, /*may_wait=*/true, &later)->rows(), 4);
  EXPECT_EQ((*reader)->Next(10, /*may_wait=*/true, &later)->rows(), 0);
  close(ends[0]);
}

TEST(RowWriter, StandardOutputInAFileIsPatchedWhereWritingBegan) {
  const int fd = memfd_create("out", 0);
  ASSERT_EQ(write(fd, "before", 6), 6);
  ASSERT_TRUE(WriteTwice("-", fd, RowFormat::kNpy, absl::nullopt).ok());
  std::string content(6 + FourRows().size(), '\0');
  EXPECT_EQ(pread(fd, &content[0], content.size() + 1, 0), static_cast<ssize_t>(content.size()));
  EXPECT_EQ(content, "before" + FourRows());
  close(fd);
}

TEST(RowWriter, WritesCsvRowsAtOnce) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  auto writer = RowWriter::Open("-", ends[1], RowFormat::kCsv, absl::nullopt, {});
  ASSERT_TRUE((*writer)->Write(TwoRows()).ok());
  char text[64];
  EXPECT_EQ(std::string(text, static_cast<size_t>(read(ends[0], text, sizeof(text)))), "0.5,1\n2,3\n");
  close(ends[0]);
  close(ends[1]);
}

TEST(RowWriter, AnOutputWithoutRowsIsAnEmptyArray) {
  const TempFile file(".npy");
  auto writer =
      RowWriter::Open(file.path(), -1, RowFormat::kNpy, absl::nullopt, {v1::DATA_TYPE_FLOAT64, {0, 5}});
  ASSERT_TRUE((*writer)->Finish().ok());
  EXPECT_EQ(file.Read(), FormatNpyHeader({v1::DATA_TYPE_FLOAT64, {0, 5}}));
}

TEST(RowWriter, FewerRowsThanPromisedIsAFailure) {
  const TempFile file(".npy");
  EXPECT_EQ(WriteTwice(file.path(), -1, RowFormat::kNpy, 5).code(), absl::StatusCode::kDataLoss);
  EXPECT_FALSE(file.Exists());
}

TEST(ByteWriter, AFileAppearsOnlyWhenItIsWhole) {
  const TempFile file(".csv", "old");
  {
    auto writer = ByteWriter::Open(file.path(), -1);
    ASSERT_TRUE((*writer)->Write("new").ok());
    ASSERT_TRUE((*writer)->Flush().ok());
    EXPECT_EQ(file.Read(), "old");
  }
  EXPECT_EQ(file.Read(), "old");
  auto writer = ByteWriter::Open(file.path(), -1);
  ASSERT_TRUE((*writer)->Write("new").ok());
  ASSERT_TRUE((*writer)->Finish().ok());
  EXPECT_EQ(file.Read(), "new");
}

TEST(ByteWriter, ADeviceIsWrittenInPlace) {
  auto writer = ByteWriter::Open("/dev/null", -1);
  ASSERT_TRUE(writer.ok()) << writer.status();
  EXPECT_TRUE((*writer)->Write("x").ok());
  EXPECT_TRUE((*writer)->Finish().ok());
  EXPECT_EQ(access("/dev/null", W_OK), 0);
}

TEST(ByteWriter, AReaderThatHasGoneIsCancelledAndAFullDiskIsDataLoss) {
  signal(SIGPIPE, SIG_IGN);
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  close(ends[0]);
  auto pipe_writer = ByteWriter::Open("-", ends[1]);
  ASSERT_TRUE((*pipe_writer)->Write("x").ok());
  EXPECT_EQ((*pipe_writer)->Flush().code(), absl::StatusCode::kCancelled);
  close(ends[1]);
  auto full = ByteWriter::Open("/dev/full", -1);
  ASSERT_TRUE((*full)->Write("x").ok());
  EXPECT_EQ((*full)->Finish().code(), absl::StatusCode::kDataLoss);
}

TEST(ByteWriter, ANameThatCannotBeWrittenIsRefused) {
  EXPECT_EQ(ByteWriter::Open("/no/such/dir/x.csv", -1).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace client
}  // namespace glowworm
