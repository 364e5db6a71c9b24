#include "model/train/coupling_layer.h"

#include <numeric>
#include <utility>
#include <vector>

namespace glowworm {
namespace train {
namespace {

constexpr double kScaleOffset = 2;  // couplings start with s near 0.88
constexpr double kScaleEpsilon = 1e-3;
constexpr double kScaleClamp = 3;
constexpr double kAtanFactor = 0.636;  // the file's, about 2 / pi

std::vector<int64_t> Range(int64_t begin, int64_t end) {
  std::vector<int64_t> range(static_cast<size_t>(end - begin));
  std::iota(range.begin(), range.end(), begin);
  return range;
}

// What both kinds share: the halves and the conditioner.
class CouplingLayer : public FlowLayer {
 public:
  CouplingLayer(int64_t channels, int64_t numbers_per_channel, const ConditionerFactory& conditioner)
      : channels_(channels), identity_(IdentityChannels(channels)) {
    conditioner_ =
        register_module("conditioner", conditioner(identity_, numbers_per_channel * (channels_ - identity_)));
  }

 protected:
  // The raw parameters of the transformed half, from the identity half.
  torch::Tensor Condition(const torch::Tensor& kept, const Conditions& conditions) {
    // Convolutions are faster with channels innermost.
    return conditioner_->Forward(kept.dim() == 4 ? kept.contiguous(torch::MemoryFormat::ChannelsLast) : kept,
                                 conditions.context);
  }

  Coupling ExportHalves() const {
    Coupling coupling;
    coupling.identity = Range(0, identity_);
    coupling.transformed = Range(identity_, channels_);
    coupling.net = conditioner_->Export();
    return coupling;
  }

  const int64_t channels_, identity_;

 private:
  std::shared_ptr<Conditioner> conditioner_;
};

class AffineCouplingLayer : public CouplingLayer {
 public:
  AffineCouplingLayer(int64_t channels, ScaleMap map, const ConditionerFactory& conditioner)
      : CouplingLayer(channels, 2, conditioner), map_(map) {}

  LayerOutput Forward(const torch::Tensor& x, const Conditions& conditions) override {
    const torch::Tensor kept = x.narrow(1, 0, identity_);
    const torch::Tensor moved = x.narrow(1, identity_, channels_ - identity_);
    const std::vector<torch::Tensor> raw = Condition(kept, conditions).chunk(2, 1);  // shift, scale
    torch::Tensor scale, log_scale;
    if (map_ == ScaleMap::kSigmoid) {
      scale = torch::sigmoid(raw[1] + kScaleOffset) + kScaleEpsilon;
      log_scale = scale.log();
    } else {
      log_scale = kScaleClamp * kAtanFactor * torch::atan(raw[1] / kScaleClamp);
      scale = log_scale.exp();
    }
    return {torch::cat({kept, torch::addcmul(raw[0], moved, scale)}, 1), log_scale.flatten(1).sum(1)};
  }

  Layer Export(const std::string& name) const override {
    Coupling coupling = ExportHalves();
    AffineTransform affine;
    affine.scale_map = map_;
    if (map_ == ScaleMap::kSigmoid) {
      affine.offset = kScaleOffset;
      affine.epsilon = kScaleEpsilon;
    } else {
      affine.clamp = kScaleClamp;
    }
    coupling.transform = affine;
    return {name, std::move(coupling)};
  }

 private:
  const ScaleMap map_;
};

class SplineCouplingLayer : public CouplingLayer {
 public:
  SplineCouplingLayer(int64_t channels, const SplineTransform& spline, const ConditionerFactory& conditioner)
      : CouplingLayer(channels, 3 * spline.bins - 1, conditioner), spline_(spline) {}

  LayerOutput Forward(const torch::Tensor& x, const Conditions& conditions) override {
    const torch::Tensor kept = x.narrow(1, 0, identity_);
    const torch::Tensor moved = x.narrow(1, identity_, channels_ - identity_);
    const torch::Tensor raw =
        Condition(kept, conditions).view({x.size(0), channels_ - identity_, 3 * spline_.bins - 1});
    SplineOutput out = ApplySpline(moved, raw, spline_);
    return {torch::cat({kept, out.y}, 1), out.log_derivative.sum(1)};
  }

