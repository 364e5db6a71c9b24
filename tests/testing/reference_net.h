// Conditioner networks of the gold standard: plain loops in float64, straight from the equations of the
// format page. Only entry: EvaluateNet(). Shares nothing with model/ but the structs of flow_spec.h. Tested
// by tests/model/reference_test.cc.

#ifndef GLOWWORM_TESTS_TESTING_REFERENCE_NET_H_
#define GLOWWORM_TESTS_TESTING_REFERENCE_NET_H_

#include <cstdint>
#include <vector>

#include "model/flow_spec.h"

namespace glowworm {

// Values at every position, row-major (c, h, w).
struct ReferenceEvent {
  int64_t channels = 0, height = 1, width = 1;
  std::vector<double> values;  // (c, h, w)

  int64_t positions() const { return height * width; }
  double& at(int64_t c, int64_t position) { return values[c * positions() + position]; }
  double at(int64_t c, int64_t position) const { return values[c * positions() + position]; }
};

// An event of zeros.
ReferenceEvent ZeroEvent(int64_t channels, int64_t height, int64_t width);

// The channels of `event` that `index` lists, in its order.
ReferenceEvent PickChannels(const ReferenceEvent& event, const std::vector<int64_t>& index);

// REQUIRES: the net fits `in`, and `context` has the size that its gates and concat_context ops expect.
ReferenceEvent EvaluateNet(const Net& net, const ReferenceEvent& in, const std::vector<double>& context);

// log(1 + exp(v)) and 1 / (1 + exp(-v)), without overflow.
double ReferenceSoftplus(double v);
double ReferenceSigmoid(double v);

}  // namespace glowworm

#endif  // GLOWWORM_TESTS_TESTING_REFERENCE_NET_H_
