// Implements model/train/channel_product.h.

#include "model/train/channel_product.h"

#include <tuple>

namespace glowworm {
namespace train {

torch::Tensor ApplyToChannels(const torch::Tensor& weight, const torch::Tensor& x) {
  if (x.dim() == 2) return torch::matmul(x, weight.t());
  return torch::matmul(x.permute({0, 2, 3, 1}), weight.t()).permute({0, 3, 1, 2});
}

int64_t Positions(const torch::Tensor& x) { return x.dim() == 4 ? x.size(2) * x.size(3) : 1; }

torch::Tensor RandomOrthogonal(int64_t channels) {
  const torch::Tensor gaussian = torch::randn({channels, channels}, torch::kFloat64);
  torch::Tensor q, r;
  std::tie(q, r) = torch::linalg_qr(gaussian);
  // Q alone depends on the signs that the factorization happens to choose; with a positive diagonal of R it
  // is unique, and so as uniform as the Gaussian's directions are (Mezzadri 2007, arXiv:math-ph/0609050).
  const torch::Tensor negative = r.diagonal() < 0;
  return q * torch::where(negative, -torch::ones_like(r.diagonal()), torch::ones_like(r.diagonal()));
}

}  // namespace train
}  // namespace glowworm
