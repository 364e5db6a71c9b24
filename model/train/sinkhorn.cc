// Implements model/train/sinkhorn.h.

#include "model/train/sinkhorn.h"

#include <limits>

namespace glowworm {
namespace train {

torch::Tensor Sinkhorn(const torch::Tensor& logits, int iterations) {
  torch::Tensor log_p = logits;
  for (int i = 0; i < iterations; ++i) {
    log_p = log_p - log_p.logsumexp(0, /*keepdim=*/true);
    log_p = log_p - log_p.logsumexp(1, /*keepdim=*/true);
  }
  return log_p.exp();
}

torch::Tensor GumbelLike(const torch::Tensor& like) {
  // rand is in [0, 1): a zero is kept from the logarithm.
  const torch::Tensor exponential =
      -torch::rand_like(like.detach()).clamp_min(std::numeric_limits<float>::min()).log();
  return -exponential.log();
}

}  // namespace train
}  // namespace glowworm
