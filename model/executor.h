// Executor: runs a compiled plan on one tile of rows, in either direction. The only virtual interface in
// model/. Implementations: cpu/cpu_executor.h and cuda/cuda_executor.h. Every executor must agree with
// tests/testing/reference_flow.h.

#ifndef GLOWWORM_MODEL_EXECUTOR_H_
#define GLOWWORM_MODEL_EXECUTOR_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "model/flow.h"

namespace glowworm {

// Const methods, safe from many threads. REQUIRES of each: 1 <= rows.size() <= max_tile_rows(), and what
// flow.h requires of the rows. tail_probability and SampleRow::log_likelihood are the façade's, not the
// executor's. Another status than OK says that the device failed, and then nothing that the call wrote
// counts; the CPU never does.
class Executor {
 public:
  virtual ~Executor() = default;
  virtual int64_t max_tile_rows() const = 0;
  virtual absl::Status Encode(absl::Span<const EncodeRow> rows) const = 0;
  virtual absl::Status Decode(absl::Span<const DecodeRow> rows) const = 0;
  virtual absl::Status Sample(absl::Span<const SampleRow> rows) const = 0;
};

}  // namespace glowworm

#endif  // GLOWWORM_MODEL_EXECUTOR_H_
