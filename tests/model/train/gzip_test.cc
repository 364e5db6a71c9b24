// gzip files (model/train/gzip.h): members, limits, every way to be damaged.

#include "model/train/gzip.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/model/train/data_files.h"

namespace glowworm {
namespace train {
namespace {

using testing::HasSubstr;

constexpr size_t kPlenty = 1 << 24;

std::string Refusal(const std::string& bytes, size_t max_size = kPlenty) {
  return std::string(Gunzip(bytes, max_size).status().message());
}

// Longer than what is inflated at a time, and not the same all over.
std::string LongText() {
  std::string text;
  for (int i = 0; i < 50000; ++i) text += std::to_string(i * 7919 % 10007) + "\n";
  return text;
}

TEST(Gzip, GivesWhatWasCompressed) {
  for (const std::string& content :
       {std::string("one line"), std::string(), LongText(), std::string(1 << 20, 'x')}) {
    const auto back = Gunzip(Gzip(content), kPlenty);
    ASSERT_TRUE(back.ok()) << back.status();
    EXPECT_TRUE(*back == content);
  }
}

TEST(Gzip, MembersAreJoined) {
  const auto back = Gunzip(Gzip("one ") + Gzip("") + Gzip("two"), kPlenty);
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(*back, "one two");
}

TEST(Gzip, RefusesACutAtEveryByte) {
  const std::string bytes = Gzip("some text, some text");
  for (size_t size = 2; size < bytes.size(); ++size) {
    EXPECT_EQ(Refusal(bytes.substr(0, size)), "its gzip data are cut short") << size;
  }
}

TEST(Gzip, RefusesACutInALongFile) {
  const std::string bytes = Gzip(LongText());
  EXPECT_EQ(Refusal(bytes.substr(0, bytes.size() / 2)), "its gzip data are cut short");
}

TEST(Gzip, RefusesOtherBytesBehindAMember) {
  EXPECT_EQ(Refusal(Gzip("text") + "junk"), "4 bytes that are not gzip data follow its gzip data");
  EXPECT_THAT(Refusal(Gzip("text") + std::string(1, '\0')), HasSubstr("follow its gzip data"));
}

TEST(Gzip, RefusesAFlippedBitAnywhereInTheDataAndTheCheckSum) {
  const std::string bytes = Gzip("some text, some text");
  for (size_t at = 10; at < bytes.size(); ++at) {
    std::string damaged = bytes;
    damaged[at] = static_cast<char>(damaged[at] ^ 0x10);
    EXPECT_THAT(Refusal(damaged), HasSubstr("its gzip data are")) << at;
  }
}

TEST(Gzip, RefusesOtherFiles) {
  EXPECT_EQ(Refusal("1,2,3\n"), "it does not begin as a gzip file does");
  EXPECT_EQ(Refusal(""), "it does not begin as a gzip file does");
  EXPECT_THAT(Refusal("\x1f\x8b\x09 no method of gzip's"), HasSubstr("damaged"));
}

TEST(Gzip, TheContentIsBounded) {
  EXPECT_TRUE(Gunzip(Gzip(std::string(1000, 'x')), 1000).ok());
  EXPECT_EQ(Refusal(Gzip(std::string(1001, 'x')), 1000), "its content has more than 1000 bytes");
  EXPECT_THAT(Refusal(Gzip(std::string(600, 'x')) + Gzip(std::string(600, 'x')), 1000),
              HasSubstr("more than 1000"));
}

}  // namespace
}  // namespace train
}  // namespace glowworm
