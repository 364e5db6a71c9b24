// Reads one regular file whole. Entry: ReadRegularFile(). Tested by tests/model/safetensors_test.cc.

#ifndef GLOWWORM_MODEL_REGULAR_FILE_H_
#define GLOWWORM_MODEL_REGULAR_FILE_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace glowworm {

// The bytes of the file at `path`, by read(): a mapping would turn a file truncated later into SIGBUS.
// Blocks. NotFound if nothing is there; InvalidArgument if it is no regular file (a symbolic link is none) or
// has more than `max_bytes`; Unavailable if reading fails or the file changes meanwhile. Error texts name no
// path.
absl::StatusOr<std::string> ReadRegularFile(const std::string& path, int64_t max_bytes);

}  // namespace glowworm

#endif  // GLOWWORM_MODEL_REGULAR_FILE_H_
