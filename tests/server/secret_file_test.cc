// Which files of secrets are read.

#include "server/secret_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <string>

#include "tests/server/temporary_folder.h"

namespace glowworm {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

class SecretFileTest : public ::testing::Test {
 protected:
  std::string Refusal(const std::string& path) {
    const auto file = ReadSecretFile(path, 100);
    EXPECT_FALSE(file.ok());
    const std::string text(file.status().message());
    EXPECT_THAT(text, Not(HasSubstr("/")));
    return text;
  }
  const TemporaryFolder folder_;
};

TEST_F(SecretFileTest, ReadsTheWholeFile) {
  const std::string bytes("a\0b\n", 4);
  const auto file = ReadSecretFile(folder_.Put("f", bytes), 4);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->bytes, bytes);
  EXPECT_FALSE(file->readable_by_all);
}

TEST_F(SecretFileTest, FollowsTheLinksThatKubernetesMounts) {
  folder_.Put("data", "token");
  std::filesystem::create_symlink("data", folder_.Path("link"));
  EXPECT_EQ(ReadSecretFile(folder_.Path("link"), 100)->bytes, "token");
}

TEST_F(SecretFileTest, SaysWhenEverybodyMayReadItAndRefusesWhatEverybodyMayWrite) {
  const std::string path = folder_.Put("f", "x");
  chmod(path.c_str(), 0644);
  EXPECT_TRUE(ReadSecretFile(path, 100)->readable_by_all);
  chmod(path.c_str(), 0602);
  EXPECT_THAT(Refusal(path), HasSubstr("may be written by everybody"));
}

TEST_F(SecretFileTest, RefusesWhatIsAbsentEmptyTooLongOrNoFile) {
  EXPECT_EQ(Refusal(folder_.Path("absent")), "the file does not exist");
  EXPECT_EQ(Refusal(folder_.Put("empty", "")), "the file is empty");
  EXPECT_EQ(Refusal(folder_.Put("long", std::string(101, 'x'))),
            "expected at most 100 bytes, got a file of 101");
  EXPECT_EQ(Refusal(folder_.Path("")), "expected a regular file");
  ASSERT_EQ(mkfifo(folder_.Path("pipe").c_str(), 0600), 0);
  EXPECT_EQ(Refusal(folder_.Path("pipe")), "expected a regular file");
}

TEST_F(SecretFileTest, WipeLeavesNothing) {
  std::string secret = "a secret";
  Wipe(&secret);
  EXPECT_EQ(secret, "");
}

}  // namespace
}  // namespace glowworm
