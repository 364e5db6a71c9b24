// Sinkhorn's normalisation and Gumbel noise: the relaxation of permutations of Mena et al. 2018
// (arXiv:1802.08665). Tested by tests/model/train/learned_permutation_test.cc.

#ifndef GLOWWORM_MODEL_TRAIN_SINKHORN_H_
#define GLOWWORM_MODEL_TRAIN_SINKHORN_H_

#include <torch/types.h>

namespace glowworm {
namespace train {

// exp(logits) with its columns, then its rows divided by their sums, `iterations` times over, in logarithms:
// rows sum to 1, columns nearly. Differentiable.
torch::Tensor Sinkhorn(const torch::Tensor& logits, int iterations);  // (c, c)

// Standard Gumbel numbers in the shape and dtype of `like`, all finite, from torch's default generator.
torch::Tensor GumbelLike(const torch::Tensor& like);

}  // namespace train
}  // namespace glowworm

#endif  // GLOWWORM_MODEL_TRAIN_SINKHORN_H_
