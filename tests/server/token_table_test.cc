// Which token files are taken, and how a token is found.

#include "server/token_table.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"

namespace glowworm {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

constexpr char kToken[] = "0123456789abcdef";
constexpr char kOther[] = "fedcba9876543210";

std::string Refusal(const std::string& text) {
  const auto table = TokenTable::Parse(text);
  EXPECT_FALSE(table.ok()) << text;
  return std::string(table.status().message());
}

TEST(TokenTable, TakesRolesNamesCommentsAndBlankLines) {
  const auto table = TokenTable::Parse(
      absl::StrCat("# who may do what\n\nread  dash-1.a_b\t", kToken, "\r\n  # more\n\tadmin root ", kOther));
  ASSERT_TRUE(table.ok()) << table.status();
  EXPECT_EQ(table->size(), 2u);
  EXPECT_EQ(table->Find(kToken)->name, "dash-1.a_b");
  EXPECT_EQ(table->Find(kToken)->role, Role::kRead);
  EXPECT_EQ(table->Find(kOther)->name, "root");
  EXPECT_EQ(table->Find(kOther)->role, Role::kAdmin);
}

TEST(TokenTable, FindsNobodyForWhatIsNotAToken) {
  const auto table = TokenTable::Parse(absl::StrCat("read a ", kToken));
  ASSERT_TRUE(table.ok());
  const std::string token = kToken;
  for (const std::string& wrong : {std::string(), token.substr(1), token.substr(0, 15), token + "0",
                                   std::string("0123456789ABCDEF"), token + '\0', std::string(kOther)}) {
    EXPECT_EQ(table->Find(wrong), nullptr) << wrong;
  }
}

TEST(TokenTable, NamesTheLineAndNotWhatStandsThere) {
  const std::string good = absl::StrCat("read a ", kToken, "\n");
  EXPECT_EQ(Refusal(good + "write b " + kOther), "line 2: expected the role to be read or admin");
  EXPECT_EQ(Refusal(good + "\nread b"), "line 3: expected a role, a name and a token, got 2 words");
  EXPECT_EQ(Refusal(good + "read b " + kOther + " x"),
            "line 2: expected a role, a name and a token, got 4 words");
  EXPECT_THAT(Refusal(good + "read b/c " + kOther), HasSubstr("expected a name of at most 64 letters"));
  EXPECT_THAT(Refusal(good + "read " + std::string(65, 'b') + " " + kOther),
              HasSubstr("line 2: expected a name"));
  EXPECT_EQ(Refusal(good + "read a " + kOther), "line 2: this name was given before");
  EXPECT_EQ(Refusal(good + "admin b " + kToken), "line 2: this token was given before");
  for (const std::string& token :
       {std::string(15, 't'), std::string(513, 't'), std::string(16, '\x7f'), std::string(16, '\xc3')}) {
    const std::string refusal = Refusal(good + "read b " + token);
    EXPECT_EQ(refusal, "line 2: expected a token of 16 .. 512 printable ASCII characters");
    EXPECT_THAT(refusal, Not(HasSubstr(token)));
  }
}

TEST(TokenTable, WantsAtLeastOneTokenAndAtMost256) {
  EXPECT_EQ(Refusal(""), "expected a token, got none");
  EXPECT_EQ(Refusal("# nobody\n"), "expected a token, got none");
  std::string text;
  for (int i = 0; i < 256; ++i) absl::StrAppend(&text, "read n", i, " ", kToken, i, "\n");
  EXPECT_TRUE(TokenTable::Parse(text).ok());
  EXPECT_EQ(Refusal(absl::StrCat(text, "read last ", kOther)), "line 257: expected at most 256 tokens");
}

TEST(TokenTable, IsEqualToItselfAndToNoOther) {
  const auto parse = [](const std::string& text) { return *TokenTable::Parse(text); };
  const std::string text = absl::StrCat("read a ", kToken);
  EXPECT_TRUE(parse(text) == parse("# again\n" + text));
  EXPECT_FALSE(parse(text) == parse(absl::StrCat("admin a ", kToken)));
  EXPECT_FALSE(parse(text) == parse(absl::StrCat("read b ", kToken)));
  EXPECT_FALSE(parse(text) == parse(absl::StrCat("read a ", kOther)));
}

// A comparison that counts itself.
int compared = 0;
bool CountedEqual(const TokenDigest& a, const TokenDigest& b) {
  ++compared;
  return EqualInConstantTime(a, b);
}

TEST(PlaceOf, ComparesEveryDigestWhereverTheMatchIs) {
  std::vector<TokenDigest> digests(5);
  for (size_t i = 0; i < digests.size(); ++i) digests[i].fill(static_cast<unsigned char>(i));
  for (int place = 0; place < 5; ++place) {
    compared = 0;
    EXPECT_EQ(PlaceOf(digests[static_cast<size_t>(place)], digests, CountedEqual), place);
    EXPECT_EQ(compared, 5);
  }
  TokenDigest unknown;
  unknown.fill(9);
  compared = 0;
  EXPECT_EQ(PlaceOf(unknown, digests, CountedEqual), -1);
  EXPECT_EQ(compared, 5);
  EXPECT_EQ(PlaceOf(unknown, {}), -1);
}

TEST(EqualInConstantTime, SeesADifferenceInAnyByte) {
  TokenDigest a;
  a.fill(7);
  EXPECT_TRUE(EqualInConstantTime(a, a));
  for (size_t i = 0; i < a.size(); ++i) {
    TokenDigest b = a;
    b[i] ^= 0x80;
    EXPECT_FALSE(EqualInConstantTime(a, b)) << i;
  }
}

}  // namespace
}  // namespace glowworm
