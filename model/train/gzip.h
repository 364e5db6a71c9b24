// Gunzip: the content of a gzip file, whole. Tested by tests/model/train/gzip_test.cc.

#ifndef GLOWWORM_MODEL_TRAIN_GZIP_H_
#define GLOWWORM_MODEL_TRAIN_GZIP_H_

#include <cstddef>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace glowworm {
namespace train {

// Whether `bytes` begin as a gzip file does.
bool LooksGzipped(absl::string_view bytes);

// What the gzip members in `bytes`, one or more, hold together. InvalidArgument, a part of a sentence without
// the file's name, if they are damaged or cut short, if other bytes follow them, or if the content has more
// than `max_size` bytes: memory never grows beyond that.
absl::StatusOr<std::string> Gunzip(absl::string_view bytes, size_t max_size);

}  // namespace train
}  // namespace glowworm

#endif  // GLOWWORM_MODEL_TRAIN_GZIP_H_
