// RowReader: picks the format and passes on.

#include "client/row_reader.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace glowworm {
namespace client {

absl::StatusOr<std::unique_ptr<RowReader>> RowReader::Open(const std::string& name, int stdin_fd,
                                                           CsvHeader header) {
  absl::StatusOr<std::unique_ptr<ByteReader>> bytes = ByteReader::Open(name, stdin_fd);
  if (!bytes.ok()) return bytes.status();
  bool npy = absl::EndsWithIgnoreCase(name, ".npy");
  if (!npy && !absl::EndsWithIgnoreCase(name, ".csv")) {
    absl::StatusOr<std::string> start = (*bytes)->Peek(kNpyMagicSize);
    if (!start.ok()) return start.status();
    npy = *start == std::string(kNpyMagic, kNpyMagicSize);
  }
  std::unique_ptr<RowReader> reader(new RowReader);
  if (npy) {
    absl::StatusOr<std::unique_ptr<NpyReader>> rows = NpyReader::Create(*std::move(bytes));
    if (!rows.ok()) return rows.status();
    reader->npy_ = *std::move(rows);
  } else {
    reader->csv_ = std::make_unique<CsvReader>(*std::move(bytes), header);
  }
  return reader;
}

absl::StatusOr<Array> RowReader::Next(int64_t max_rows, bool may_wait, bool* later) {
  absl::StatusOr<Array> rows =
      npy_ ? npy_->Next(max_rows, may_wait, later) : csv_->Next(max_rows, may_wait, later);
  if (rows.ok() && rows->shape.size() == 1) rows->shape.push_back(1);
  return rows;
}

absl::StatusOr<Array> RowReader::Take(int64_t count) {
  Array all;
  while (all.rows() < count) {
    bool later = false;
    absl::StatusOr<Array> rows = Next(count - all.rows(), /*may_wait=*/true, &later);
    if (!rows.ok()) return rows.status();
    if (rows->rows() == 0) return all.empty() ? *rows : all;
    absl::Status status = all.Append(*rows);
    if (!status.ok()) return status;
  }
  return all;
}

absl::optional<int64_t> RowReader::total_rows() const {
  if (!npy_) return absl::nullopt;
  return npy_->header().shape[0];
}

absl::StatusOr<Array> ReadAllRows(const std::string& name, int stdin_fd, int64_t max_rows) {
  absl::StatusOr<std::unique_ptr<RowReader>> reader = RowReader::Open(name, stdin_fd);
  if (!reader.ok()) return reader.status();
  absl::StatusOr<Array> rows = (*reader)->Take(max_rows + 1);
  if (rows.ok() && rows->rows() > max_rows) {
    return absl::InvalidArgumentError(absl::StrCat(name, ": more than ", max_rows, " rows"));
  }
  return rows;
}

}  // namespace client
}  // namespace glowworm
