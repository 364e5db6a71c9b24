// A stored file's numbers as one tensor. Entry: ReadTensor(). Tested by
// tests/model/train/file_tensor_test.cc.

#ifndef GLOWWORM_MODEL_TRAIN_FILE_TENSOR_H_
#define GLOWWORM_MODEL_TRAIN_FILE_TENSOR_H_

#include <torch/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "client/csv.h"
#include "client/npy.h"
#include "model/train/stored_file.h"

namespace glowworm {
namespace train {

// What is known of a CSV file from its first rows.
struct CsvHead {
  bool header = false;
  std::vector<std::string> names;  // of the columns; empty without a header
  int64_t columns = 0;
};

// InvalidArgument, with the file's name, here and below. A first row that is refused for text in it is no
// failure yet: its column may be one that nobody takes.
absl::StatusOr<CsvHead> ReadCsvHead(const StoredFile& file, client::CsvHeader header);

// (n, columns) float64. Fields of the `ignored` columns, counted from 0, are NaN.
absl::StatusOr<torch::Tensor> ReadCsv(const StoredFile& file, const CsvHead& head,
                                      const std::vector<bool>& ignored = {});

// Of a .npy or IDX file: uint8, or float64 for any other type, in the file's shape of at least one dimension.
// REQUIRES: the file is no CSV file
absl::StatusOr<torch::Tensor> ReadTensor(const StoredFile& file,
                                         client::NpyIntegers integers = client::NpyIntegers::kRefuse);

}  // namespace train
}  // namespace glowworm

#endif  // GLOWWORM_MODEL_TRAIN_FILE_TENSOR_H_
