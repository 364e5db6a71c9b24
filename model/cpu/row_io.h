// Numbers between the caller's rows (any dtype, any alignment, [C, H, W] order) and the tile (float64,
// positions before channels). Tested by tests/model/flow_test.cc.

#ifndef GLOWWORM_MODEL_CPU_ROW_IO_H_
#define GLOWWORM_MODEL_CPU_ROW_IO_H_

#include <cstdint>

#include "model/flow.h"

namespace glowworm {

// Number i of `input` goes to to[i % positions * channels + i / positions]. False if any is NaN or Inf.
bool ReadRow(const RowInput& input, int64_t channels, int64_t positions, double* to);
// The reverse; a float64 that overflows float32 becomes Inf.
void WriteRow(const double* from, int64_t channels, int64_t positions, const RowOutput& output);
// Writes `count` NaN.
void WriteNan(int64_t count, const RowOutput& output);

}  // namespace glowworm

#endif  // GLOWWORM_MODEL_CPU_ROW_IO_H_
