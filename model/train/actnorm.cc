#include "model/train/actnorm.h"

#include <cmath>
#include <vector>

namespace glowworm {
namespace train {
namespace {

// A channel that is constant in the first rows would get an infinite scale.
constexpr double kSmallestDeviation = 1e-3;

// (c) as something that broadcasts over the rows of x.
torch::Tensor PerChannel(const torch::Tensor& values, const torch::Tensor& x) {
  return x.dim() == 2 ? values : values.view({1, -1, 1, 1});
}

int64_t Positions(const torch::Tensor& x) { return x.dim() == 2 ? 1 : x.size(2) * x.size(3); }

}  // namespace

ActNorm::ActNorm(int64_t channels) {
  log_scale_ = register_parameter("log_scale", torch::zeros({channels}));
  shift_ = register_parameter("shift", torch::zeros({channels}));
}

LayerOutput ActNorm::Forward(const torch::Tensor& x, const Conditions& /*conditions*/) {
  return {torch::addcmul(PerChannel(shift_, x), x, PerChannel(log_scale_.exp(), x)),
          log_scale_.sum() * Positions(x)};
}

void ActNorm::Initialize(const torch::Tensor& x) {
  torch::NoGradGuard no_grad;
  const std::vector<int64_t> all_but_channels =
      x.dim() == 2 ? std::vector<int64_t>{0} : std::vector<int64_t>{0, 2, 3};
  const torch::Tensor mean = x.mean(all_but_channels);
  const torch::Tensor deviation = x.std(all_but_channels, /*unbiased=*/false).clamp_min(kSmallestDeviation);
  log_scale_.copy_(-deviation.log());
  shift_.copy_(-mean / deviation);
}

Layer ActNorm::Export(const std::string& name) const {
  torch::NoGradGuard no_grad;
  Affine affine;
  affine.scale = ToVector(log_scale_.to(torch::kFloat64).exp());
  affine.shift = ToVector(shift_);
  return {name, affine};
}

void ActNorm::Multiply(double factor) {
  torch::NoGradGuard no_grad;
  log_scale_.add_(std::log(factor));
  shift_.mul_(factor);
}

}  // namespace train
}  // namespace glowworm
