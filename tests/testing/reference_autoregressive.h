// Autoregressive layers of the gold standard. The direction that its net does not give in one pass takes D
// full passes, one a feature. Tested by tests/model/reference_spline_test.cc.

#ifndef GLOWWORM_TESTS_TESTING_REFERENCE_AUTOREGRESSIVE_H_
#define GLOWWORM_TESTS_TESTING_REFERENCE_AUTOREGRESSIVE_H_

#include <vector>

#include "model/flow_spec.h"
#include "tests/testing/reference_net.h"
#include "tests/testing/reference_spline.h"

namespace glowworm {

// What became of each of the D features, in natural order.
using ReferencePoints = std::vector<ReferencePoint>;

// x -> z, with log|dz_i/dx_i|. REQUIRES: x is a row of D features, order lists them all.
ReferencePoints EncodeAutoregressive(const Autoregressive& op, const ReferenceEvent& x,
                                     const std::vector<double>& context);
// z -> x, with log|dx_i/dz_i|.
ReferencePoints DecodeAutoregressive(const Autoregressive& op, const ReferenceEvent& z,
                                     const std::vector<double>& context);

}  // namespace glowworm

#endif  // GLOWWORM_TESTS_TESTING_REFERENCE_AUTOREGRESSIVE_H_
