// Which versions a policy chooses, and which policies are refused.

#include "server/version_policy.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace glowworm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::set<int64_t> Chosen(const char* policy, const std::string& model, const std::set<int64_t>& versions) {
  const absl::StatusOr<VersionPolicy> parsed = ParseVersionPolicy(policy);
  EXPECT_TRUE(parsed.ok()) << parsed.status();
  return parsed.ok() ? parsed->Choose(model, versions) : std::set<int64_t>{};
}

TEST(VersionPolicy, ServesAllByDefault) {
  EXPECT_THAT(VersionPolicy().Choose("m", {1, 4, 9}), ElementsAre(1, 4, 9));
  EXPECT_THAT(Chosen("all", "m", {1, 4, 9}), ElementsAre(1, 4, 9));
}

TEST(VersionPolicy, LatestCountsFromTheNewest) {
  EXPECT_THAT(Chosen("latest:2", "m", {1, 4, 9}), ElementsAre(4, 9));
  EXPECT_THAT(Chosen("latest:5", "m", {1, 4, 9}), ElementsAre(1, 4, 9));
  EXPECT_THAT(Chosen("latest:1", "m", {}), IsEmpty());
}

TEST(VersionPolicy, SpecificServesWhatIsNamedAndThere) {
  EXPECT_THAT(Chosen("specific:1,9,12", "m", {1, 4, 9}), ElementsAre(1, 9));
  EXPECT_THAT(Chosen("specific:m@4,n@1", "m", {1, 4, 9}), ElementsAre(4));
  EXPECT_THAT(Chosen("specific:m@4,n@1", "other", {1, 4, 9}), IsEmpty());
  EXPECT_THAT(Chosen("specific:m@4,9", "other", {1, 4, 9}), ElementsAre(9));
}

TEST(VersionPolicy, RefusesWhatItCannotRead) {
  for (const char* bad :
       {"", "latest", "latest:", "latest:0", "latest:-1", "latest:x", "specific:", "specific:0",
        "specific:1,", "specific:@1", "specific:a@b@1", "specific:../x@1", "ALL", "newest"}) {
    EXPECT_THAT(std::string(ParseVersionPolicy(bad).status().message()),
                HasSubstr("--version_policy: expected"))
        << bad;
  }
}

}  // namespace
}  // namespace glowworm
