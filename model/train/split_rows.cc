// SplitRows(): a shuffle that is the same on every machine, and two cuts. Tested by
// tests/model/train/split_rows_test.cc.

#include <c10/util/Exception.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "model/train/data_set.h"

namespace glowworm {
namespace train {
namespace {

// 0 .. bound-1, each equally likely. The standard fixes mt19937_64's numbers, but not what std::shuffle and
// std::uniform_int_distribution make of them. REQUIRES: bound > 0
uint64_t Below(uint64_t bound, std::mt19937_64* random) {
  const uint64_t surplus = (0 - bound) % bound;  // 2^64 mod bound: so many draws would favour small numbers
  for (;;) {
    const uint64_t draw = (*random)();
    if (draw >= surplus) return draw % bound;
  }
}

torch::Tensor Shuffled(int64_t rows, uint64_t seed) {
  torch::Tensor index = torch::empty({rows}, torch::kInt64);
  int64_t* order = index.data_ptr<int64_t>();
  std::iota(order, order + rows, 0);
  std::mt19937_64 random(seed);
  for (int64_t left = rows; left > 1; --left) {
    std::swap(order[left - 1], order[Below(static_cast<uint64_t>(left), &random)]);
  }
  return index;
}

int64_t Share(int64_t rows, double fraction) {
  return static_cast<int64_t>(std::floor(static_cast<double>(rows) * fraction));
}

bool Enough(int64_t rows, double validation, double test) {
  const int64_t a = Share(rows, validation), b = Share(rows, test);
  return (a > 0 || validation == 0) && (b > 0 || test == 0) && a + b < rows;
}

// The fewest rows that give every part one.
int64_t RowsNeeded(double validation, double test) {
  constexpr double kMost = 1e15;  // floating-point numbers count exactly up to here
  int64_t rows = 1;
  for (double share : {validation, test}) {
    if (share > 0) rows = std::max(rows, static_cast<int64_t>(std::min(kMost, std::floor(1 / share))));
  }
  while (static_cast<double>(rows) < kMost && !Enough(rows, validation, test)) ++rows;
  return rows;
}

absl::Status CheckClasses(const DataSet& data) {
  if (!data.label.defined()) return absl::OkStatus();
  std::vector<bool> seen(static_cast<size_t>(data.num_classes), false);
  const int64_t* label = data.label.data_ptr<int64_t>();
  for (int64_t row = 0; row < data.rows(); ++row) seen[static_cast<size_t>(label[row])] = true;
  const auto absent = std::find(seen.begin(), seen.end(), false);
  if (absent == seen.end()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(data.name, ": class ", absent - seen.begin(),
                   " has no row; expected all classes from 0 to the largest label, ", data.num_classes - 1));
}

}  // namespace

absl::StatusOr<DataSplit> SplitRows(const DataSet& data, double validation_fraction, double test_fraction,
                                    uint64_t seed) {
  const int64_t rows = data.rows();
  if (!Enough(rows, validation_fraction, test_fraction)) {
    return absl::InvalidArgumentError(absl::StrCat(
        data.name, ": ", rows, " rows are too few to train, validate and test on; expected at least ",
        RowsNeeded(validation_fraction, test_fraction)));
  }
  absl::Status status = CheckClasses(data);
  if (!status.ok()) return status;
  const torch::Tensor order = Shuffled(rows, seed);
  const int64_t validation = Share(rows, validation_fraction), test = Share(rows, test_fraction);
  const int64_t train = rows - validation - test;
  try {
    return DataSplit{Rows(data, order.narrow(0, 0, train)), Rows(data, order.narrow(0, train, validation)),
                     Rows(data, order.narrow(0, train + validation, test))};
  } catch (const c10::Error&) {  // of libtorch's allocator
    return absl::ResourceExhaustedError(absl::StrCat(data.name, ": no memory for a second copy of its rows"));
  }
}

}  // namespace train
}  // namespace glowworm
