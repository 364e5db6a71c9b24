// The maps from a coupling's raw scale r to its scale s and log s. Only entry: MapScale. The formulas stand
// in proto/glowworm/v1/flow_spec.proto. Tested by tests/model/differential_test.cc.

#ifndef GLOWWORM_MODEL_CPU_SCALE_MAP_H_
#define GLOWWORM_MODEL_CPU_SCALE_MAP_H_

#include <cstdint>

#include "model/flow_spec.h"

namespace glowworm {

// scale_i = map(raw_i) and log_scale_i = log of it, i = 0 .. n-1, without the cancellation of
// log(map(raw_i)): for the sigmoid, log s = -softplus(-a). raw may be scale's buffer. REQUIRES: buffers are
// 64-byte aligned, n is a multiple of 16.
void MapScale(const AffineTransform& transform, int64_t n, const float* raw, float* scale, float* log_scale);
void MapScale(const AffineTransform& transform, int64_t n, const double* raw, double* scale,
              double* log_scale);

}  // namespace glowworm

#endif  // GLOWWORM_MODEL_CPU_SCALE_MAP_H_
