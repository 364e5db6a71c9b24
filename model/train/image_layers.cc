#include "model/train/image_layers.h"

#include <utility>
#include <vector>

#include "model/train/normal_base.h"

namespace glowworm {
namespace train {

LayerOutput SqueezeLayer::Forward(const torch::Tensor& x, const Conditions& /*conditions*/) {
  return {torch::pixel_unshuffle(x, 2), torch::zeros({}, x.options())};
}

Layer SqueezeLayer::Export(const std::string& name) const { return {name, Squeeze{}}; }

SplitLayer::SplitLayer(int64_t channels) {
  prior_ = register_module("prior", MakeConvPrior(channels / 2, channels));
}

LayerOutput SplitLayer::Forward(const torch::Tensor& x, const Conditions& /*conditions*/) {
  const std::vector<torch::Tensor> halves = x.chunk(2, 1);  // kept, emitted
  const torch::Tensor kept = halves[0].contiguous(torch::MemoryFormat::ChannelsLast);
  const std::vector<torch::Tensor> prior = prior_->Forward(kept, {}).chunk(2, 1);  // mean, log_scale
  return {kept, NormalLogDensity(halves[1], prior[0], prior[1])};
}

Layer SplitLayer::Export(const std::string& name) const {
  Split split;
  split.prior = NetNormal{prior_->Export()};
  return {name, std::move(split)};
}

}  // namespace train
}  // namespace glowworm
