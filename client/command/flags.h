// Flags of a subcommand: --name=value or --name value, checked against a list; nothing unknown, nothing
// twice. Tested by tests/client/flags_test.cc.

#ifndef GLOWWORM_CLIENT_COMMAND_FLAGS_H_
#define GLOWWORM_CLIENT_COMMAND_FLAGS_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/optional.h"

namespace glowworm {
namespace client {

enum class FlagKind {
  kSwitch,  // --json, --json=true or --json=false; takes no separate value
  kText,
  kCount,     // an integer > 0
  kIndex,     // an integer in 0 .. 2^64-1
  kLabel,     // an integer in 0 .. 2^31-1
  kNumber,    // finite
  kDuration,  // "250ms", "10s"; >= 0
};

struct FlagSpec {
  const char* name;  // with underscores; hyphens are taken for them
  FlagKind kind;
  const char* value;  // for --help: "FILE"; empty for switches
  const char* help;
};

// Parsed flags. A getter's name must be one of the specs', of its kind.
class Flags {
 public:
  // INVALID_ARGUMENT: an unknown flag (with the nearest known one), a missing, repeated or unreadable value,
  // or an argument that is no flag.
  static absl::StatusOr<Flags> Parse(const std::vector<std::string>& arguments,
                                     const std::vector<FlagSpec>& specs);

  bool Has(const std::string& name) const { return values_.count(name) > 0; }
  bool Switch(const std::string& name) const;
  std::string Text(const std::string& name, const std::string& otherwise = "") const;
  int64_t Count(const std::string& name, int64_t otherwise) const;
  absl::optional<uint64_t> Index(const std::string& name) const;
  absl::optional<int32_t> Label(const std::string& name) const;
  absl::optional<double> Number(const std::string& name) const;
  absl::Duration Duration(const std::string& name, absl::Duration otherwise) const;

 private:
  std::map<std::string, std::string> values_;  // checked by Parse()
};

// The name among `names` that `word` is most likely a slip of; empty if none is near.
std::string Nearest(const std::string& word, const std::vector<std::string>& names);

}  // namespace client
}  // namespace glowworm

#endif  // GLOWWORM_CLIENT_COMMAND_FLAGS_H_
