// The structure of an autoregressive layer's network, read off the zeros that its masks left in the weights:
// the degree of a unit is the number of features of the order that it depends on, so that a unit of degree d
// is known once features order[0 .. d-1] are. Tested by tests/model/masked_net_test.cc.

#ifndef GLOWWORM_MODEL_MASKED_NET_H_
#define GLOWWORM_MODEL_MASKED_NET_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "model/flow_spec.h"

namespace glowworm {

// A unit's degree; 0: it depends on no feature, only on the context, if any.
using Degrees = std::vector<int64_t>;

// Of the features themselves, in natural order: order[k] has degree k + 1.
Degrees FeatureDegrees(const std::vector<int64_t>& order);
// Of a dense layer's outputs: the largest among the inputs that reach them through a weight that is not 0.
Degrees DegreesAfter(const Dense& dense, const Degrees& in);
// Of a net's outputs. REQUIRES: the net is over rows and fits `in`.
Degrees DegreesAfter(const Net& net, const Degrees& in, int64_t context_size);

// InvalidArgument if a number of the block of feature order[k] depends on order[k] or a later feature: such a
// layer has no inverse. REQUIRES: the net fits D = order.size() features and gives D * block numbers.
absl::Status CheckAutoregressive(const Net& net, const std::vector<int64_t>& order, int64_t block,
                                 int64_t context_size);

}  // namespace glowworm

#endif  // GLOWWORM_MODEL_MASKED_NET_H_
