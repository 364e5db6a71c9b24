// LinearMap: a linear layer of any parametrization (plu, qr, full) composed once at load, so that nothing
// after this file knows how W was stored. Only entry: ComposeLinear. Tested by tests/model/lu_test.cc.

#ifndef GLOWWORM_MODEL_LINEAR_MAP_H_
#define GLOWWORM_MODEL_LINEAR_MAP_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "model/flow_spec.h"

namespace glowworm {

struct LinearMap {
  std::vector<double> weight;   // (C, C) row-major, W
  std::vector<double> inverse;  // (C, C), W^-1 from the factors
  double log_abs_det = 0;       // sum of log|s|, never recomputed from W
  double condition_number = 0;  // of W, 2-norm
  double min_abs_s = 0;
  double max_abs_s = 0;
};

// InvalidArgument if W cannot be inverted in float64.
absl::StatusOr<LinearMap> ComposeLinear(const Linear& linear, int64_t channels);

}  // namespace glowworm

#endif  // GLOWWORM_MODEL_LINEAR_MAP_H_
