#include "server/token_table.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace glowworm {
namespace {

TokenDigest DigestOf(absl::string_view token) {
  TokenDigest out;
  SHA256(reinterpret_cast<const unsigned char*>(token.data()), token.size(), out.data());
  return out;
}

bool IsName(absl::string_view text) {
  const auto allowed = [](char c) { return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '-'; };
  return !text.empty() && text.size() <= kMaxTokenName && std::all_of(text.begin(), text.end(), allowed);
}

}  // namespace

bool EqualInConstantTime(const TokenDigest& a, const TokenDigest& b) {
  return CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

int PlaceOf(const TokenDigest& wanted, const std::vector<TokenDigest>& digests,
            bool (*equal)(const TokenDigest&, const TokenDigest&)) {
  int place = -1;
  for (size_t i = 0; i < digests.size(); ++i) {
    const int mask = -static_cast<int>(equal(wanted, digests[i]));  // all ones if they are equal
    place = (place & ~mask) | (static_cast<int>(i) & mask);
  }
  return place;
}

bool IsToken(absl::string_view text) {
  return text.size() >= kMinTokenBytes && text.size() <= kMaxTokenBytes &&
         std::all_of(text.begin(), text.end(), [](char c) { return absl::ascii_isgraph(c); });
}

absl::StatusOr<TokenTable> TokenTable::Parse(absl::string_view text) {
  TokenTable out;
  int number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    line = absl::StripAsciiWhitespace(line);
    if (line.empty() || line[0] == '#') continue;
    absl::Status status = out.AddLine(line);
    if (!status.ok())
      return absl::InvalidArgumentError(absl::StrCat("line ", number, ": ", status.message()));
  }
  if (out.size() == 0) return absl::InvalidArgumentError("expected a token, got none");
  return out;
}

absl::Status TokenTable::AddLine(absl::string_view line) {
  const std::vector<absl::string_view> words =
      absl::StrSplit(line, absl::ByAnyChar(" \t"), absl::SkipEmpty());
  if (words.size() != 3) {
    return absl::InvalidArgumentError(
        absl::StrCat("expected a role, a name and a token, got ", words.size(), " words"));
  }
  if (words[0] != "read" && words[0] != "admin") {
    return absl::InvalidArgumentError("expected the role to be read or admin");
  }
  if (!IsName(words[1])) {
    return absl::InvalidArgumentError(
        absl::StrCat("expected a name of at most ", kMaxTokenName, " letters, digits, '.', '_' and '-'"));
  }
  if (!IsToken(words[2])) {
    return absl::InvalidArgumentError(absl::StrCat("expected a token of ", kMinTokenBytes, " .. ",
                                                   kMaxTokenBytes, " printable ASCII characters"));
  }
  if (size() == kMaxTokens) {
    return absl::InvalidArgumentError(absl::StrCat("expected at most ", kMaxTokens, " tokens"));
  }
  const TokenDigest digest = DigestOf(words[2]);
  for (size_t i = 0; i < size(); ++i) {
    if (bearers_[i].name == words[1]) return absl::InvalidArgumentError("this name was given before");
    if (digests_[i] == digest) return absl::InvalidArgumentError("this token was given before");
  }
  bearers_.push_back({std::string(words[1]), words[0] == "admin" ? Role::kAdmin : Role::kRead});
  digests_.push_back(digest);
  return absl::OkStatus();
}

const TokenTable::Bearer* TokenTable::Find(absl::string_view token) const {
  const int place = PlaceOf(DigestOf(token), digests_);
  return place < 0 ? nullptr : &bearers_[static_cast<size_t>(place)];
}

}  // namespace glowworm
