#include "server/version_policy.h"

#include <algorithm>
#include <iterator>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "server/log.h"
#include "server/validate.h"

namespace glowworm {
namespace {

bool ParsePositive(absl::string_view text, int64_t* out) { return absl::SimpleAtoi(text, out) && *out > 0; }

// One of specific:'s items, "3" or "digits@3".
bool AddItem(absl::string_view item, VersionPolicy* policy) {
  const std::vector<absl::string_view> parts = absl::StrSplit(item, '@');
  int64_t version = 0;
  if (parts.size() > 2 || !ParsePositive(parts.back(), &version)) return false;
  if (parts.size() == 2 && !IsModelName(parts[0])) return false;
  (parts.size() == 1 ? policy->versions : policy->by_model[std::string(parts[0])]).insert(version);
  return true;
}

}  // namespace

std::set<int64_t> VersionPolicy::Choose(const std::string& model, const std::set<int64_t>& available) const {
  if (latest > 0) {
    const auto count = std::min<int64_t>(latest, static_cast<int64_t>(available.size()));
    return std::set<int64_t>(std::prev(available.end(), count), available.end());
  }
  if (versions.empty() && by_model.empty()) return available;
  const auto named = by_model.find(model);
  const std::set<int64_t>& wanted = named == by_model.end() ? versions : named->second;
  std::set<int64_t> out;
  std::set_intersection(available.begin(), available.end(), wanted.begin(), wanted.end(),
                        std::inserter(out, out.end()));
  return out;
}

absl::StatusOr<VersionPolicy> ParseVersionPolicy(absl::string_view text) {
  VersionPolicy policy;
  absl::string_view rest = text;
  bool good = text == "all";
  if (absl::ConsumePrefix(&rest, "latest:")) {
    good = ParsePositive(rest, &policy.latest);
  } else if (absl::ConsumePrefix(&rest, "specific:")) {
    good = true;
    for (const absl::string_view item : absl::StrSplit(rest, ',')) good = good && AddItem(item, &policy);
  }
  if (good) return policy;
  return absl::InvalidArgumentError(
      absl::StrCat("--version_policy: expected all, latest:N, specific:V,... or specific:MODEL@V,..., got '",
                   Sanitized(text, 128), "'"));
}

}  // namespace glowworm
