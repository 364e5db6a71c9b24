// The layers of the gold standard, one function a layer and direction, but for split, which belongs to the
// flow. Float64, unfused. Tested by tests/model/reference_test.cc.

#ifndef GLOWWORM_TESTS_TESTING_REFERENCE_LAYERS_H_
#define GLOWWORM_TESTS_TESTING_REFERENCE_LAYERS_H_

#include <cstdint>
#include <vector>

#include "model/flow_spec.h"
#include "tests/testing/reference_net.h"

namespace glowworm {

// A layer ready to run: of a linear layer the composed matrix, which is too dear to compose for every row.
struct PreparedLayer {
  Layer layer;
  std::vector<double> matrix;  // (C, C) of a linear layer, else empty
  double log_abs_det = 0;      // of `matrix`
};
PreparedLayer PrepareLayer(const Layer& layer, int64_t channels);

// What one layer did to one row, data -> latent.
struct LayerStep {
  ReferenceEvent event;
  double log_det = 0;
  double log_det_magnitude = 0;  // the sum of the absolute values of the terms of log_det
  bool in_support = true;        // if false the rest means nothing
};

// REQUIRES: `layer` is no split and fits `x`.
LayerStep ForwardLayer(const PreparedLayer& layer, const ReferenceEvent& x,
                       const std::vector<double>& context);
ReferenceEvent InverseLayer(const PreparedLayer& layer, const ReferenceEvent& y,
                            const std::vector<double>& context);

}  // namespace glowworm

#endif  // GLOWWORM_TESTS_TESTING_REFERENCE_LAYERS_H_
