// RowReader: rows of numbers from a .npy or CSV file or a pipe, block by block; context rows beside them.
// Tested by tests/client/row_files_test.cc.

#ifndef GLOWWORM_CLIENT_ROW_READER_H_
#define GLOWWORM_CLIENT_ROW_READER_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "client/array.h"
#include "client/csv.h"
#include "client/npy.h"

namespace glowworm {
namespace client {

// Not thread-safe. Failures are INVALID_ARGUMENT and name the input.
class RowReader {
 public:
  // By extension: .npy or .csv. Anything else, "-" (`stdin_fd`) among it, is CSV unless it begins with .npy's
  // magic bytes; to see that, this waits for six bytes.
  static absl::StatusOr<std::unique_ptr<RowReader>> Open(const std::string& name, int stdin_fd,
                                                         CsvHeader header = CsvHeader::kDetect);

  // The next rows, at most max_rows; none at the end. Without may_wait none may also mean that none has come
  // yet, and *later is set. A one-dimensional .npy is rows of one value. REQUIRES: max_rows > 0
  absl::StatusOr<Array> Next(int64_t max_rows, bool may_wait, bool* later);
  // Blocks for exactly `count` rows, or fewer at the end.
  absl::StatusOr<Array> Take(int64_t count);

  v1::DataType dtype() const { return npy_ ? npy_->header().dtype : v1::DATA_TYPE_FLOAT64; }
  // Rows in all, if known beforehand.
  absl::optional<int64_t> total_rows() const;

 private:
  RowReader() = default;

  std::unique_ptr<NpyReader> npy_;  // one of the two
  std::unique_ptr<CsvReader> csv_;
};

// All rows, at most max_rows. INVALID_ARGUMENT if there are more.
absl::StatusOr<Array> ReadAllRows(const std::string& name, int stdin_fd, int64_t max_rows);

}  // namespace client
}  // namespace glowworm

#endif  // GLOWWORM_CLIENT_ROW_READER_H_
