// The command line of glowworm-train, and its config files, as a Config. Entry: ReadConfig(). Tested by
// tests/model/train/config_test.cc.

#ifndef GLOWWORM_MODEL_TRAIN_FLAGS_H_
#define GLOWWORM_MODEL_TRAIN_FLAGS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "model/train/config.h"

namespace glowworm {
namespace train {

// The preset's values, then those of --config=FILE (a line each, "name = value", # begins a comment), then
// those of the command line. InvalidArgument for an unknown or repeated flag or a value that it cannot take.
absl::StatusOr<Config> ReadConfig(const std::vector<std::string>& arguments);

// The text of --help: every flag with its default.
std::string HelpText();

}  // namespace train
}  // namespace glowworm

#endif  // GLOWWORM_MODEL_TRAIN_FLAGS_H_
