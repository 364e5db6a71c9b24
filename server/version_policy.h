// VersionPolicy: which versions of a model are served, of those in the repository. Tested by
// tests/server/version_policy_test.cc.

#ifndef GLOWWORM_SERVER_VERSION_POLICY_H_
#define GLOWWORM_SERVER_VERSION_POLICY_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace glowworm {

// A value; the default serves every version.
struct VersionPolicy {
  // What is served of one model that has these versions, by its name.
  std::set<int64_t> Choose(const std::string& model, const std::set<int64_t>& versions) const;

  int64_t latest = 0;          // the newest so many; 0: not chosen by age
  std::set<int64_t> versions;  // of every model that by_model does not name
  std::map<std::string, std::set<int64_t>> by_model;
};

// "all", "latest:N", "specific:1,3", or "specific:digits@1,digits@3,fashion@2", where models that are not
// named have none unless plain versions stand there too. InvalidArgument says what was expected.
absl::StatusOr<VersionPolicy> ParseVersionPolicy(absl::string_view text);

}  // namespace glowworm

#endif  // GLOWWORM_SERVER_VERSION_POLICY_H_
