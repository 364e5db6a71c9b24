// Which headers let a call in.

#include "server/token_check.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace glowworm {
namespace {

constexpr absl::string_view kSample = "/glowworm.v1.DensityService/Sample";

class TokenCheck : public ::testing::Test {
 protected:
  TokenVerdict Check(Role needed, absl::string_view path, std::vector<absl::string_view> authorization) {
    return CheckToken(table_, needed, {path, std::move(authorization)});
  }
  const TokenTable table_ = *TokenTable::Parse("read alice 0123456789abcdef\nadmin root fedcba9876543210");
};

TEST_F(TokenCheck, LetsInWhoHasTheRole) {
  EXPECT_EQ(Check(Role::kRead, kSample, {"Bearer 0123456789abcdef"}), TokenVerdict::kTaken);
  EXPECT_EQ(Check(Role::kRead, kSample, {"bearer  0123456789abcdef "}), TokenVerdict::kTaken);
  EXPECT_EQ(Check(Role::kRead, kSample, {"Bearer fedcba9876543210"}), TokenVerdict::kTaken);
  EXPECT_EQ(Check(Role::kAdmin, kSample, {"Bearer fedcba9876543210"}), TokenVerdict::kTaken);
}

TEST_F(TokenCheck, RefusesAReaderWhereAnAdminIsExpected) {
  EXPECT_EQ(Check(Role::kAdmin, kSample, {"Bearer 0123456789abcdef"}), TokenVerdict::kForbidden);
  EXPECT_EQ(StatusOf(TokenVerdict::kForbidden).code(), absl::StatusCode::kPermissionDenied);
}

TEST_F(TokenCheck, RefusesWhatIsMissingMalformedOrUnknown) {
  EXPECT_EQ(Check(Role::kRead, kSample, {}), TokenVerdict::kMissing);
  for (const char* header :
       {"", "Bearer", "Bearer ", "Bearer short", "0123456789abcdef", "Basic 0123456789abcdef",
        "Bearer 0123456789abcdef x", "Bearer 0123456789abcd\nef"}) {
    EXPECT_EQ(Check(Role::kRead, kSample, {header}), TokenVerdict::kMalformed) << header;
  }
  EXPECT_EQ(Check(Role::kRead, kSample, {"Bearer 0123456789abcdef", "Bearer fedcba9876543210"}),
            TokenVerdict::kMalformed);
  EXPECT_EQ(Check(Role::kRead, kSample, {"Bearer 0123456789abcdeF"}), TokenVerdict::kUnknown);
  for (TokenVerdict verdict : {TokenVerdict::kMissing, TokenVerdict::kMalformed, TokenVerdict::kUnknown}) {
    EXPECT_EQ(StatusOf(verdict).code(), absl::StatusCode::kUnauthenticated);
    EXPECT_STRNE(ReasonOf(verdict), "");
  }
}

TEST_F(TokenCheck, AsksHealthChecksForNothingAndAllElseForAToken) {
  for (const char* path : {"/grpc.health.v1.Health/Check", "/grpc.health.v1.Health/Watch"}) {
    EXPECT_EQ(Check(Role::kAdmin, path, {}), TokenVerdict::kTaken);
    EXPECT_EQ(Check(Role::kAdmin, path, {"Bearer nonsense"}), TokenVerdict::kTaken);
  }
  for (const char* path : {"", "/grpc.health.v1.Health/check", "/grpc.health.v1.Health/Check/", "/no/such",
                           "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"}) {
    EXPECT_EQ(Check(Role::kRead, path, {}), TokenVerdict::kMissing) << path;
  }
}

}  // namespace
}  // namespace glowworm
