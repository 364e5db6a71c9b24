// RowWriter: rows of numbers to a .npy or CSV file or a pipe, as they come. Tested by
// tests/client/row_files_test.cc.

#ifndef GLOWWORM_CLIENT_ROW_WRITER_H_
#define GLOWWORM_CLIENT_ROW_WRITER_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "client/array.h"
#include "client/byte_writer.h"
#include "client/npy.h"

namespace glowworm {
namespace client {

enum class RowFormat { kCsv, kNpy };

// By extension; kCsv for "-". INVALID_ARGUMENT for another extension.
absl::StatusOr<RowFormat> FormatOf(const std::string& name);

// Not thread-safe. Failures: see ByteWriter.
class RowWriter {
 public:
  // A .npy begins with its number of rows: `total_rows` if known; else it is put in at the end, and a pipe,
  // which has no way back, gets everything at the end. `empty`: dtype and row shape of an output that gets no
  // rows.
  static absl::StatusOr<std::unique_ptr<RowWriter>> Open(const std::string& name, int stdout_fd,
                                                         RowFormat format, absl::optional<int64_t> total_rows,
                                                         NpyHeader empty);

  // All rows of one output have one type and row shape. A pipe sees them at once.
  absl::Status Write(const Array& rows);
  absl::Status Finish();

 private:
  RowWriter(std::unique_ptr<ByteWriter> bytes, RowFormat format, absl::optional<int64_t> total_rows,
            NpyHeader header)
      : bytes_(std::move(bytes)), format_(format), total_rows_(total_rows), header_(std::move(header)) {}

  const std::unique_ptr<ByteWriter> bytes_;
  const RowFormat format_;
  const absl::optional<int64_t> total_rows_;
  NpyHeader header_;
  bool begun_ = false;
  int64_t rows_ = 0;
  std::string held_;  // .npy values for a pipe of unknown length
};

}  // namespace client
}  // namespace glowworm

#endif  // GLOWWORM_CLIENT_ROW_WRITER_H_
