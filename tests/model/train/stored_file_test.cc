// Stored files (model/train/stored_file.h): hash, decompression, format, what cannot be read.

#include "model/train/stored_file.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/model/train/data_files.h"

namespace glowworm {
namespace train {
namespace {

using testing::HasSubstr;

class StoredFileTest : public testing::Test {
 protected:
  StoredFile Read(const std::string& name, const std::string& content) {
    absl::StatusOr<StoredFile> file = ReadStoredFile(folder_.Write(name, content));
    EXPECT_TRUE(file.ok()) << file.status();
    return file.ok() ? *file : StoredFile();
  }
  std::string Refusal(const std::string& name) {
    const absl::Status status = ReadStoredFile(folder_.Path(name)).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  }
  std::string Refusal(const std::string& name, const std::string& content) {
    folder_.Write(name, content);
    return Refusal(name);
  }

  const DataFolder folder_;
};

TEST_F(StoredFileTest, TheHashIsThatOfTheBytes) {  // FIPS 180's example
  EXPECT_EQ(Read("a.csv", "abc").sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST_F(StoredFileTest, AGzipFileIsHashedAsStoredAndHoldsItsContent) {
  const std::string stored = Gzip("1,2\n");
  const StoredFile compressed = Read("a.csv.gz", stored);
  EXPECT_EQ(compressed.content, "1,2\n");
  EXPECT_EQ(compressed.sha256, Read("again.gz.csv", stored).sha256);
  EXPECT_NE(compressed.sha256, Read("a.csv", "1,2\n").sha256);
}

TEST_F(StoredFileTest, TheNameHasNoFolders) { EXPECT_EQ(Read("a.csv", "1").name, "a.csv"); }

TEST_F(StoredFileTest, TheFormatIsToldByTheEndingThenByTheFirstBytes) {
  const std::string npy = Npy<double>({1}, {1});
  EXPECT_EQ(Read("a.csv", "1").format, FileFormat::kCsv);
  EXPECT_EQ(Read("a.CSV.gz", Gzip("1")).format, FileFormat::kCsv);
  EXPECT_EQ(Read("a.npy", "whatever").format, FileFormat::kNpy);
  EXPECT_EQ(Read("a.npy.gz", Gzip(npy)).format, FileFormat::kNpy);
  EXPECT_EQ(Read("array", npy).format, FileFormat::kNpy);
  EXPECT_EQ(Read("labels-idx1-ubyte", Idx({1}, "x")).format, FileFormat::kIdx);
  EXPECT_EQ(Read("labels-idx1-ubyte.gz", Gzip(Idx({1}, "x"))).format, FileFormat::kIdx);
}

TEST_F(StoredFileTest, ALinkLeadsToItsFile) {
  folder_.Write("a.csv", "1,2\n");
  std::filesystem::create_symlink("a.csv", folder_.Path("link.csv"));
  const auto file = ReadStoredFile(folder_.Path("link.csv"));
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->content, "1,2\n");
  EXPECT_EQ(file->name, "link.csv");
}

TEST_F(StoredFileTest, ARefusalNamesTheFileAndSaysWhy) {
  EXPECT_EQ(Refusal("none.npy"), "none.npy: the file does not exist");
  EXPECT_EQ(Refusal("empty.npy", ""), "empty.npy: the file is empty");
  EXPECT_EQ(Refusal("empty.csv.gz", Gzip("")), "empty.csv.gz: the file is empty once decompressed");
  EXPECT_EQ(Refusal("a.csv.gz", "1,2\n"), "a.csv.gz: it does not begin as a gzip file does");
  EXPECT_EQ(Refusal("cut.csv.gz", Gzip("1,2\n").substr(0, 15)), "cut.csv.gz: its gzip data are cut short");
  EXPECT_EQ(
      Refusal("picture.png", "\x89PNG"),
      "picture.png: expected a .npy, .csv or IDX file; the name ends otherwise and the first bytes are of no "
      ".npy or IDX file");
}

TEST_F(StoredFileTest, AFolderIsNoFile) {
  std::filesystem::create_directory(folder_.Path("folder.npy"));
  EXPECT_EQ(Refusal("folder.npy"), "folder.npy: a folder, expected a file");
}

TEST_F(StoredFileTest, AnUnreadableFileIsRefused) {
  if (geteuid() == 0) GTEST_SKIP() << "the superuser reads every file";
  folder_.Write("secret.csv", "1");
  std::filesystem::permissions(folder_.Path("secret.csv"), std::filesystem::perms::none);
  EXPECT_THAT(Refusal("secret.csv"), HasSubstr("secret.csv: the file cannot be opened: "));
}

}  // namespace
}  // namespace train
}  // namespace glowworm
