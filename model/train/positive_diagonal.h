// s > 0 from an unconstrained parameter s~: s = exp(s~) or softplus(s~) = log(1 + exp(s~)). Exact in float64
// over the whole range: log s is never the logarithm of an s that has underflowed. Tested by
// tests/model/train/linear_test.cc.

#ifndef GLOWWORM_MODEL_TRAIN_POSITIVE_DIAGONAL_H_
#define GLOWWORM_MODEL_TRAIN_POSITIVE_DIAGONAL_H_

#include <torch/types.h>

#include "model/train/linear_layer.h"

namespace glowworm {
namespace train {

// Elementwise, in the dtype of `raw`; differentiable.
torch::Tensor ScaleOf(const torch::Tensor& raw, DiagonalMap map);     // s
torch::Tensor LogScaleOf(const torch::Tensor& raw, DiagonalMap map);  // log s
// s~ that gives s. REQUIRES: s > 0
torch::Tensor RawOf(const torch::Tensor& s, DiagonalMap map);

}  // namespace train
}  // namespace glowworm

#endif  // GLOWWORM_MODEL_TRAIN_POSITIVE_DIAGONAL_H_
