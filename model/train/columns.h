// Which column of a table becomes what. Entry: ChooseColumns(). Tested by tests/model/train/columns_test.cc.

#ifndef GLOWWORM_MODEL_TRAIN_COLUMNS_H_
#define GLOWWORM_MODEL_TRAIN_COLUMNS_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "model/train/data_set.h"

namespace glowworm {
namespace train {

// Counted from 0, in the order in which they were listed.
struct TableColumns {
  std::vector<int64_t> features;
  std::vector<int64_t> context;
  int64_t label = -1;  // -1: none

  // Of `width` columns, those that are nothing of the above.
  std::vector<bool> Ignored(int64_t width) const;
};

// `source`'s columns in a table of `width` columns with these names, of which there may be none. An item of a
// list is a name if there is one like it, else a number from 1 or a range of them. InvalidArgument, without
// the file's name: a column that is not there, a name that two columns have, a list that cannot be read, a
// column used twice, no column left for the features, more than one label column.
absl::StatusOr<TableColumns> ChooseColumns(const DataSource& source, const std::vector<std::string>& names,
                                           int64_t width);

// For messages: "column 3", and its name where it has one.
std::string ColumnText(int64_t column, const std::vector<std::string>& names);

}  // namespace train
}  // namespace glowworm

#endif  // GLOWWORM_MODEL_TRAIN_COLUMNS_H_
