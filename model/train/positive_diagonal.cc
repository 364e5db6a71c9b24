// Implements model/train/positive_diagonal.h.

#include "model/train/positive_diagonal.h"

namespace glowworm {
namespace train {
namespace {

// torch::softplus is the identity above its threshold of 20, wrong by 1e-10 of its value there.
torch::Tensor Softplus(const torch::Tensor& raw) { return -torch::log_sigmoid(-raw); }

}  // namespace

torch::Tensor ScaleOf(const torch::Tensor& raw, DiagonalMap map) {
  return map == DiagonalMap::kExp ? raw.exp() : Softplus(raw);
}

torch::Tensor LogScaleOf(const torch::Tensor& raw, DiagonalMap map) {
  if (map == DiagonalMap::kExp) return raw;
  // Below the bound log softplus(r) = r - e^r / 2 + O(e^2r), where e^2r is under one rounding of r. Either
  // branch is kept in its own range, so that the other's gradient is 0 and not NaN.
  constexpr double kBound = -20;
  const torch::Tensor below = raw - 0.5 * raw.clamp_max(kBound).exp();
  const torch::Tensor above = Softplus(raw.clamp_min(kBound)).log();
  return torch::where(raw < kBound, below, above);
}

torch::Tensor RawOf(const torch::Tensor& s, DiagonalMap map) {
  if (map == DiagonalMap::kExp) return s.log();
  // log(e^s - 1) = s + log(1 - e^-s), which neither overflows nor cancels.
  return s + torch::log(-torch::expm1(-s));
}

}  // namespace train
}  // namespace glowworm
