// What the scan finds, and which changes of a file its signature shows.

#include "server/repository_scan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <string>
#include <thread>

#include "absl/time/clock.h"

namespace glowworm {
namespace {

namespace fs = std::filesystem;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::Pair;

class RepositoryScanTest : public ::testing::Test {
 protected:
  RepositoryScanTest() {
    std::string name = (fs::path(::testing::TempDir()) / "glowworm-scan-XXXXXX").string();
    root_ = mkdtemp(name.data());
  }
  ~RepositoryScanTest() override { fs::remove_all(root_); }

  fs::path Put(const std::string& file, const std::string& content = "x") {
    const fs::path path = root_ / file;
    fs::create_directories(path.parent_path());
    std::ofstream(path) << content;
    return path;
  }
  RepositoryListing Scan() {
    absl::StatusOr<RepositoryListing> listing = ScanRepository(root_.string());
    EXPECT_TRUE(listing.ok()) << listing.status();
    return *std::move(listing);
  }

  fs::path root_;
};

TEST_F(RepositoryScanTest, FindsVersionsAndSaysWhatItIgnores) {
  Put("digits/1/flow.safetensors");
  Put("digits/2/flow.safetensors.tmp");
  Put("digits/3x/flow.safetensors");
  Put("bad name/1/flow.safetensors");
  Put("README.md");
  const RepositoryListing listing = Scan();
  ASSERT_THAT(listing.models, ElementsAre(Pair("digits", ::testing::_)));
  const FoundModel& digits = listing.models.at("digits");
  ASSERT_EQ(digits.versions.size(), 2);
  EXPECT_TRUE(digits.versions.at(1).has_file);
  EXPECT_EQ(digits.versions.at(1).signature.size, 1);
  EXPECT_FALSE(digits.versions.at(2).has_file);
  EXPECT_THAT(listing.ignored, ::testing::UnorderedElementsAre(HasSubstr("folder=digits/2 reason=\"no flow"),
                                                               HasSubstr("folder=bad_name reason=\"not a")));
}

TEST_F(RepositoryScanTest, ARootThatCannotBeReadIsAnErrorThatNamesNoPath) {
  for (const fs::path& root : {root_ / "nowhere", Put("file")}) {
    const absl::Status status = ScanRepository(root.string()).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr(root.filename().string() + " ")));
  }
}

TEST_F(RepositoryScanTest, ScansOneModelAlone) {
  Put("digits/7/flow.safetensors");
  EXPECT_THAT(ScanModel(root_.string(), "digits")->versions, ElementsAre(Pair(7, ::testing::_)));
  EXPECT_EQ(ScanModel(root_.string(), "nope").status().code(), absl::StatusCode::kNotFound);
  fs::create_symlink("nowhere", root_ / "dangling");
  EXPECT_THAT(std::string(ScanModel(root_.string(), "dangling").status().message()),
              HasSubstr("symbolic link to nothing"));
}

TEST_F(RepositoryScanTest, ARootThatIsRenamedMeanwhileShowsAllOfItsModelsOrNone) {
  constexpr size_t kModels = 20;
  for (size_t i = 0; i < kModels; ++i) Put("model" + std::to_string(i) + "/1/flow.safetensors");
  const fs::path away = root_.string() + ".away";
  std::atomic<bool> stop{false};
  std::thread renamer([&] {
    while (!stop) {
      fs::rename(root_, away);
      fs::rename(away, root_);
    }
  });
  size_t whole = 0, none = 0;
  for (int i = 0; i < 20'000 && (i < 1'000 || whole == 0 || none == 0); ++i) {
    const absl::StatusOr<RepositoryListing> listing = ScanRepository(root_.string());
    none += listing.ok() ? 0 : 1;
    if (!listing.ok()) continue;
    size_t files = 0;
    for (const auto& [name, found] : listing->models) {
      files += found.versions.count(1) > 0 && found.versions.at(1).has_file ? 1 : 0;
    }
    whole += files == kModels ? 1 : 0;
    EXPECT_EQ(files, kModels);
  }
  stop = true;
  renamer.join();
  EXPECT_GT(whole, 0);
  EXPECT_GT(none, 0);
}

TEST_F(RepositoryScanTest, AFileThatComesBetweenTwoLooksIsThereAndNoError) {
  const fs::path file = Put("digits/1/flow.safetensors");
  const fs::path unfinished = file.string() + ".unfinished";
  std::atomic<bool> stop{false};
  std::thread renamer([&] {
    while (!stop) {
      fs::rename(file, unfinished);
      fs::rename(unfinished, file);
    }
  });
  size_t there = 0, missing = 0;
  for (int i = 0; i < 40'000 && (i < 4'000 || there == 0 || missing == 0); ++i) {
    const FoundVersion found = ScanModel(root_.string(), "digits")->versions.at(1);
    EXPECT_TRUE(found.error.ok()) << found.error;
    ++(found.has_file ? there : missing);
  }
  stop = true;
  renamer.join();
  EXPECT_GT(there, 0);
  EXPECT_GT(missing, 0);
}

TEST_F(RepositoryScanTest, ASignatureShowsAWriteWhoseTimeWasSetBack) {
  const std::string path = Put("digits/1/flow.safetensors", "one").string();
  const FileSignature before = SignatureOf(path);
  const fs::file_time_type time = fs::last_write_time(path);
  // The system's clock of files goes by ticks of some milliseconds.
  const absl::Time end = absl::Now() + absl::Seconds(10);
  do {
    std::ofstream(path) << "two";
    fs::last_write_time(path, time);
  } while (SignatureOf(path) == before && absl::Now() < end);
  const FileSignature after = SignatureOf(path);
  EXPECT_NE(after, before);
  EXPECT_EQ(after.size, before.size);
  EXPECT_EQ(after.modified_ns, before.modified_ns);
}

TEST_F(RepositoryScanTest, ASignatureShowsEachKindOfChangeAndNothingElse) {
  const std::string path = Put("digits/1/flow.safetensors", "one").string();
  FileSignature before = SignatureOf(path);
  EXPECT_EQ(SignatureOf(path), before);
  const auto changed = [&] {
    const FileSignature now = SignatureOf(path);
    const bool out = now != before;
    before = now;
    return out;
  };
  EXPECT_FALSE(changed());
  std::ofstream(path, std::ios::app) << "more";
  EXPECT_TRUE(changed()) << "size";
  fs::last_write_time(path, fs::last_write_time(path) + std::chrono::nanoseconds(1));
  EXPECT_TRUE(changed()) << "time";
  fs::permissions(path, fs::perms(0600));
  EXPECT_TRUE(changed()) << "permissions";
  const fs::path other = Put("other", "onemore");
  fs::last_write_time(other, fs::last_write_time(path));
  fs::permissions(other, fs::perms(0600));
  fs::rename(other, path);
  EXPECT_TRUE(changed()) << "another file of the same size and time";
  fs::remove(path);
  EXPECT_EQ(SignatureOf(path), FileSignature());
}

}  // namespace
}  // namespace glowworm
