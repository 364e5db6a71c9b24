// TokenTable: the bearer tokens that a file lists, kept as SHA-256 digests.
//
//   # who may ask for densities, and who may also load and unload models
//   read  dashboard  5b1f0c2e8d7a49d3b6...
//   admin deployer   c0a8f4e17d3942e5a1...
//
// A line is a role, a name and a token, parted by blanks. To change a token without a gap, list the old and
// the new one for a while, under two names. Tested by tests/server/token_table_test.cc.

#ifndef GLOWWORM_SERVER_TOKEN_TABLE_H_
#define GLOWWORM_SERVER_TOKEN_TABLE_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace glowworm {

inline constexpr int64_t kMaxTokenFileBytes = 64 << 10;
inline constexpr size_t kMaxTokens = 256;
inline constexpr size_t kMaxTokenName = 64;
inline constexpr size_t kMinTokenBytes = 16;
inline constexpr size_t kMaxTokenBytes = 512;

// What a token's bearer may do. An admin may do all that a reader may.
enum class Role { kRead, kAdmin };

using TokenDigest = std::array<unsigned char, 32>;

// Whether two digests are equal, in a time that does not tell where they differ.
bool EqualInConstantTime(const TokenDigest& a, const TokenDigest& b);

// The place of `wanted` among `digests`, or -1. Compares each of them, wherever the match is, so that the
// time taken tells nothing of it.
int PlaceOf(const TokenDigest& wanted, const std::vector<TokenDigest>& digests,
            bool (*equal)(const TokenDigest&, const TokenDigest&) = EqualInConstantTime);

// Immutable.
class TokenTable {
 public:
  struct Bearer {
    std::string name;
    Role role;
    bool operator==(const Bearer& other) const { return name == other.name && role == other.role; }
  };

  // InvalidArgument names the line and what is wrong with it, never what stands there: it may be a token.
  static absl::StatusOr<TokenTable> Parse(absl::string_view text);

  // Whose token this is; null if nobody's. Valid as long as this table.
  const Bearer* Find(absl::string_view token) const;
  size_t size() const { return bearers_.size(); }
  bool operator==(const TokenTable& other) const {
    return bearers_ == other.bearers_ && digests_ == other.digests_;
  }

 private:
  absl::Status AddLine(absl::string_view line);

  std::vector<Bearer> bearers_;
  std::vector<TokenDigest> digests_;  // one for each bearer
};

// Whether it could stand in a file: kMinTokenBytes .. kMaxTokenBytes of printable ASCII without blanks.
bool IsToken(absl::string_view text);

}  // namespace glowworm

#endif  // GLOWWORM_SERVER_TOKEN_TABLE_H_
