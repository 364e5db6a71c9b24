// What went wrong with a file, as one sentence. Only entry: FileError(). Tested by
// tests/model/train/atomic_file_test.cc.

#ifndef GLOWWORM_MODEL_TRAIN_FILE_ERROR_H_
#define GLOWWORM_MODEL_TRAIN_FILE_ERROR_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace glowworm {
namespace train {

// The last part of a path: "3" of "flows/thyroid/3/".
std::string NameOfFile(absl::string_view path);

// FileError("a/flow.safetensors", "cannot be written", ENOSPC): "flow.safetensors cannot be written: no space
// left on device", with the code that absl has for `error`. REQUIRES: error != 0
absl::Status FileError(absl::string_view path, absl::string_view what, int error);

}  // namespace train
}  // namespace glowworm

#endif  // GLOWWORM_MODEL_TRAIN_FILE_ERROR_H_
