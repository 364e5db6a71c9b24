#include "model/train/normal_base.h"

#include <cmath>

namespace glowworm {
namespace train {
namespace {

constexpr double kHalfLogTwoPi = 0.91893853320467274178;

}  // namespace

torch::Tensor NormalLogDensity(const torch::Tensor& z, const torch::Tensor& mean,
                               const torch::Tensor& log_scale) {
  const torch::Tensor noise = (z - mean) * torch::exp(-log_scale);
  return (-0.5 * noise * noise - log_scale - kHalfLogTwoPi).flatten(1).sum(1);
}

NormalBase::NormalBase(const EventShape& event, const std::vector<int64_t>& class_rows)
    : num_classes_(static_cast<int64_t>(class_rows.size())) {
  std::vector<int64_t> shape = {event.channels};
  if (event.image) shape = {event.channels, event.height, event.width};
  if (num_classes_ > 0) shape = {num_classes_, event.size()};
  mean_ = register_parameter("mean", torch::zeros(shape));
  log_scale_ = register_parameter("log_scale", torch::zeros(shape));
  log_weight_ = register_buffer("log_weight", torch::zeros({num_classes_}));
  for (int64_t k = 0; k < num_classes_; ++k) {
    // One row more a class, so that a class without rows keeps a finite weight.
    log_weight_[k] = std::log(static_cast<double>(class_rows[static_cast<size_t>(k)] + 1));
  }
}

torch::Tensor NormalBase::LogProb(const torch::Tensor& z, const Conditions& conditions) {
  if (num_classes_ == 0) return NormalLogDensity(z, mean_, log_scale_);
  const torch::Tensor flat = z.flatten(1);  // (n, D)
  if (conditions.label.defined()) {
    return NormalLogDensity(flat, mean_.index_select(0, conditions.label),
                            log_scale_.index_select(0, conditions.label));
  }
  std::vector<torch::Tensor> parts;  // K times (n)
  const torch::Tensor log_weight = torch::log_softmax(log_weight_, 0);
  for (int64_t k = 0; k < num_classes_; ++k) {
    parts.push_back(log_weight[k] + NormalLogDensity(flat, mean_[k], log_scale_[k]));
  }
  return torch::logsumexp(torch::stack(parts), 0);
}

Base NormalBase::Export() const {
  if (num_classes_ > 0) {
    return ClassNormal{num_classes_, ToVector(mean_), ToVector(log_scale_), ToVector(log_weight_)};
  }
  return DiagNormal{mean_.dim() == 3, ToVector(mean_), ToVector(log_scale_)};
}

}  // namespace train
}  // namespace glowworm
