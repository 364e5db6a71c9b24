// LoadDataSet(): a table or images, then what stands beside them. A file's content is given back before
// columns are copied or images padded.

#include "model/train/data_set.h"

#include <c10/util/Exception.h>
#include <torch/nn/functional/padding.h>

#include <algorithm>
#include <new>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "model/flow_file_parts.h"
#include "model/train/columns.h"
#include "model/train/file_tensor.h"
#include "model/train/stored_file.h"
#include "model/train/table.h"

namespace glowworm {
namespace train {
namespace {

constexpr int64_t kMinRows = 2;

absl::Status Refuse(absl::string_view why) { return absl::InvalidArgumentError(why); }

// Assigning an empty string would keep the memory.
void Release(std::string* text) { std::string().swap(*text); }

absl::Status CheckRows(int64_t rows) {
  if (rows >= kMinRows) return absl::OkStatus();
  return Refuse(absl::StrCat("expected at least ", kMinRows, " rows, got ", rows));
}

absl::Status TakeLabels(const Table& table, int64_t column, DataSet* set) {
  absl::StatusOr<torch::Tensor> labels = table.Labels(column);
  if (!labels.ok()) return labels.status();
  set->label = *std::move(labels);
  set->num_classes = 1 + set->label.max().item<int64_t>();
  return absl::OkStatus();
}

absl::Status TakeTable(const Table& table, const TableColumns& columns, const DataSource& source,
                       DataSet* set) {
  if (source.pad != 0) return Refuse("padding is for images, the rows are those of a table");
  if (static_cast<int64_t>(columns.features.size()) > kMaxChannels) {
    return Refuse(absl::StrCat(columns.features.size(), " features; a flow has at most ", kMaxChannels));
  }
  absl::Status status = CheckRows(table.rows());
  if (status.ok()) status = table.CheckFinite(columns.features);
  if (status.ok()) status = table.CheckFinite(columns.context);
  if (status.ok() && !source.only_evaluated) status = table.CheckVaried(columns.features);
  if (status.ok() && columns.label >= 0) status = TakeLabels(table, columns.label, set);
  if (!status.ok()) return status;
  set->x = table.Select(columns.features);
  if (!columns.context.empty()) set->context = table.Select(columns.context);
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
                     " dimensions holds images, which are read as uint8; got floating-point numbers"));
  }
  if (!source.columns.empty() || !source.context_columns.empty() || !source.label_column.empty()) {
    return Refuse("columns are chosen from a table, the rows are images");
  }
  const torch::Tensor images = array.dim() == 3 ? array.unsqueeze(1) : array;
  absl::Status status = CheckRows(images.size(0));
  if (!status.ok()) return status;
  if (source.pad < 0 || source.pad > kMaxEventSize) {
    return Refuse(absl::StrCat("padding by ", source.pad, " pixels; expected 0 to ", kMaxEventSize));
  }
  set->pixels = images[0].numel();
  if (set->pixels == 0) return Refuse("images without pixels");
  set->event = {images.size(1), images.size(2) + 2 * source.pad, images.size(3) + 2 * source.pad, true};
  if (set->event.channels > kMaxChannels || set->event.height > kMaxEventSize / set->event.width ||
      set->event.positions() > kMaxEventSize / set->event.channels) {
    return Refuse(absl::StrCat("images of ", set->event.channels, "x", set->event.height, "x",
                               set->event.width, " values; a flow has at most ", kMaxChannels,
                               " channels and ", kMaxEventSize, " values"));
  }
  namespace F = torch::nn::functional;
  set->x = source.pad == 0 ? images : F::pad(images, F::PadFuncOptions(std::vector<int64_t>(4, source.pad)));
  return absl::OkStatus();
}

absl::Status LoadCsv(StoredFile* file, const DataSource& source, DataSet* set) {
  const absl::StatusOr<CsvHead> head = ReadCsvHead(*file, ClientHeader(source.header));
  if (!head.ok()) return head.status();
  const absl::StatusOr<TableColumns> columns = ChooseColumns(source, head->names, head->columns);
  if (!columns.ok()) return InFile(file->name, columns.status());
  absl::StatusOr<torch::Tensor> values = ReadCsv(*file, *head, columns->Ignored(head->columns));
  if (!values.ok()) return values.status();
  Release(&file->content);
  const Table table = {*std::move(values), head->names, head->header ? 2 : 1};
  return InFile(file->name, TakeTable(table, *columns, source, set));
}

