// Rows of numbers as tests hand them around. Used by random_flow.h and flow_rows.h.

#ifndef GLOWWORM_TESTS_TESTING_ROWS_H_
#define GLOWWORM_TESTS_TESTING_ROWS_H_

#include <cstdint>
#include <vector>

#include "model/flow.h"

namespace glowworm {

// Rows for Encode (numbers are x) or Decode (numbers are z).
struct FlowRows {
  int64_t rows = 0;
  std::vector<double> numbers;   // (rows, D)
  std::vector<double> context;   // (rows, context_size)
  std::vector<int> class_label;  // (rows), -1 for the mixture

  std::vector<double> Numbers(int64_t row) const;
  std::vector<double> Context(int64_t row) const;
  // The rows that `index` lists, in its order; a row may be listed often.
  FlowRows Pick(const std::vector<int64_t>& index) const;
};

// Row `row` of `rows` rows of equal size.
std::vector<double> RowOf(const std::vector<double>& values, int64_t row, int64_t rows);

// `value` as it is after a round trip through `dtype`.
double RoundTo(double value, DataType dtype);

}  // namespace glowworm

#endif  // GLOWWORM_TESTS_TESTING_ROWS_H_
