// See flow_rows.h.

#include "tests/testing/flow_rows.h"

#include <cstring>

#include "absl/types/span.h"

namespace glowworm {
namespace {

template <typename T>
void AppendAs(double value, std::vector<unsigned char>& bytes) {
  const T typed = static_cast<T>(value);
  const size_t at = bytes.size();
  bytes.resize(at + sizeof(T));
  std::memcpy(bytes.data() + at, &typed, sizeof(T));
}

void Append(double value, DataType dtype, std::vector<unsigned char>& bytes) {
  switch (dtype) {
    case DataType::kFloat32:
      return AppendAs<float>(value, bytes);
    case DataType::kFloat64:
      return AppendAs<double>(value, bytes);
    case DataType::kUint8:
      return AppendAs<uint8_t>(value, bytes);
  }
}

int64_t Width(DataType dtype) {
  return dtype == DataType::kFloat64 ? 8 : dtype == DataType::kFloat32 ? 4 : 1;
}

// Numbers packed as `dtype`, one byte off any alignment.
class Packed {
 public:
  Packed(const std::vector<double>& values, int64_t rows, DataType dtype)
      : dtype_(dtype), row_bytes_(rows == 0 ? 0 : static_cast<int64_t>(values.size()) / rows * Width(dtype)) {
    bytes_.push_back(0);
    for (double v : values) Append(v, dtype, bytes_);
  }
  RowInput Row(int64_t row) const {
    if (row_bytes_ == 0) return {};
    return {bytes_.data() + 1 + row * row_bytes_, dtype_};
  }

 private:
  DataType dtype_;
  int64_t row_bytes_;
  std::vector<unsigned char> bytes_;
};

// Where rows of numbers come back.
class Returned {
 public:
  Returned(int64_t rows, int64_t size, DataType dtype)
      : dtype_(dtype),
        size_(size),
        float32_(dtype == DataType::kFloat32 ? rows * size : 0),
        float64_(dtype == DataType::kFloat32 ? 0 : rows * size) {}
  RowOutput Row(int64_t row) {
    if (dtype_ == DataType::kFloat32) return {float32_.data() + row * size_, dtype_};
    return {float64_.data() + row * size_, dtype_};
  }
  std::vector<double> Numbers() const {
    if (dtype_ == DataType::kFloat32) return {float32_.begin(), float32_.end()};
    return float64_;
  }

 private:
  DataType dtype_;
  int64_t size_;
  std::vector<float> float32_;   // (rows, size)
  std::vector<double> float64_;  // (rows, size)
};

}  // namespace

std::vector<double> FlowAnswer::Numbers(int64_t row) const {
  return RowOf(numbers, row, static_cast<int64_t>(status.size()));
}

FlowAnswer EncodeRows(const Flow& flow, const FlowRows& rows, const AnswerOptions& options) {
  const Packed x(rows.numbers, rows.rows, options.in);
  const Packed context(rows.context, rows.rows, DataType::kFloat64);
  Returned z(options.want_numbers ? rows.rows : 0, flow.info().latent_size, options.out);
  FlowAnswer answer;
  answer.log_likelihood.assign(rows.rows, -12345);
  answer.status.assign(rows.rows, RowStatus::kNonFiniteResult);
  if (flow.info().has_calibration) answer.tail_probability.assign(rows.rows, -12345);
  std::vector<EncodeRow> calls(rows.rows);
  for (int64_t i = 0; i < rows.rows; ++i) {
    calls[i].x = x.Row(i);
    calls[i].context = context.Row(i);
    calls[i].class_label = rows.class_label[i];
    if (options.want_numbers) calls[i].z = z.Row(i);
    calls[i].log_likelihood = &answer.log_likelihood[i];
    if (flow.info().has_calibration) calls[i].tail_probability = &answer.tail_probability[i];
    calls[i].status = &answer.status[i];
  }
  answer.computed = flow.Encode(absl::MakeConstSpan(calls));
  answer.numbers = z.Numbers();
  return answer;
}

FlowAnswer DecodeRows(const Flow& flow, const FlowRows& rows, const AnswerOptions& options) {
  const Packed z(rows.numbers, rows.rows, options.in);
  const Packed context(rows.context, rows.rows, DataType::kFloat64);
  Returned x(rows.rows, flow.info().event_size, options.out);
  FlowAnswer answer;
  answer.status.assign(rows.rows, RowStatus::kNonFiniteResult);
  std::vector<DecodeRow> calls(rows.rows);
  for (int64_t i = 0; i < rows.rows; ++i) {
    calls[i].z = z.Row(i);
    calls[i].context = context.Row(i);
    calls[i].x = x.Row(i);
    calls[i].status = &answer.status[i];
  }
  answer.computed = flow.Decode(absl::MakeConstSpan(calls));
  answer.numbers = x.Numbers();
  return answer;
}

FlowAnswer SampleRows(const Flow& flow, const SampleOptions& options) {
  const Packed context(options.context, 1, DataType::kFloat64);
  Returned x(options.rows, flow.info().event_size, options.out);
  FlowAnswer answer;
  answer.log_likelihood.assign(options.rows, -12345);
  answer.class_drawn.assign(options.rows, -1);
  answer.status.assign(options.rows, RowStatus::kNonFiniteResult);
  std::vector<SampleRow> calls(options.rows);
  for (int64_t i = 0; i < options.rows; ++i) {
    calls[i].seed = options.seed;
    calls[i].index = options.first_index + static_cast<uint64_t>(i);
    calls[i].temperature = options.temperature;
    calls[i].context = context.Row(0);
    calls[i].class_label = options.class_label;
    calls[i].x = x.Row(i);
    calls[i].log_likelihood = &answer.log_likelihood[i];
    calls[i].class_drawn = &answer.class_drawn[i];
    calls[i].status = &answer.status[i];
  }
  answer.computed = flow.Sample(absl::MakeConstSpan(calls));
  answer.numbers = x.Numbers();
  return answer;
}

bool SameBits(double a, double b) { return std::memcmp(&a, &b, sizeof(a)) == 0; }

bool SameBits(const std::vector<double>& a, const std::vector<double>& b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(double)) == 0);
}

}  // namespace glowworm
