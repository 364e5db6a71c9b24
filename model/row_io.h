// Numbers between the caller's rows (any dtype, any alignment, [C, H, W] order) and a tile (float64,
// positions before channels), and what becomes of a row's answer. Shared by the executors. Tested by
// tests/model/flow_test.cc and row_status_test.cc.

#ifndef GLOWWORM_MODEL_ROW_IO_H_
#define GLOWWORM_MODEL_ROW_IO_H_

#include <cstdint>

#include "absl/types/span.h"
#include "model/flow.h"

namespace glowworm {

// Number i of `input` goes to to[i % positions * channels + i / positions]. False if any is NaN or Inf.
bool ReadRow(const RowInput& input, int64_t channels, int64_t positions, double* to);
// The reverse; a float64 that overflows float32 becomes Inf.
void WriteRow(const double* from, int64_t channels, int64_t positions, const RowOutput& output);
// Writes `count` NaN.
void WriteNan(int64_t count, const RowOutput& output);

// What an executor knows of a row that it carried through the plan.
struct RowFlags {
  bool finite = true;     // every number of its input is
  bool outside = false;   // of the support
  bool overflow = false;  // its numbers grew too large for a conditioner
};

// Writes the row's log-likelihood, status and, if wanted, latent vector. z: (size), null if not wanted.
void FinishEncode(const EncodeRow& row, const RowFlags& flags, double log_likelihood, const double* z,
                  int64_t size);
// Writes x, (positions, channels), and the status.
void FinishInverse(const double* x, const RowFlags& flags, int64_t channels, int64_t positions,
                   const RowOutput& output, RowStatus* status);

// The component that sample `index` of `seed` is drawn from. cumulative: (K) the mixture's weights, summed.
int DrawClass(uint64_t seed, uint64_t index, absl::Span<const double> cumulative);

}  // namespace glowworm

#endif  // GLOWWORM_MODEL_ROW_IO_H_
