// Implements model/train/qr_linear.h.

#include "model/train/qr_linear.h"

#include <utility>

#include "model/train/channel_product.h"

namespace glowworm {
namespace train {
namespace {

torch::Tensor StartReflectors(int64_t channels, LinearInit init) {  // (k, c)
  if (init == LinearInit::kRotation) return torch::randn({channels, channels}, torch::kFloat64);
  return torch::randn({channels / 2, channels}, torch::kFloat64).repeat_interleave(2, 0);
}

// Q B for Q = H_k ... H_1, H_i = I - 2 v_i v_i^T / (v_i^T v_i), v_i row i of V. All at once: with
// T = striclower(V V^T) + diag(V V^T) / 2, Q = I - V^T T^-1 V (Joffrain et al. 2006, "Accumulating
// Householder transformations, revisited"): three matrix products and a triangular solve in place of k
// products with a vector, each with a (c, c) matrix to keep for the gradient. T is regular: its diagonal is
// positive.
torch::Tensor Reflect(const torch::Tensor& v,    // (k, c)
                      const torch::Tensor& b) {  // (c, c)
  const torch::Tensor gram = torch::matmul(v, v.t());
  const torch::Tensor t = gram.tril(-1) + 0.5 * torch::diag(gram.diagonal());
  const torch::Tensor solved = torch::linalg_solve_triangular(t, torch::matmul(v, b), /*upper=*/false);
  return b - torch::matmul(v.t(), solved);
}

}  // namespace

QrLinear::QrLinear(int64_t channels, DiagonalMap map, LinearInit init) {
  reflectors_ = register_parameter("reflectors", StartReflectors(channels, init).to(torch::kFloat32));
  scaled_upper_ = register_module("scaled_upper",
                                  std::make_shared<ScaledUpper>(torch::eye(channels, torch::kFloat64), map));
}

LayerOutput QrLinear::Forward(const torch::Tensor& x, const Conditions& /*conditions*/) {
  const torch::Tensor w = Compose(reflectors_.scalar_type());
  return {ApplyToChannels(w, x), scaled_upper_->LogDet() * Positions(x)};
}

torch::Tensor QrLinear::Compose(torch::ScalarType dtype) const {
  return Reflect(reflectors_.to(dtype), scaled_upper_->Compose(dtype));
}

torch::Tensor QrLinear::Weight() const {
  const torch::NoGradGuard no_grad;
  return Compose(torch::kFloat64);
}

Layer QrLinear::Export(const std::string& name) const {
  QrFactors factors;
  factors.num_reflectors = reflectors_.size(0);
  factors.reflectors = ToVector(reflectors_);
  factors.upper = ToVector(scaled_upper_->upper());
  factors.log_abs_s = ToVector(scaled_upper_->LogScales());
  factors.sign_s.assign(factors.log_abs_s.size(), 1.0);
  return {name, Linear{std::move(factors), {}}};
}

}  // namespace train
}  // namespace glowworm
