// DataSet: rows to train on, read whole into memory and checked. Entries: LoadDataSet(), SplitRows().
// Tested by tests/model/train/data_set_test.cc.

#ifndef GLOWWORM_MODEL_TRAIN_DATA_SET_H_
#define GLOWWORM_MODEL_TRAIN_DATA_SET_H_

#include <torch/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "model/flow_spec.h"

namespace glowworm {
namespace train {

enum class TableHeader { kDetect, kYes, kNo };

// Where rows come from. Columns are listed by name or by number from 1, with ranges: "age,3,7-9".
struct DataSource {
  std::string data;                           // a .npy, .csv or IDX file, or one of these with .gz
  TableHeader header = TableHeader::kDetect;  // of every CSV file
  std::string columns;                        // of a table: the features; empty: all that nothing else takes
  std::string context_columns;                // of a table: what the density is conditioned on; empty: none
  std::string label_column;                   // of a table: the class, an integer 0 .. K-1; empty: none
  std::string context;                        // a file (n, s); empty: none
  std::string labels;                         // a file (n); empty: none
  int64_t pad = 0;                            // black pixels added on each side of an image
  bool only_evaluated = false;                // a feature may be constant: nothing is learned from these rows
};

struct DataSet {
  std::string name;    // the file's name, without folders
  std::string sha256;  // of the file's bytes
  EventShape event;
  torch::Tensor x;                   // (n, D) float64, or (n, C, H, W) uint8
  torch::Tensor context;             // (n, s) float64, or undefined
  torch::Tensor label;               // (n) int64, or undefined
  int64_t num_classes = 0;           // 1 + the largest label; 0 without labels
  int64_t pixels = 0;                // values of an image before it was padded; of a table, D
  std::vector<std::string> columns;  // names of a table's features, where it has names

  int64_t rows() const { return x.defined() ? x.size(0) : 0; }
};

// InvalidArgument, in one sentence that names the file without its folders, the row and the column: a file
// that cannot be read or is of another type, ragged rows, text where a number belongs (a column that nothing
// takes may hold any text), missing or infinite values ("nan", "inf", an empty field), a column that is not
// there or is used twice, fewer than 2 rows, a constant feature, labels that are not integers from 0 or are
// not as many as the rows, context or labels both as a file and as columns. Images are uint8, (n, h, w) or
// (n, c, h, w); padding and columns are refused where the rows are of the other kind. ResourceExhausted
// without the memory for a file's content and its numbers at once.
absl::StatusOr<DataSet> LoadDataSet(const DataSource& source);

// InvalidArgument unless rows of `other` can be evaluated by a flow trained on `data`: the same event,
// context size, and labels or not, none beyond the classes of `data`; named features not in another order.
absl::Status CheckSameKind(const DataSet& data, const DataSet& other);

// Rows `index`, (k) int64, of `data`, in that order.
DataSet Rows(const DataSet& data, const torch::Tensor& index);

struct DataSplit {
  DataSet train, validation, test;
};
// Shuffles by `seed` and cuts; every part has at least one row, else InvalidArgument says how many rows are
// needed; with labels also unless every class has a row. The same rows and seed give the same parts on every
// machine. ResourceExhausted without the memory for a copy. REQUIRES: fractions > 0, sum < 1
absl::StatusOr<DataSplit> SplitRows(const DataSet& data, double validation_fraction, double test_fraction,
                                    uint64_t seed);

}  // namespace train
}  // namespace glowworm

#endif  // GLOWWORM_MODEL_TRAIN_DATA_SET_H_
