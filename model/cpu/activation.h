// Elementwise activations of conditioner networks, where they could not be fused into a product. Only entry:
// Activate. Tested by tests/model/differential_test.cc.

#ifndef GLOWWORM_MODEL_CPU_ACTIVATION_H_
#define GLOWWORM_MODEL_CPU_ACTIVATION_H_

#include <cstdint>

#include "model/flow_spec.h"

namespace glowworm {

// y_i = activation(x_i), i = 0 .. n-1; may work in place. REQUIRES: x and y are 64-byte aligned and n is a
// multiple of 16, so that every number takes the same (vector) path.
void Activate(const Activation& activation, int64_t n, const float* x, float* y);
void Activate(const Activation& activation, int64_t n, const double* x, double* y);

}  // namespace glowworm

#endif  // GLOWWORM_MODEL_CPU_ACTIVATION_H_
