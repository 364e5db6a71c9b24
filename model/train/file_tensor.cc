// From a stored file's bytes to a tensor, by the client's readers, block by block: beside the file and the
// tensor there is never more than a block.

#include "model/train/file_tensor.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "client/array.h"
#include "client/byte_reader.h"
#include "model/train/idx.h"

namespace glowworm {
namespace train {
namespace {

constexpr int64_t kBlockBytes = 1 << 20;

int64_t RowsPerBlock(int64_t row_bytes) {
  return std::max<int64_t>(1, kBlockBytes / std::max<int64_t>(1, row_bytes));
}

// Copies `rows` into `values` from row `at` on. REQUIRES: the same shape of rows; uint8 stays uint8
void CopyRows(const client::Array& rows, int64_t at, torch::Tensor* values) {
  const int64_t begin = at * rows.RowSize();
  if (values->scalar_type() == torch::kUInt8) {
    std::memcpy(values->data_ptr<uint8_t>() + begin, rows.data.data(), rows.data.size());
    return;
  }
  const std::vector<double> numbers = rows.ToDoubles();
  std::copy(numbers.begin(), numbers.end(), values->data_ptr<double>() + begin);
}

absl::StatusOr<torch::Tensor> ReadNpy(const StoredFile& file, client::NpyIntegers integers) {
  auto reader = client::NpyReader::Create(client::ByteReader::OfMemory(file.name, file.content), integers);
  if (!reader.ok()) return reader.status();
  const client::NpyHeader& header = (*reader)->header();
  const bool bytes = header.dtype == v1::DATA_TYPE_UINT8;
  torch::Tensor values = torch::empty(header.shape, bytes ? torch::kUInt8 : torch::kFloat64);
  const int64_t size = header.shape[0] == 0 ? 0 : values.numel() / header.shape[0] * 8;
  for (int64_t at = 0;;) {
    bool later = false;
    absl::StatusOr<client::Array> rows = (*reader)->Next(RowsPerBlock(size), /*may_wait=*/true, &later);
    if (!rows.ok()) return rows.status();
    if (rows->rows() == 0) return values;
    CopyRows(*rows, at, &values);
    at += rows->rows();
  }
}

absl::StatusOr<torch::Tensor> ReadIdx(const StoredFile& file) {
  absl::StatusOr<IdxArray> array = ParseIdx(file.content);
  if (!array.ok()) return InFile(file.name, array.status());
  torch::Tensor values = torch::empty(array->shape, torch::kUInt8);
  std::memcpy(values.data_ptr<uint8_t>(), array->values.data(), array->values.size());
  return values;
}

// No CSV file of this text has more rows: a row ends with a line or the text, and has a byte a column. Memory
// that is asked for and not written to costs nothing, so that too many are no harm.
int64_t MostRows(const std::string& text, int64_t columns) {
  const int64_t lines =
      std::count_if(text.begin(), text.end(), [](char c) { return c == '\n' || c == '\r'; });
  return 1 + std::min(lines, static_cast<int64_t>(text.size()) / columns);
}

}  // namespace

absl::StatusOr<CsvHead> ReadCsvHead(const StoredFile& file, client::CsvHeader header) {
  client::CsvReader reader(client::ByteReader::OfMemory(file.name, file.content), header);
  bool later = false;
  absl::StatusOr<client::Array> row = reader.Next(1, /*may_wait=*/true, &later);
  if (reader.columns() == 0) {
    return row.ok() ? InFile(file.name, absl::InvalidArgumentError("the file has no rows")) : row.status();
  }
  return CsvHead{!reader.names().empty(), reader.names(), reader.columns()};
}

absl::StatusOr<torch::Tensor> ReadCsv(const StoredFile& file, const CsvHead& head,
                                      const std::vector<bool>& ignored) {
  client::CsvReader reader(client::ByteReader::OfMemory(file.name, file.content),
                           head.header ? client::CsvHeader::kYes : client::CsvHeader::kNo, ignored);
  torch::Tensor values = torch::empty({MostRows(file.content, head.columns), head.columns}, torch::kFloat64);
  for (int64_t at = 0;;) {
    bool later = false;
    absl::StatusOr<client::Array> rows =
        reader.Next(RowsPerBlock(head.columns * int64_t{sizeof(double)}), /*may_wait=*/true, &later);
    if (!rows.ok()) return rows.status();
    if (rows->rows() == 0) return values.narrow(0, 0, at);
    CopyRows(*rows, at, &values);
    at += rows->rows();
  }
}

absl::StatusOr<torch::Tensor> ReadTensor(const StoredFile& file, client::NpyIntegers integers) {
  return file.format == FileFormat::kIdx ? ReadIdx(file) : ReadNpy(file, integers);
}

}  // namespace train
}  // namespace glowworm
