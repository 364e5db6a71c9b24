// Writes files that stand whole or not at all, and makes the folders for them. Tested by
// tests/model/train/atomic_file_test.cc.
//
// Every failure is one sentence that names the file or folder without those above it and says why:
// "flow.safetensors cannot be written: no space left on device". All of them block.

#ifndef GLOWWORM_MODEL_TRAIN_ATOMIC_FILE_H_
#define GLOWWORM_MODEL_TRAIN_ATOMIC_FILE_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace glowworm {
namespace train {

// Replaces the file at `path`, or makes it: `bytes` go to a file beside it, to the disk, and then take the
// name `path` in one step. Whatever happens meanwhile, `path` is the old file or the new one, whole. After a
// failure it is the old one and nothing is left beside it, unless the failure says that the folder could not
// be synchronised: then the new file is there, but may not outlive a loss of power.
absl::Status WriteWhole(const std::string& path, absl::string_view bytes);

// Makes the folder and those above it, as far as they are not there.
absl::Status MakeFolders(const std::string& path);

// Whether a file can be made and written in `folder`, found out by doing so. The file is gone afterwards.
absl::Status CheckWritable(const std::string& folder);

}  // namespace train
}  // namespace glowworm

#endif  // GLOWWORM_MODEL_TRAIN_ATOMIC_FILE_H_
