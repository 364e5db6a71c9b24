// Conveniences around model/flow.h: rows as plain vectors in, answers as plain vectors out. Input bytes lie
// at odd addresses on purpose, since rows may have any alignment. Used by the tests of model/.

#ifndef GLOWWORM_TESTS_TESTING_FLOW_ROWS_H_
#define GLOWWORM_TESTS_TESTING_FLOW_ROWS_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "model/flow.h"
#include "tests/testing/rows.h"

namespace glowworm {

struct FlowAnswer {
  absl::Status computed;                 // of the call; the rest counts only if it is OK
  std::vector<double> numbers;           // (rows, D): z of Encode, x of Decode and Sample
  std::vector<double> log_likelihood;    // (rows), not of Decode
  std::vector<double> tail_probability;  // (rows), of Encode where the flow has a calibration
  std::vector<int32_t> class_drawn;      // (rows), of Sample
  std::vector<RowStatus> status;         // (rows)

  std::vector<double> Numbers(int64_t row) const;
};

struct AnswerOptions {
  DataType in = DataType::kFloat64;
  DataType out = DataType::kFloat64;
  bool want_numbers = true;  // z of Encode
};

FlowAnswer EncodeRows(const Flow& flow, const FlowRows& rows, const AnswerOptions& options = {});
FlowAnswer DecodeRows(const Flow& flow, const FlowRows& rows, const AnswerOptions& options = {});

struct SampleOptions {
  uint64_t seed = 0;
  uint64_t first_index = 0;
  int64_t rows = 1;
  double temperature = 1;
  int class_label = -1;
  std::vector<double> context;  // (context_size), for all rows
  DataType out = DataType::kFloat64;
};
FlowAnswer SampleRows(const Flow& flow, const SampleOptions& options);

// True if both have the same bits; NaNs of the same bits are the same.
bool SameBits(const std::vector<double>& a, const std::vector<double>& b);
bool SameBits(double a, double b);

}  // namespace glowworm

#endif  // GLOWWORM_TESTS_TESTING_FLOW_ROWS_H_
