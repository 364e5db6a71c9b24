// LoadDataSet(): a table or images, then what stands beside them; and the checks.

#include "model/train/data_set.h"

#include <c10/util/Exception.h>
#include <torch/nn/functional/padding.h>

#include <cmath>
#include <new>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "model/flow_file_parts.h"
#include "model/train/columns.h"
#include "model/train/file_tensor.h"
#include "model/train/stored_file.h"

namespace glowworm {
namespace train {
namespace {

constexpr int64_t kMaxClasses = 1 << 16;  // labels above it are taken for something else than classes
constexpr int64_t kMinRows = 2;

absl::Status Refuse(absl::string_view why) { return absl::InvalidArgumentError(why); }

// Numbers with what messages say about them.
struct Table {
  torch::Tensor values;            // (n, columns) float64
  std::vector<std::string> names;  // of the columns, or empty
  int64_t first_row = 1;           // how the first row is counted: 2 below a header
};

// Where row `row` and column `column` are in the file.
std::string CellText(const Table& table, int64_t row, int64_t column) {
  return absl::StrCat("row ", table.first_row + row, ", ", ColumnText(column, table.names));
}

absl::Status CheckFinite(const Table& table, const std::vector<int64_t>& columns) {
  const double* values = table.values.data_ptr<double>();
  for (int64_t row = 0; row < table.values.size(0); ++row, values += table.values.size(1)) {
    for (int64_t column : columns) {
      if (std::isfinite(values[column])) continue;
      return Refuse(
          absl::StrCat(CellText(table, row, column), ": expected a finite number, got ", values[column]));
    }
  }
  return absl::OkStatus();
}

absl::Status CheckRows(int64_t rows) {
  if (rows >= kMinRows) return absl::OkStatus();
  return Refuse(absl::StrCat("expected at least ", kMinRows, " rows, got ", rows));
}

absl::Status CheckNotConstant(const Table& table, const std::vector<int64_t>& columns) {
  const int64_t width = table.values.size(1);
  const double* values = table.values.data_ptr<double>();
  for (int64_t column : columns) {
    int64_t row = 1;
    while (row < table.values.size(0) && values[row * width + column] == values[column]) ++row;
    if (row < table.values.size(0)) continue;
    return Refuse(absl::StrCat(ColumnText(column, table.names), " is ", values[column],
                               " in every row; a constant has no density, so leave it out"));
  }
  return absl::OkStatus();
}

// Columns `columns` of the values, in that order; no copy where these are all of them.
torch::Tensor Select(const torch::Tensor& values, const std::vector<int64_t>& columns) {
  bool all = static_cast<int64_t>(columns.size()) == values.size(1);
  for (size_t i = 0; i < columns.size(); ++i) all = all && columns[i] == static_cast<int64_t>(i);
  return all ? values : values.index_select(1, torch::tensor(columns));
}

absl::Status TakeLabels(const Table& table, int64_t column, DataSet* set) {
  const int64_t rows = table.values.size(0), width = table.values.size(1);
  const double* values = table.values.data_ptr<double>();
  set->label = torch::empty({rows}, torch::kInt64);
  int64_t* label = set->label.data_ptr<int64_t>();
  for (int64_t row = 0; row < rows; ++row) {
    const double value = values[row * width + column];
    if (!(value >= 0 && value < kMaxClasses && value == std::floor(value))) {
      return Refuse(absl::StrCat(CellText(table, row, column), ": expected a class, an integer from 0 to ",
                                 kMaxClasses - 1, ", got ", value));
    }
    label[row] = static_cast<int64_t>(value);
    set->num_classes = std::max(set->num_classes, label[row] + 1);
  }
  return absl::OkStatus();
}

client::CsvHeader ClientHeader(TableHeader header) {
  return header == TableHeader::kYes  ? client::CsvHeader::kYes
         : header == TableHeader::kNo ? client::CsvHeader::kNo
                                      : client::CsvHeader::kDetect;
}

// Of a .npy or IDX file's (n) or (n, d) values.
Table ArrayTable(const torch::Tensor& values) {
  return {(values.dim() == 1 ? values.unsqueeze(1) : values).to(torch::kFloat64), {}, 1};
}

// A file of context or labels, whole.
absl::StatusOr<Table> ReadSideTable(const StoredFile& file, TableHeader header,
                                    client::NpyIntegers integers) {
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
  return InFile(file.name,
                Refuse(absl::StrCat("expected a table, got an array of ", values->dim(), " dimensions")));
}

absl::Status CheckCount(const Table& table, absl::string_view what, const DataSet& set) {
  if (table.values.size(0) == set.rows()) return absl::OkStatus();
  return Refuse(absl::StrCat(table.values.size(0), " rows of ", what, ", but ", set.name, " has ", set.rows(),
                             " rows"));
}

absl::Status LoadContext(const DataSource& source, DataSet* set) {
  const absl::StatusOr<StoredFile> file = ReadStoredFile(source.context);
  if (!file.ok()) return file.status();
  absl::StatusOr<Table> table = ReadSideTable(*file, source.header, client::NpyIntegers::kRefuse);
  if (!table.ok()) return table.status();
  std::vector<int64_t> columns(static_cast<size_t>(table->values.size(1)));
  for (size_t i = 0; i < columns.size(); ++i) columns[i] = static_cast<int64_t>(i);
  absl::Status status = CheckCount(*table, "context", *set);
  if (status.ok()) status = CheckFinite(*table, columns);
  set->context = table->values;
  return InFile(file->name, status);
}

absl::Status LoadLabels(const DataSource& source, DataSet* set) {
  const absl::StatusOr<StoredFile> file = ReadStoredFile(source.labels);
  if (!file.ok()) return file.status();
  const absl::StatusOr<Table> table = ReadSideTable(*file, source.header, client::NpyIntegers::kAsFloat64);
  if (!table.ok()) return table.status();
  absl::Status status = CheckCount(*table, "labels", *set);
  if (status.ok() && table->values.size(1) != 1) {
    status = Refuse(absl::StrCat("expected one label a row, got ", table->values.size(1), " columns"));
  }
  if (status.ok()) status = TakeLabels(*table, 0, set);
  return InFile(file->name, status);
}

absl::Status TakeTable(const Table& table, const TableColumns& columns, int64_t pad, DataSet* set) {
  if (pad != 0) return Refuse("padding is for images, the rows are of a table");
  if (static_cast<int64_t>(columns.features.size()) > kMaxChannels) {
    return Refuse(absl::StrCat(columns.features.size(), " features; a flow has at most ", kMaxChannels));
  }
  absl::Status status = CheckRows(table.values.size(0));
  if (status.ok()) status = CheckFinite(table, columns.features);
  if (status.ok()) status = CheckFinite(table, columns.context);
  if (status.ok()) status = CheckNotConstant(table, columns.features);
  if (status.ok() && columns.label >= 0) status = TakeLabels(table, columns.label, set);
  if (!status.ok()) return status;
  set->x = Select(table.values, columns.features);
  if (!columns.context.empty()) set->context = Select(table.values, columns.context);
  set->pixels = set->event.channels = set->x.size(1);
  for (int64_t column : columns.features) {
    if (!table.names.empty()) set->columns.push_back(table.names[static_cast<size_t>(column)]);
  }
  return absl::OkStatus();
}

// `array` is (n, h, w) or (n, c, h, w).
absl::Status TakeImages(const torch::Tensor& array, const DataSource& source, DataSet* set) {
  if (array.scalar_type() != torch::kUInt8) {
    return Refuse(
        absl::StrCat("an array of ", array.dim(),
                     " dimensions is read as images, which are uint8; it holds floating-point numbers"));
  }
  if (!source.columns.empty() || !source.context_columns.empty() || !source.label_column.empty()) {
    return Refuse("columns are chosen from a table, the rows are images");
  }
  const torch::Tensor images = array.dim() == 3 ? array.unsqueeze(1) : array;
  absl::Status status = CheckRows(images.size(0));
  if (!status.ok()) return status;
  // Each is below 2^31, so that the sums fit; pad is checked before it is used.
  if (source.pad < 0 || source.pad > kMaxEventSize) {
    return Refuse(absl::StrCat("padding by ", source.pad, " pixels; expected 0 to ", kMaxEventSize));
  }
  set->event = {images.size(1), images.size(2) + 2 * source.pad, images.size(3) + 2 * source.pad, true};
  set->pixels = images[0].numel();
  if (set->event.channels > kMaxChannels || set->event.positions() > kMaxEventSize ||
      set->event.size() > kMaxEventSize) {
    return Refuse(absl::StrCat("padded images have ", set->event.size(), " values; a flow has at most ",
                               kMaxEventSize));
  }
  namespace F = torch::nn::functional;
  const std::vector<int64_t> sides(4, source.pad);
  set->x = source.pad == 0 ? images : F::pad(images, F::PadFuncOptions(sides));
  return absl::OkStatus();
}

absl::Status LoadRows(const StoredFile& file, const DataSource& source, DataSet* set) {
  if (file.format == FileFormat::kCsv) {
    const absl::StatusOr<CsvHead> head = ReadCsvHead(file, ClientHeader(source.header));
    if (!head.ok()) return head.status();
    const absl::StatusOr<TableColumns> columns = ChooseColumns(source, head->names, head->columns);
    if (!columns.ok()) return InFile(file.name, columns.status());
    absl::StatusOr<torch::Tensor> values = ReadCsv(file, *head, columns->Ignored(head->columns));
    if (!values.ok()) return values.status();
    return InFile(file.name, TakeTable({*std::move(values), head->names, head->header ? 2 : 1}, *columns,
                                       source.pad, set));
  }
  const absl::StatusOr<torch::Tensor> array = ReadTensor(file);
  if (!array.ok()) return array.status();
  if (array->dim() == 3 || array->dim() == 4) return InFile(file.name, TakeImages(*array, source, set));
  if (array->dim() > 4 || (array->dim() == 1 && array->scalar_type() == torch::kUInt8)) {
    return InFile(file.name,
                  Refuse(absl::StrCat(
                      "expected images (n, h, w) or (n, c, h, w) or a table (n, d), got an array of shape ",
                      client::ShapeText({array->sizes().data(), array->sizes().size()}),
                      array->dim() == 1 ? ", which looks like labels" : "")));
  }
  const Table table = ArrayTable(*array);
  const absl::StatusOr<TableColumns> columns = ChooseColumns(source, {}, table.values.size(1));
  return InFile(file.name, columns.ok() ? TakeTable(table, *columns, source.pad, set) : columns.status());
}

absl::StatusOr<DataSet> Load(const DataSource& source) {
  DataSet set;
  {
    const absl::StatusOr<StoredFile> file = ReadStoredFile(source.data);
    if (!file.ok()) return file.status();
    set.name = file->name;
    set.sha256 = file->sha256;
    absl::Status status = LoadRows(*file, source, &set);
    if (!status.ok()) return status;
  }
  if (!source.context.empty() && !source.context_columns.empty()) {
    return Refuse("context comes from a file or from columns, not from both");
  }
  if (!source.labels.empty() && !source.label_column.empty()) {
    return Refuse("labels come from a file or from a column, not from both");
  }
  absl::Status status;
  if (!source.context.empty()) status = LoadContext(source, &set);
  if (status.ok() && !source.labels.empty()) status = LoadLabels(source, &set);
  if (!status.ok()) return status;
  return set;
}

std::string EventText(const EventShape& event) {
  if (!event.image) return absl::StrCat("rows of ", event.channels, " values");
  return absl::StrCat("images of ", event.channels, "x", event.height, "x", event.width);
}

int64_t ContextSize(const DataSet& set) { return set.context.defined() ? set.context.size(1) : 0; }

}  // namespace

absl::StatusOr<DataSet> LoadDataSet(const DataSource& source) {
  const auto no_memory = [&] {
    return absl::ResourceExhaustedError(absl::StrCat(FileName(source.data), ": no memory for its rows"));
  };
  try {
    return Load(source);
  } catch (const std::bad_alloc&) {
    return no_memory();
  } catch (const c10::Error&) {  // libtorch's allocator; shapes and indices were checked
    return no_memory();
  }
}

absl::Status CheckSameKind(const DataSet& data, const DataSet& other) {
  const auto refuse = [&](absl::string_view got, absl::string_view expected) {
    return Refuse(absl::StrCat(other.name, ": ", got, "; expected ", expected, " as in ", data.name));
  };
  if (!(data.event == other.event)) return refuse(EventText(other.event), EventText(data.event));
  if (ContextSize(data) != ContextSize(other)) {
    return refuse(absl::StrCat("context of ", ContextSize(other), " values"),
                  absl::StrCat(ContextSize(data), " values"));
  }
  if (data.label.defined() != other.label.defined()) {
    return refuse(other.label.defined() ? "labels" : "no labels", data.label.defined() ? "labels" : "none");
  }
  // Fewer classes are fine: not every class needs a row to be scored.
  if (other.num_classes > data.num_classes) {
    return refuse(absl::StrCat("label ", other.num_classes - 1),
                  absl::StrCat("labels below ", data.num_classes));
  }
  return absl::OkStatus();
}

DataSet Rows(const DataSet& data, const torch::Tensor& index) {
  DataSet rows = data;
  rows.x = data.x.index_select(0, index);
  if (data.context.defined()) rows.context = data.context.index_select(0, index);
  if (data.label.defined()) rows.label = data.label.index_select(0, index);
  return rows;
}

}  // namespace train
}  // namespace glowworm
