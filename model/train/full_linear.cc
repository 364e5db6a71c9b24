// Implements model/train/full_linear.h.

#include "model/train/full_linear.h"

#include <tuple>
#include <utility>

#include "model/train/channel_product.h"

namespace glowworm {
namespace train {

FullLinear::FullLinear(int64_t channels, LinearInit init) {
  const torch::Tensor start =
      init == LinearInit::kRotation ? RandomOrthogonal(channels) : torch::eye(channels, torch::kFloat64);
  weight_ = register_parameter("weight", start.to(torch::kFloat32).contiguous());
}

LayerOutput FullLinear::Forward(const torch::Tensor& x, const Conditions& /*conditions*/) {
  const torch::Tensor log_abs_det = std::get<1>(torch::linalg_slogdet(weight_));
  return {ApplyToChannels(weight_, x), log_abs_det * Positions(x)};
}

torch::Tensor FullLinear::Weight() const {
  return weight_.detach().to(torch::kFloat64, false, /*copy=*/true);
}

Layer FullLinear::Export(const std::string& name) const {
  return {name, Linear{FullMatrix{ToVector(weight_)}, {}}};
}

}  // namespace train
}  // namespace glowworm