absl::Status LoadArray(StoredFile* file, const DataSource& source, DataSet* set) {
  const absl::StatusOr<torch::Tensor> array = ReadTensor(*file);
  if (!array.ok()) return array.status();
  Release(&file->content);
  const auto dimensions = array->dim();
  if (dimensions == 3 || dimensions == 4) return InFile(file->name, TakeImages(*array, source, set));
  if (dimensions > 4) {
    return InFile(file->name,
                  Refuse(absl::StrCat("an array of ", dimensions,
                                      " dimensions; expected images (n, h, w) or (n, c, h, w), or a "
                                      "table (n, d)")));
  }
  if (dimensions == 1 && array->scalar_type() == torch::kUInt8) {
    return InFile(file->name,
                  Refuse("one unsigned byte a row: these are labels; expected images or a table"));
  }
  const Table table = ArrayTable(*array);
  const absl::StatusOr<TableColumns> columns = ChooseColumns(source, {}, table.width());
  return InFile(file->name, columns.ok() ? TakeTable(table, *columns, source, set) : columns.status());
}

absl::Status LoadRows(const DataSource& source, DataSet* set) {
  absl::StatusOr<StoredFile> file = ReadStoredFile(source.data);
  if (!file.ok()) return file.status();
  set->name = file->name;
  set->sha256 = file->sha256;
  return file->format == FileFormat::kCsv ? LoadCsv(&*file, source, set) : LoadArray(&*file, source, set);
}

absl::Status CheckCount(const Table& table, absl::string_view what, const DataSet& set) {
  if (table.rows() == set.rows()) return absl::OkStatus();
  return Refuse(absl::StrCat(table.rows(), " rows of ", what, "; expected ", set.rows(), ", as many as ",
                             set.name, " has"));
}

absl::Status LoadContext(const DataSource& source, DataSet* set) {
  const absl::StatusOr<StoredFile> file = ReadStoredFile(source.context);
  if (!file.ok()) return file.status();
  absl::StatusOr<Table> table = ReadTable(*file, source.header, client::NpyIntegers::kRefuse);
  if (!table.ok()) return table.status();
  absl::Status status = CheckCount(*table, "context", *set);
  if (status.ok()) status = table->CheckFinite(AllColumns(table->width()));
  set->context = table->values;
  return InFile(file->name, status);
}

absl::Status LoadLabels(const DataSource& source, DataSet* set) {
  const absl::StatusOr<StoredFile> file = ReadStoredFile(source.labels);
  if (!file.ok()) return file.status();
  const absl::StatusOr<Table> table = ReadTable(*file, source.header, client::NpyIntegers::kAsFloat64);
  if (!table.ok()) return table.status();
  absl::Status status = CheckCount(*table, "labels", *set);
  if (status.ok() && table->width() != 1) {
    status = Refuse(absl::StrCat("expected one label a row, got ", table->width(), " columns"));
  }
  if (status.ok()) status = TakeLabels(*table, 0, set);
  return InFile(file->name, status);
}

absl::StatusOr<DataSet> Load(const DataSource& source) {
  if (!source.context.empty() && !source.context_columns.empty()) {
    return Refuse("context comes from a file or from columns, not from both");
  }
  if (!source.labels.empty() && !source.label_column.empty()) {
    return Refuse("labels come from a file or from a column, not from both");
  }
  DataSet set;
  absl::Status status = LoadRows(source, &set);
  if (status.ok() && !source.context.empty()) status = LoadContext(source, &set);
  if (status.ok() && !source.labels.empty()) status = LoadLabels(source, &set);
  if (!status.ok()) return status;
  return set;
}

std::string EventText(const EventShape& event) {
  if (!event.image) return absl::StrCat("rows of ", event.channels, " values");
  return absl::StrCat("images of ", event.channels, "x", event.height, "x", event.width);
}

bool Contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

std::string Quoted(absl::string_view name) { return absl::StrCat("\"", absl::CHexEscape(name), "\""); }

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
  } catch (const c10::Error&) {  // of libtorch's allocator: shapes and indices were checked
    return no_memory();
  }
}

absl::Status CheckSameKind(const DataSet& data, const DataSet& other) {
  const auto refuse = [&](absl::string_view got, absl::string_view expected) {
    return InFile(other.name, Refuse(absl::StrCat(got, "; expected ", expected, " as in ", data.name)));
  };
  if (!(data.event == other.event)) return refuse(EventText(other.event), EventText(data.event));
  for (size_t i = 0; i < std::min(data.columns.size(), other.columns.size()); ++i) {
    const std::string& name = other.columns[i];
    // Other names for the same features are fine, the same names at other places are not.
    if (name == data.columns[i] || !Contains(data.columns, name)) continue;
    return refuse(absl::StrCat("feature ", i + 1, " is named ", Quoted(name)), Quoted(data.columns[i]));
  }
  if (ContextSize(data) != ContextSize(other)) {
    return refuse(absl::StrCat(ContextSize(other), " values of context a row"),
                  absl::StrCat(ContextSize(data)));
  }
  if (data.label.defined() != other.label.defined()) {
    return refuse(other.label.defined() ? "labels" : "no labels", data.label.defined() ? "labels" : "none");
  }
  // Fewer classes are fine: rows of some classes can be evaluated without rows of the others.
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
