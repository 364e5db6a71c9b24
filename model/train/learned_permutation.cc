// Implements model/train/learned_permutation.h.

#include "model/train/learned_permutation.h"

#include <algorithm>
#include <cmath>
#include <tuple>
#include <vector>

#include "model/train/channel_product.h"
#include "model/train/hungarian.h"
#include "model/train/sinkhorn.h"

namespace glowworm {
namespace train {
namespace {

constexpr int kSinkhornIterations = 20;  // as in Mena et al.
constexpr double kFirstTemperature = 1, kLastTemperature = 0.1;
// Logits must move by several units while Adam moves each parameter by no more than the rate a step, which is
// chosen for the conditioners: 1e-3.
constexpr double kLogitsPerParameter = 10;

// The permutation H: y_i = x_{index[i]}, (c).
std::vector<int64_t> Harden(const torch::Tensor& logits) {
  constexpr double kHuge = 1e30;  // a training that has blown up is to end with a message, not here
  const torch::Tensor finite = logits.detach().to(torch::kFloat64).nan_to_num(0, kHuge, -kHuge);
  return BestAssignment(ToVector(finite), logits.size(0));
}

torch::Tensor IndexTensor(const std::vector<int64_t>& index, torch::Device device) {
  return torch::tensor(index, torch::kInt64).to(device);
}

torch::Tensor PermutationMatrix(const std::vector<int64_t>& index, const torch::TensorOptions& options) {
  const int64_t c = static_cast<int64_t>(index.size());
  return torch::eye(c, options).index_select(0, IndexTensor(index, options.device()));
}

}  // namespace

LearnedPermutation::LearnedPermutation(int64_t channels) {
  // The start's place weighs as much as a few times all others of its row together, before the noise.
  const double start = 1 + std::log(static_cast<double>(channels));
  const torch::Tensor permutation =
      torch::eye(channels, torch::kFloat64).index_select(0, torch::randperm(channels, torch::kInt64));
  scaled_logits_ =
      register_parameter("scaled_logits", (start / kLogitsPerParameter * permutation).to(torch::kFloat32));
}

torch::Tensor LearnedPermutation::Logits() const { return kLogitsPerParameter * scaled_logits_; }

LayerOutput LearnedPermutation::Forward(const torch::Tensor& x, const Conditions& /*conditions*/) {
  torch::Tensor logits = Logits();
  const torch::Tensor zero = torch::zeros({}, logits.options());
  if (!is_training()) {
    const torch::Tensor index = IndexTensor(Harden(logits), x.device());
    return {x.movedim(1, -1).index_select(-1, index).movedim(-1, 1), zero};
  }
  const double annealed = std::min(1.0, progress_ / kHardFrom);
  const bool hard = progress_ >= kHardFrom;
  if (!hard) logits = logits + (1 - annealed) * GumbelLike(logits);
  const double temperature = kFirstTemperature * std::pow(kLastTemperature / kFirstTemperature, annealed);
  const torch::Tensor s = Sinkhorn(logits / temperature, kSinkhornIterations);
  const torch::Tensor h = PermutationMatrix(Harden(logits), s.options());
  // s - s.detach() is exactly 0 and has the gradient of s.
  if (hard) return {ApplyToChannels(h + (s - s.detach()), x), zero};
  const torch::Tensor w = kHardShare * h + (1 - kHardShare) * s;
  return {ApplyToChannels(w, x), std::get<1>(torch::linalg_slogdet(w)) * Positions(x)};
}

torch::Tensor LearnedPermutation::Weight() const {
  const torch::NoGradGuard no_grad;
  const torch::Tensor logits = Logits();
  const torch::TensorOptions options = logits.options().dtype(torch::kFloat64);
  if (!logits.isfinite().all().item<bool>()) return torch::full_like(logits, NAN, options);
  return PermutationMatrix(Harden(logits), options);
}

Layer LearnedPermutation::Export(const std::string& name) const {
  return {name, Permutation{Harden(Logits())}};
}

}  // namespace train
}  // namespace glowworm