  Layer Export(const std::string& name) const override {
    Coupling coupling = ExportHalves();
    coupling.transform = spline_;
    return {name, std::move(coupling)};
  }

 private:
  const SplineTransform spline_;
};

// The K bins' sizes from raw numbers, and their K + 1 borders from -B to B.
struct Bins {
  torch::Tensor sizes;    // (n, t, K)
  torch::Tensor borders;  // (n, t, K + 1)
};

Bins MakeBins(const torch::Tensor& raw, double smallest, const SplineTransform& spline) {
  const double b = spline.tail_bound;
  const double share = 1 - static_cast<double>(spline.bins) * smallest;
  const torch::Tensor sizes =
      2 * b * (smallest + share * torch::softmax(raw * spline.width_height_scale, -1));
  const torch::Tensor inner = sizes.narrow(-1, 0, spline.bins - 1).cumsum(-1) - b;
  const torch::Tensor end = torch::full_like(sizes.narrow(-1, 0, 1), b);
  return {sizes, torch::cat({-end, inner, end}, -1)};
}

torch::Tensor Pick(const torch::Tensor& table, const torch::Tensor& index) {
  return table.gather(-1, index).squeeze(-1);
}

}  // namespace

int64_t IdentityChannels(int64_t channels) { return (channels + 1) / 2; }

SplineOutput ApplySpline(const torch::Tensor& x, const torch::Tensor& raw, const SplineTransform& spline) {
  const int64_t bins = spline.bins;
  const double b = spline.tail_bound;
  const Bins across = MakeBins(raw.narrow(-1, 0, bins), spline.min_bin_width, spline);
  const Bins up = MakeBins(raw.narrow(-1, bins, bins), spline.min_bin_height, spline);
  const torch::Tensor inner = spline.min_derivative + torch::softplus(raw.narrow(-1, 2 * bins, bins - 1));
  const torch::Tensor one = torch::ones_like(raw.narrow(-1, 0, 1));
  const torch::Tensor slopes = torch::cat({one, inner, one}, -1);  // (n, t, K + 1)

  const torch::Tensor inside = x.abs() <= b;
  const torch::Tensor at = x.clamp(-b, b);
  // The bin of each x: how many inner borders lie at or below it.
  const torch::Tensor bin =
      (at.unsqueeze(-1) >= across.borders.narrow(-1, 1, bins - 1)).sum(-1, /*keepdim=*/true);
  const torch::Tensor left = Pick(across.borders, bin), width = Pick(across.borders, bin + 1) - left;
  const torch::Tensor low = Pick(up.borders, bin), height = Pick(up.borders, bin + 1) - low;
  const torch::Tensor d0 = Pick(slopes, bin), d1 = Pick(slopes, bin + 1);

  // Durkan et al. 2019, equations 4 and 5.
  const torch::Tensor s = height / width;
  const torch::Tensor xi = (at - left) / width;
  const torch::Tensor rest = 1 - xi, both = xi * rest;
  const torch::Tensor denominator = s + (d0 + d1 - 2 * s) * both;
  const torch::Tensor y = low + height * (s * xi * xi + d0 * both) / denominator;
  const torch::Tensor log_derivative =
      2 * s.log() + (d1 * xi * xi + 2 * s * both + d0 * rest * rest).log() - 2 * denominator.log();
  return {torch::where(inside, y, x), torch::where(inside, log_derivative, torch::zeros_like(x))};
}

std::shared_ptr<FlowLayer> MakeAffineCoupling(int64_t channels, ScaleMap map,
                                              const ConditionerFactory& conditioner) {
  return std::make_shared<AffineCouplingLayer>(channels, map, conditioner);
}

std::shared_ptr<FlowLayer> MakeSplineCoupling(int64_t channels, const SplineTransform& spline,
                                              const ConditionerFactory& conditioner) {
  return std::make_shared<SplineCouplingLayer>(channels, spline, conditioner);
}

}  // namespace train
}  // namespace glowworm
