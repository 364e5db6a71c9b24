// RowWriter: CSV as it comes; .npy with its row count written first, patched in, or after holding everything
// back.

#include "client/row_writer.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/csv.h"

namespace glowworm {
namespace client {

absl::StatusOr<RowFormat> FormatOf(const std::string& name) {
  if (absl::EndsWithIgnoreCase(name, ".npy")) return RowFormat::kNpy;
  if (name == "-" || absl::EndsWithIgnoreCase(name, ".csv")) return RowFormat::kCsv;
  return absl::InvalidArgumentError(absl::StrCat("cannot tell the format of ", name,
                                                 "; expected a name ending in .npy or .csv, or --format"));
}

absl::StatusOr<std::unique_ptr<RowWriter>> RowWriter::Open(const std::string& name, int stdout_fd,
                                                           RowFormat format,
                                                           absl::optional<int64_t> total_rows,
                                                           NpyHeader empty) {
  absl::StatusOr<std::unique_ptr<ByteWriter>> bytes = ByteWriter::Open(name, stdout_fd);
  if (!bytes.ok()) return bytes.status();
  return std::unique_ptr<RowWriter>(new RowWriter(*std::move(bytes), format, total_rows, std::move(empty)));
}

absl::Status RowWriter::Write(const Array& rows) {
  if (rows.rows() == 0) return absl::OkStatus();
  rows_ += rows.rows();
  if (format_ == RowFormat::kCsv) {
    absl::Status status = bytes_->Write(CsvLines(rows));
    return status.ok() ? bytes_->Flush() : status;
  }
  if (!std::exchange(begun_, true)) {
    header_ = {rows.dtype, rows.shape};
    header_.shape[0] = total_rows_.value_or(0);
    if (total_rows_ || bytes_->CanPatch()) {
      absl::Status status = bytes_->Write(FormatNpyHeader(header_));
      if (!status.ok()) return status;
    }
  }
  if (total_rows_ || bytes_->CanPatch()) return bytes_->Write(rows.data);
  held_ += rows.data;
  return absl::OkStatus();
}

absl::Status RowWriter::Finish() {
  if (format_ == RowFormat::kNpy) {
    header_.shape[0] = rows_;
    const std::string header = FormatNpyHeader(header_);
    absl::Status status;
    if (!begun_) {
      status = bytes_->Write(header);
    } else if (!total_rows_ && bytes_->CanPatch()) {
      status = bytes_->Patch(0, header);
    } else if (!total_rows_) {
      status = bytes_->Write(header);
      if (status.ok()) status = bytes_->Write(held_);
    } else if (*total_rows_ != rows_) {
      status = absl::DataLossError(absl::StrCat("expected ", *total_rows_, " rows to write, got ", rows_));
    }
    if (!status.ok()) return status;
  }
  return bytes_->Finish();
}

}  // namespace client
}  // namespace glowworm
