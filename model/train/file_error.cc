// FileError(). Tested by tests/model/train/atomic_file_test.cc.

#include "model/train/file_error.h"

#include <cstring>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace glowworm {
namespace train {

std::string NameOfFile(absl::string_view path) {
  while (path.size() > 1 && absl::ConsumeSuffix(&path, "/")) {
  }
  const size_t slash = path.rfind('/');
  if (slash != absl::string_view::npos && path.size() > 1) path.remove_prefix(slash + 1);
  return std::string(path);
}

absl::Status FileError(absl::string_view path, absl::string_view what, int error) {
  std::string reason = std::strerror(error);
  reason[0] = absl::ascii_tolower(static_cast<unsigned char>(reason[0]));
  return absl::Status(absl::ErrnoToStatusCode(error),
                      absl::StrCat(NameOfFile(path), " ", what, ": ", reason));
}

}  // namespace train
}  // namespace glowworm
