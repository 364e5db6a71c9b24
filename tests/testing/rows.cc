// See rows.h.

#include "tests/testing/rows.h"

#include <algorithm>
#include <cmath>

namespace glowworm {

std::vector<double> RowOf(const std::vector<double>& values, int64_t row, int64_t rows) {
  const int64_t size = rows == 0 ? 0 : static_cast<int64_t>(values.size()) / rows;
  return {values.begin() + row * size, values.begin() + (row + 1) * size};
}

std::vector<double> FlowRows::Numbers(int64_t row) const { return RowOf(numbers, row, rows); }
std::vector<double> FlowRows::Context(int64_t row) const { return RowOf(context, row, rows); }

FlowRows FlowRows::Pick(const std::vector<int64_t>& index) const {
  FlowRows out;
  out.rows = static_cast<int64_t>(index.size());
  for (int64_t row : index) {
    const std::vector<double> row_numbers = Numbers(row), row_context = Context(row);
    out.numbers.insert(out.numbers.end(), row_numbers.begin(), row_numbers.end());
    out.context.insert(out.context.end(), row_context.begin(), row_context.end());
    out.class_label.push_back(class_label[row]);
  }
  return out;
}

double RoundTo(double value, DataType dtype) {
  switch (dtype) {
    case DataType::kFloat32:
      return static_cast<double>(static_cast<float>(value));
    case DataType::kFloat64:
      return value;
    case DataType::kUint8:
      return std::floor(std::min(255.0, std::max(0.0, value)));
  }
  return value;
}

}  // namespace glowworm
