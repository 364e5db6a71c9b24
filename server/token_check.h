// Whether the headers of a call let it in; asked before a byte of its payload is read. Entry: CheckToken().
// Tested by tests/server/token_check_test.cc.

#ifndef GLOWWORM_SERVER_TOKEN_CHECK_H_
#define GLOWWORM_SERVER_TOKEN_CHECK_H_

#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "server/token_table.h"

namespace glowworm {

// What a check looks at.
struct CallHeaders {
  absl::string_view path;                        // "/glowworm.v1.DensityService/Sample"
  std::vector<absl::string_view> authorization;  // one for each such header
};

enum class TokenVerdict { kTaken, kMissing, kMalformed, kUnknown, kForbidden };

// The token of the one header "Bearer TOKEN"; empty if there is none, several, or another scheme.
absl::string_view BearerToken(const std::vector<absl::string_view>& authorization);

// A call of grpc.health.v1 needs no token: probes have none. Every other needs one whose role is at least
// `needed`, and so does a method that does not exist.
TokenVerdict CheckToken(const TokenTable& tokens, Role needed, const CallHeaders& headers);

// UNAUTHENTICATED or PERMISSION_DENIED with what was expected; OK for kTaken.
absl::Status StatusOf(TokenVerdict verdict);
// "missing", "malformed", "unknown" or "forbidden"; "" for kTaken.
const char* ReasonOf(TokenVerdict verdict);

}  // namespace glowworm

#endif  // GLOWWORM_SERVER_TOKEN_CHECK_H_
