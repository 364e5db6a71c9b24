// Files that stand whole or not at all: full disks, folders that cannot be written, names that are taken.

#include "model/train/atomic_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <string>

#include "model/train/file_error.h"
#include "tests/model/train/temporary_folder.h"

namespace glowworm {
namespace train {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(WriteWhole, WritesAndReplaces) {
  const TemporaryFolder folder;
  const std::string large(3 << 20, 'x');
  for (const std::string& bytes : {std::string("a"), large, std::string()}) {
    ASSERT_TRUE(WriteWhole(folder.File("flow"), bytes).ok());
    EXPECT_TRUE(folder.Read("flow") == bytes);
  }
  EXPECT_THAT(folder.Names(), ElementsAre("flow"));
}

TEST(WriteWhole, OthersMayReadTheFileAsTheUmaskSays) {
  const TemporaryFolder folder;
  const mode_t old = umask(027);
  ASSERT_TRUE(WriteWhole(folder.File("flow"), "a").ok());
  umask(old);
  struct stat info;
  ASSERT_EQ(stat(folder.File("flow").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0640u);
}

TEST(WriteWhole, AFullDiskLeavesTheOldFileAndNothingElse) {
  const TemporaryFolder folder;
  ASSERT_TRUE(WriteWhole(folder.File("flow"), "old").ok());
  const FileSizeLimit limit(1000);
  const absl::Status full = WriteWhole(folder.File("flow"), std::string(5000, 'x'));
  EXPECT_EQ(full.message(), "flow cannot be written: file too large");
  EXPECT_EQ(folder.Read("flow"), "old");
  EXPECT_THAT(folder.Names(), ElementsAre("flow"));
}

TEST(WriteWhole, AFullDiskLeavesNoFileWhereNoneWas) {
  const TemporaryFolder folder;
  const FileSizeLimit limit(1000);
  EXPECT_FALSE(WriteWhole(folder.File("flow"), std::string(1001, 'x')).ok());
  EXPECT_THAT(folder.Names(), IsEmpty());
  EXPECT_TRUE(WriteWhole(folder.File("flow"), std::string(1000, 'x')).ok());
}

TEST(WriteWhole, AFolderOfThatNameStays) {
  const TemporaryFolder folder;
  std::filesystem::create_directory(folder.File("flow"));
  EXPECT_EQ(WriteWhole(folder.File("flow"), "a").message(), "flow cannot be written: is a directory");
  EXPECT_THAT(folder.Names(), ElementsAre("flow"));
  EXPECT_TRUE(std::filesystem::is_directory(folder.File("flow")));
}

TEST(WriteWhole, AFolderThatIsAFileOrMissingIsSaid) {
  const TemporaryFolder folder;
  folder.Write("file", "");
  EXPECT_EQ(WriteWhole(folder.File("file/flow"), "a").message(), "flow cannot be written: not a directory");
  EXPECT_EQ(WriteWhole(folder.File("none/flow"), "a").message(),
            "flow cannot be written: no such file or directory");
}

TEST(WriteWhole, WhatAKilledProcessLeftBehindIsNoObstacle) {
  const TemporaryFolder folder;
  const std::string left = "flow.unfinished." + std::to_string(getpid()) + ".0";
  folder.Write(left, "half");
  ASSERT_TRUE(WriteWhole(folder.File("flow"), "whole").ok());
  EXPECT_EQ(folder.Read("flow"), "whole");
  EXPECT_EQ(folder.Read(left), "half");
}

TEST(WriteWhole, TakesANameInTheWorkingFolder) {
  const TemporaryFolder folder;
  const std::filesystem::path before = std::filesystem::current_path();
  std::filesystem::current_path(folder.path());
  const absl::Status wrote = WriteWhole("flow", "a");
  std::filesystem::current_path(before);
  EXPECT_TRUE(wrote.ok()) << wrote;
  EXPECT_EQ(folder.Read("flow"), "a");
}

TEST(MakeFolders, MakesThoseThatAreMissing) {
  const TemporaryFolder folder;
  for (const char* path : {"a/b/c", "a/b/c", "a//b/d/", "a"}) {
    EXPECT_TRUE(MakeFolders(folder.File(path)).ok()) << path;
    EXPECT_TRUE(std::filesystem::is_directory(folder.File(path))) << path;
  }
  EXPECT_TRUE(MakeFolders("/").ok());
}

TEST(MakeFolders, SaysWhichFileIsInTheWay) {
  const TemporaryFolder folder;
  folder.Write("file", "");
  for (const char* path : {"file", "file/b/c", "file/"}) {
    EXPECT_EQ(MakeFolders(folder.File(path)).message(), "file is a file, not a folder") << path;
  }
}

TEST(MakeFolders, SaysWhatCannotBeMade) {
  EXPECT_EQ(MakeFolders("/proc/glowworm/flow").message(),
            "glowworm cannot be made: no such file or directory");
}

TEST(CheckWritable, LeavesNothingInAFolderThatCanBeWritten) {
  const TemporaryFolder folder;
  EXPECT_TRUE(CheckWritable(folder.path()).ok());
  EXPECT_THAT(folder.Names(), IsEmpty());
}

TEST(CheckWritable, FindsAFullDisk) {
  const TemporaryFolder folder;
  const FileSizeLimit limit(100);
  EXPECT_FALSE(CheckWritable(folder.path()).ok());
  EXPECT_THAT(folder.Names(), IsEmpty());
}

TEST(CheckWritable, SaysWhatCannotBeWritten) {
  const TemporaryFolder folder;
  folder.Write("file", "");
  EXPECT_EQ(CheckWritable(folder.File("file")).message(), "file cannot be written to: not a directory");
  EXPECT_EQ(CheckWritable("/proc/").message(), "proc cannot be written to: no such file or directory");
}

TEST(FileError, NamesTheFileWithoutItsFoldersAndTheReason) {
  EXPECT_EQ(FileError("a/b/flow", "cannot be written", ENOSPC).message(),
            "flow cannot be written: no space left on device");
  EXPECT_EQ(FileError("/flow", "cannot be written", EACCES).message(),
            "flow cannot be written: permission denied");
  EXPECT_TRUE(absl::IsPermissionDenied(FileError("flow", "cannot be written", EACCES)));
  EXPECT_EQ(NameOfFile("flows/thyroid/3//"), "3");
  EXPECT_EQ(NameOfFile("/"), "/");
}

}  // namespace
}  // namespace train
}  // namespace glowworm
