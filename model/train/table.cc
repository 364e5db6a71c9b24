// Table's checks and the reading of a whole file as one.

#include "model/train/table.h"

#include <cmath>
#include <numeric>
#include <utility>

#include "absl/strings/str_cat.h"
#include "model/train/columns.h"
#include "model/train/file_tensor.h"

namespace glowworm {
namespace train {

std::string Table::CellText(int64_t row, int64_t column) const {
  return absl::StrCat("row ", first_row + row, ", ", ColumnText(column, names));
}

absl::Status Table::CheckFinite(const std::vector<int64_t>& columns) const {
  const double* row_values = values.data_ptr<double>();
  for (int64_t row = 0; row < rows(); ++row, row_values += width()) {
    for (int64_t column : columns) {
      if (std::isfinite(row_values[column])) continue;
      return absl::InvalidArgumentError(
          absl::StrCat(CellText(row, column), ": expected a finite number, got ", row_values[column]));
    }
  }
  return absl::OkStatus();
}

absl::Status Table::CheckVaried(const std::vector<int64_t>& columns) const {
  const double* first = values.data_ptr<double>();
  for (int64_t column : columns) {
    int64_t row = 1;
    while (row < rows() && first[row * width() + column] == first[column]) ++row;
    if (row < rows()) continue;
    return absl::InvalidArgumentError(absl::StrCat(ColumnText(column, names), " is ", first[column],
                                                   " in every row; a constant has no density, leave it out"));
  }
  return absl::OkStatus();
}

torch::Tensor Table::Select(const std::vector<int64_t>& columns) const {
  return columns == AllColumns(width()) ? values : values.index_select(1, torch::tensor(columns));
}

absl::StatusOr<torch::Tensor> Table::Labels(int64_t column) const {
  const double* classes = values.data_ptr<double>() + column;
  torch::Tensor labels = torch::empty({rows()}, torch::kInt64);
  int64_t* label = labels.data_ptr<int64_t>();
  for (int64_t row = 0; row < rows(); ++row) {
    const double value = classes[row * width()];
    if (!(value >= 0 && value < kMaxClasses && value == std::floor(value))) {
      return absl::InvalidArgumentError(absl::StrCat(CellText(row, column),
                                                     ": expected a class, an integer from 0 to ",
                                                     kMaxClasses - 1, ", got ", value));
    }
    label[row] = static_cast<int64_t>(value);
  }
  return labels;
}

Table ArrayTable(const torch::Tensor& values) {
  return {(values.dim() == 1 ? values.unsqueeze(1) : values).to(torch::kFloat64), {}, 1};
}

absl::StatusOr<Table> ReadTable(const StoredFile& file, TableHeader header, client::NpyIntegers integers) {
  if (file.format == FileFormat::kCsv) {
    const absl::StatusOr<CsvHead> head = ReadCsvHead(file, ClientHeader(header));
    if (!head.ok()) return head.status();
    absl::StatusOr<torch::Tensor> values = ReadCsv(file, *head);
    if (!values.ok()) return values.status();
    return Table{*std::move(values), head->names, head->header ? 2 : 1};
  }
  const absl::StatusOr<torch::Tensor> values = ReadTensor(file, integers);
  if (!values.ok()) return values.status();
  if (values->dim() <= 2) return ArrayTable(*values);
  return InFile(file.name, absl::InvalidArgumentError(absl::StrCat("expected a table, got an array of ",
                                                                   values->dim(), " dimensions")));
}

std::vector<int64_t> AllColumns(int64_t width) {
  std::vector<int64_t> columns(static_cast<size_t>(width));
  std::iota(columns.begin(), columns.end(), 0);
  return columns;
}

client::CsvHeader ClientHeader(TableHeader header) {
  return header == TableHeader::kYes  ? client::CsvHeader::kYes
         : header == TableHeader::kNo ? client::CsvHeader::kNo
                                      : client::CsvHeader::kDetect;
}

}  // namespace train
}  // namespace glowworm
