// Couplings: the first half of the channels stays, and says through a conditioner how the second half is
// mapped (Dinh et al. 2017, arXiv:1605.08803). Entries: MakeAffineCoupling(), MakeSplineCoupling(). Tested by
// tests/model/train/layers_test.cc.

#ifndef GLOWWORM_MODEL_TRAIN_COUPLING_LAYER_H_
#define GLOWWORM_MODEL_TRAIN_COUPLING_LAYER_H_

#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <memory>

#include "model/flow_spec.h"
#include "model/train/conditioner.h"
#include "model/train/flow_layer.h"

namespace glowworm {
namespace train {

// Channels of the identity half: ceil(channels / 2).
int64_t IdentityChannels(int64_t channels);

// Makes the conditioner of a coupling from so many channels to so many.
using ConditionerFactory = std::function<std::shared_ptr<Conditioner>(int64_t in, int64_t out)>;

// y = s x + t. kSigmoid: s = sigmoid(raw + 2) + 1e-3, which only contracts: the actnorms expand. kAtanExp: s
// = exp(3 * 0.636 * atan(raw / 3)), from e^-3 to e^3, whose log has slope 0.64 at the start where the
// sigmoid's has 0.12. REQUIRES: channels >= 2; one of these two maps
std::shared_ptr<FlowLayer> MakeAffineCoupling(int64_t channels, ScaleMap map,
                                              const ConditionerFactory& conditioner);

// A rational-quadratic spline a channel (Durkan et al. 2019, arXiv:1906.04032), parametrized by softmax;
// tables only. REQUIRES: channels >= 2; parametrization kSoftmax
std::shared_ptr<FlowLayer> MakeSplineCoupling(int64_t channels, const SplineTransform& spline,
                                              const ConditionerFactory& conditioner);

// The spline and its log-derivative, elementwise.
struct SplineOutput {
  torch::Tensor y, log_derivative;  // (n, t)
};
SplineOutput ApplySpline(const torch::Tensor& x,    // (n, t)
                         const torch::Tensor& raw,  // (n, t, 3K-1): [w | h | d]
                         const SplineTransform& spline);

}  // namespace train
}  // namespace glowworm

#endif  // GLOWWORM_MODEL_TRAIN_COUPLING_LAYER_H_
