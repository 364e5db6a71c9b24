// PluLinear: W = P L (U + diag s), with P a fixed permutation, L unit lower, U strictly upper and s > 0, so
// that log|det W| = sum of log s costs O(c) (Kingma & Dhariwal 2018, arXiv:1807.03039, section 3.2).
// Composing W costs one c^3 product a step, which hides behind applying it to n h w >> c positions. Tested by
// tests/model/train/linear_test.cc.

#ifndef GLOWWORM_MODEL_TRAIN_PLU_LINEAR_H_
#define GLOWWORM_MODEL_TRAIN_PLU_LINEAR_H_

#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <string>

#include "model/train/linear_layer.h"
#include "model/train/triangular.h"

namespace glowworm {
namespace train {

class PluLinear : public LinearLayer {
 public:
  PluLinear(int64_t channels, DiagonalMap map, LinearInit init);
  LayerOutput Forward(const torch::Tensor& x, const Conditions& conditions) override;
  Layer Export(const std::string& name) const override;
  torch::Tensor Weight() const override;
  torch::Tensor Scales() const override { return scaled_upper_->Scales(); }
  double NormalizeScale() override { return scaled_upper_->NormalizeScale(); }

 private:
  torch::Tensor Compose(torch::ScalarType dtype) const;  // W, (c, c)
  torch::Tensor Index() const;                           // P, (c) int64: (P v)_i = v_{index[i]}

  const StrictHalf lower_half_;
  torch::Tensor permutation_;  // (c) buffer: integers, in whatever dtype Module::to() has made it
  torch::Tensor lower_;        // (c(c-1)/2)
  std::shared_ptr<ScaledUpper> scaled_upper_;
};

}  // namespace train
}  // namespace glowworm

#endif  // GLOWWORM_MODEL_TRAIN_PLU_LINEAR_H_
