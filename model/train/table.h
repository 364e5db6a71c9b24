// Table: rows of numbers and what messages call them; its checks. Tested by
// tests/model/train/data_set_test.cc.

#ifndef GLOWWORM_MODEL_TRAIN_TABLE_H_
#define GLOWWORM_MODEL_TRAIN_TABLE_H_

#include <torch/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/csv.h"
#include "client/npy.h"
#include "model/train/data_set.h"
#include "model/train/stored_file.h"

namespace glowworm {
namespace train {

inline constexpr int64_t kMaxClasses = 1 << 16;  // labels from there on are taken for something else

// Failures are InvalidArgument, without the file's name unless a comment says otherwise.
struct Table {
  torch::Tensor values;            // (n, width) float64, contiguous
  std::vector<std::string> names;  // of the columns, or empty
  int64_t first_row = 1;           // how the first row is counted: 2 below a header

  int64_t rows() const { return values.size(0); }
  int64_t width() const { return values.size(1); }

  // No NaN and no infinity in `columns`; the first one is named by row and column.
  absl::Status CheckFinite(const std::vector<int64_t>& columns) const;
  // Each of `columns` has two different values. REQUIRES: rows() > 0
  absl::Status CheckVaried(const std::vector<int64_t>& columns) const;
  // (n, k) of k columns in their order; the values themselves where these are all of them.
  torch::Tensor Select(const std::vector<int64_t>& columns) const;
  // (n) int64 of a column of classes: integers from 0, below kMaxClasses.
  absl::StatusOr<torch::Tensor> Labels(int64_t column) const;

 private:
  // "row 3, column 2".
  std::string CellText(int64_t row, int64_t column) const;
};

// Of a .npy or IDX file's (n) or (n, width) values.
Table ArrayTable(const torch::Tensor& values);

// A whole file of context or labels. Failures name the file.
absl::StatusOr<Table> ReadTable(const StoredFile& file, TableHeader header, client::NpyIntegers integers);

// 0 .. width-1.
std::vector<int64_t> AllColumns(int64_t width);

client::CsvHeader ClientHeader(TableHeader header);

}  // namespace train
}  // namespace glowworm

#endif  // GLOWWORM_MODEL_TRAIN_TABLE_H_
