#include "server/token_check.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"

namespace glowworm {
namespace {

constexpr absl::string_view kScheme = "Bearer ";

bool IsHealth(absl::string_view path) {
  return path == "/grpc.health.v1.Health/Check" || path == "/grpc.health.v1.Health/Watch";
}

}  // namespace

absl::string_view BearerToken(const std::vector<absl::string_view>& authorization) {
  if (authorization.size() != 1 || !absl::StartsWithIgnoreCase(authorization[0], kScheme)) return "";
  return absl::StripAsciiWhitespace(authorization[0].substr(kScheme.size()));
}

TokenVerdict CheckToken(const TokenTable& tokens, Role needed, const CallHeaders& headers) {
  if (IsHealth(headers.path)) return TokenVerdict::kTaken;
  if (headers.authorization.empty()) return TokenVerdict::kMissing;
  const absl::string_view token = BearerToken(headers.authorization);
  if (!IsToken(token)) return TokenVerdict::kMalformed;
  const TokenTable::Bearer* bearer = tokens.Find(token);
  if (bearer == nullptr) return TokenVerdict::kUnknown;
  if (needed == Role::kAdmin && bearer->role != Role::kAdmin) return TokenVerdict::kForbidden;
  return TokenVerdict::kTaken;
}

absl::Status StatusOf(TokenVerdict verdict) {
  switch (verdict) {
    case TokenVerdict::kTaken:
      return absl::OkStatus();
    case TokenVerdict::kMissing:
      return absl::UnauthenticatedError("expected the metadata 'authorization: Bearer TOKEN', got none");
    case TokenVerdict::kMalformed:
      return absl::UnauthenticatedError("expected one 'authorization: Bearer TOKEN', got something else");
    case TokenVerdict::kUnknown:
      return absl::UnauthenticatedError("the token is not known here");
    case TokenVerdict::kForbidden:
      return absl::PermissionDeniedError("this listener expects a token with the admin role");
  }
  return absl::InternalError("unknown verdict");
}

const char* ReasonOf(TokenVerdict verdict) {
  constexpr const char* kReasons[] = {"", "missing", "malformed", "unknown", "forbidden"};
  return kReasons[static_cast<int>(verdict)];
}

}  // namespace glowworm
