// Rows through an Executor, without the façade: what a call answered, as plain vectors. Used by
// executor_test.cc, failure_test.cc and concurrency_test.cc.

#ifndef GLOWWORM_TESTS_MODEL_CUDA_EXECUTOR_ROWS_H_
#define GLOWWORM_TESTS_MODEL_CUDA_EXECUTOR_ROWS_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "model/executor.h"
#include "tests/testing/rows.h"

namespace glowworm::cuda {

struct ExecutorAnswer {
  absl::Status computed;
  std::vector<double> numbers;         // (rows, D): z of Encode, x of Decode and Sample
  std::vector<double> log_likelihood;  // (rows) of Encode
  std::vector<RowStatus> status;       // (rows)
};

inline const void* RowAt(const std::vector<double>& numbers, int64_t row, int64_t rows) {
  return numbers.empty() ? nullptr : numbers.data() + row * static_cast<int64_t>(numbers.size()) / rows;
}

inline ExecutorAnswer Encode(const Executor& executor, const FlowRows& rows) {
  const auto size = static_cast<int64_t>(rows.numbers.size()) / rows.rows;
  ExecutorAnswer out;
  out.numbers.resize(rows.numbers.size());
  out.log_likelihood.resize(rows.rows);
  out.status.resize(rows.rows);
  std::vector<EncodeRow> call(rows.rows);
  for (int64_t r = 0; r < rows.rows; ++r) {
    call[r].x.data = RowAt(rows.numbers, r, rows.rows);
    call[r].context.data = RowAt(rows.context, r, rows.rows);
    call[r].class_label = rows.class_label.empty() ? -1 : rows.class_label[r];
    call[r].z.data = out.numbers.data() + r * size;
    call[r].log_likelihood = &out.log_likelihood[r];
    call[r].status = &out.status[r];
  }
  out.computed = executor.Encode(call);
  return out;
}

inline ExecutorAnswer Decode(const Executor& executor, const FlowRows& rows) {
  const auto size = static_cast<int64_t>(rows.numbers.size()) / rows.rows;
  ExecutorAnswer out;
  out.numbers.resize(rows.numbers.size());
  out.status.resize(rows.rows);
  std::vector<DecodeRow> call(rows.rows);
  for (int64_t r = 0; r < rows.rows; ++r) {
    call[r].z.data = RowAt(rows.numbers, r, rows.rows);
    call[r].context.data = RowAt(rows.context, r, rows.rows);
    call[r].x.data = out.numbers.data() + r * size;
    call[r].status = &out.status[r];
  }
  out.computed = executor.Decode(call);
  return out;
}

// Samples first .. first + rows - 1 of a seed, of size D each. context: (rows, context_size).
inline ExecutorAnswer Sample(const Executor& executor, int64_t size, int64_t rows, uint64_t first,
                             const std::vector<double>& context) {
  ExecutorAnswer out;
  out.numbers.resize(rows * size);
  out.status.resize(rows);
  std::vector<SampleRow> call(rows);
  for (int64_t r = 0; r < rows; ++r) {
    call[r].seed = 7;
    call[r].index = first + static_cast<uint64_t>(r);
    call[r].context.data = RowAt(context, r, rows);
    call[r].x.data = out.numbers.data() + r * size;
    call[r].status = &out.status[r];
  }
  out.computed = executor.Sample(call);
  return out;
}

}  // namespace glowworm::cuda

#endif  // GLOWWORM_TESTS_MODEL_CUDA_EXECUTOR_ROWS_H_
