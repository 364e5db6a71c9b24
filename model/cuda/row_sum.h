// SumRows: one float64 sum a row, in one fixed order whatever the tile. Used for log-dets, log densities and
// flags. Tested by tests/model/cuda/kernel_test.cc.

#ifndef GLOWWORM_MODEL_CUDA_ROW_SUM_H_
#define GLOWWORM_MODEL_CUDA_ROW_SUM_H_

#include <cmath>
#include <cstdint>
#include <limits>

#include "model/cuda/launch.h"
#include "model/cuda/tile.h"

namespace glowworm::cuda {

// Numbers that one thread adds up: a row's sum is that of its segments' sums, in order.
inline constexpr int64_t kSegment = 32;

// partial(row, segment) = sum of value(number) over a segment.
template <typename Value>
struct SumSegment {
  int64_t per_row, segments;
  Value value;
  double* partial;  // (rows, segments)

  GLOWWORM_BODY void operator()(int64_t i) const {
    const int64_t begin = i % segments * kSegment;
    const int64_t end = begin + kSegment < per_row ? begin + kSegment : per_row;
    const int64_t row = i / segments * per_row;
    double sum = 0;
    for (int64_t j = begin; j < end; ++j) sum += value(row + j);
    partial[i] = sum;
  }
};

// finish(row, sum over the row's segments).
template <typename Finish>
struct FinishRow {
  int64_t segments;
  const double* partial;  // (rows, segments)
  Finish finish;

  GLOWWORM_BODY void operator()(int64_t row) const {
    double sum = 0;
    for (int64_t s = 0; s < segments; ++s) sum += partial[row * segments + s];
    finish(row, sum);
  }
};

// finish(row, sum of value(row * per_row + j) over j = 0 .. per_row-1) for each row. Both are bodies:
// `double value(int64_t)`, `void finish(int64_t, double)` as const operator().
template <typename Value, typename Finish>
void SumRows(Queue* queue, int64_t rows, int64_t per_row, const Value& value, const Finish& finish) {
  const Arena::Mark mark = queue->arena->mark();
  const int64_t segments = (per_row + kSegment - 1) / kSegment;
  auto* partial = queue->arena->template Take<double>(rows * segments);
  Launch(queue, rows * segments, SumSegment<Value>{per_row, segments, value, partial});
  Launch(queue, rows, FinishRow<Finish>{segments, partial, finish});
  queue->arena->Release(mark);
}

template <typename T>
struct NumberAt {
  const T* numbers;  // (rows, per_row)
  GLOWWORM_BODY double operator()(int64_t i) const { return static_cast<double>(numbers[i]); }
};

struct AddToRow {
  double* to;  // (rows)
  GLOWWORM_BODY void operator()(int64_t row, double sum) const { to[row] += sum; }
};

// Adds each row's log-derivatives, (rows, per_row), to its log density.
template <typename T>
void AddLogDerivatives(const TileState& state, int64_t per_row, const T* log_derivative) {
  SumRows(state.queue, state.rows, per_row, NumberAt<T>{log_derivative}, AddToRow{state.log_density});
}

template <typename T>
struct TooLarge {
  const T* numbers;  // (rows, per_row)
  T limit;
  GLOWWORM_BODY double operator()(int64_t i) const {
    const T v = numbers[i];
    return v <= limit && v >= -limit ? 0 : 1;
  }
};

struct MarkRow {
  unsigned char* flag;  // (rows)
  GLOWWORM_BODY void operator()(int64_t row, double sum) const {
    if (sum > 0) flag[row] = 1;
  }
};

// Marks rows whose numbers, (rows, per_row), are so large that a network's sums may overflow and a ReLU then
// hide it: see model/cpu/tile.h.
template <typename T>
void MarkOverflow(const TileState& state, int64_t per_row, const T* input) {
  const T limit = std::sqrt(std::numeric_limits<T>::max());
  SumRows(state.queue, state.rows, per_row, TooLarge<T>{input, limit}, MarkRow{state.overflow});
}

}  // namespace glowworm::cuda

#endif  // GLOWWORM_MODEL_CUDA_ROW_SUM_H_
