// ActNorm: y = scale x + shift, one number a channel, that starts by giving the first rows mean 0 and
// variance 1 (Kingma & Dhariwal 2018, arXiv:1807.03039, section 3.1). Tested by
// tests/model/train/layers_test.cc.

#ifndef GLOWWORM_MODEL_TRAIN_ACTNORM_H_
#define GLOWWORM_MODEL_TRAIN_ACTNORM_H_

#include <torch/types.h>

#include <cstdint>
#include <string>

#include "model/train/flow_layer.h"

namespace glowworm {
namespace train {

class ActNorm : public FlowLayer {
 public:
  explicit ActNorm(int64_t channels);
  LayerOutput Forward(const torch::Tensor& x, const Conditions& conditions) override;
  void Initialize(const torch::Tensor& x) override;
  Layer Export(const std::string& name) const override;
  // Multiplies the output by `factor` from now on. REQUIRES: factor > 0
  void Multiply(double factor);

 private:
  torch::Tensor log_scale_;  // (c)
  torch::Tensor shift_;      // (c)
};

}  // namespace train
}  // namespace glowworm

#endif  // GLOWWORM_MODEL_TRAIN_ACTNORM_H_
