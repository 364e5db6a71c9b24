// StoredFile: one data file in memory, hashed, decompressed and of a known format. Entry: ReadStoredFile().
// Tested by tests/model/train/stored_file_test.cc.

#ifndef GLOWWORM_MODEL_TRAIN_STORED_FILE_H_
#define GLOWWORM_MODEL_TRAIN_STORED_FILE_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace glowworm {
namespace train {

inline constexpr int64_t kMaxStoredBytes = int64_t{1} << 36;   // of a file
inline constexpr size_t kMaxGunzippedBytes = size_t{1} << 34;  // of what a .gz file holds

enum class FileFormat { kNpy, kCsv, kIdx };

struct StoredFile {
  std::string name;    // without folders
  std::string sha256;  // of the bytes as stored: of a .gz file, before it is decompressed
  FileFormat format = FileFormat::kCsv;
  std::string content;  // decompressed
};

// A path's last part.
std::string FileName(absl::string_view path);

// `status` with "name: " before its message; OK stays OK.
absl::Status InFile(absl::string_view name, const absl::Status& status);

// The format is told by the ending .npy or .csv, before .gz if there is one; else by the first bytes. Blocks.
// InvalidArgument names the file and says what is wrong: nothing there, a folder, empty, not readable, a .gz
// file that is damaged, too large, of another format.
absl::StatusOr<StoredFile> ReadStoredFile(const std::string& path);

}  // namespace train
}  // namespace glowworm

#endif  // GLOWWORM_MODEL_TRAIN_STORED_FILE_H_
