// Implements model/train/plu_linear.h.

#include "model/train/plu_linear.h"

#include <tuple>
#include <utility>
#include <vector>

#include "model/train/channel_product.h"

namespace glowworm {
namespace train {
namespace {

struct Factors {
  torch::Tensor permutation;  // (c) int64
  torch::Tensor lower;        // (c, c), unit lower
  torch::Tensor upper;        // (c, c), upper with a positive diagonal
};

// Those of a random orthogonal matrix Q but for the signs of its rows. Q = P L U where U's diagonal has signs
// D; with D L D and D U for L and U the diagonal is positive, and W = P D L U = (P D P^T) Q, orthogonal too.
Factors RotationFactors(int64_t channels) {
  torch::Tensor p, l, u;
  std::tie(p, l, u) = torch::linalg_lu(RandomOrthogonal(channels));
  const torch::Tensor d = u.diagonal().sign();  // Q is regular: no zeros
  return {p.argmax(1), d.unsqueeze(1) * l * d, d.unsqueeze(1) * u};
}

Factors IdentityFactors(int64_t channels) {
  const torch::Tensor identity = torch::eye(channels, torch::kFloat64);
  return {torch::randperm(channels, torch::kInt64), identity, identity};
}

}  // namespace

PluLinear::PluLinear(int64_t channels, DiagonalMap map, LinearInit init)
    : lower_half_(StrictHalf::Lower(channels)) {
  const Factors start = init == LinearInit::kRotation ? RotationFactors(channels) : IdentityFactors(channels);
  permutation_ = register_buffer("permutation", start.permutation);
  lower_ = register_parameter("lower", lower_half_.Pack(start.lower).to(torch::kFloat32));
  scaled_upper_ = register_module("scaled_upper", std::make_shared<ScaledUpper>(start.upper, map));
}

LayerOutput PluLinear::Forward(const torch::Tensor& x, const Conditions& /*conditions*/) {
  const torch::Tensor w = Compose(lower_.scalar_type());
  return {ApplyToChannels(w, x), scaled_upper_->LogDet() * Positions(x)};
}

torch::Tensor PluLinear::Compose(torch::ScalarType dtype) const {
  const torch::Tensor r = scaled_upper_->Compose(dtype);
  const torch::Tensor strictly_lower = lower_half_.Unpack(lower_.to(dtype));
  return torch::addmm(r, strictly_lower, r).index_select(0, Index());  // P (I + strictly_lower) R
}

// Module::to(dtype) converts buffers of integers too. float32 holds integers up to 2^24, far above any c.
torch::Tensor PluLinear::Index() const { return permutation_.to(torch::kInt64); }

torch::Tensor PluLinear::Weight() const {
  const torch::NoGradGuard no_grad;
  return Compose(torch::kFloat64);
}

Layer PluLinear::Export(const std::string& name) const {
  PluFactors factors;
  for (const double i : ToVector(permutation_)) factors.permutation.push_back(static_cast<int64_t>(i));
  factors.side = Side::kOutput;
  factors.lower = ToVector(lower_);
  factors.upper = ToVector(scaled_upper_->upper());
  factors.log_abs_s = ToVector(scaled_upper_->LogScales());
  factors.sign_s.assign(factors.log_abs_s.size(), 1.0);
  return {name, Linear{std::move(factors), {}}};
}

}  // namespace train
}  // namespace glowworm
