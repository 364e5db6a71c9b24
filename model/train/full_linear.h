// FullLinear: W as a dense matrix, its determinant computed at every step in O(c^3): the baseline that the
// factored forms are compared with. Nothing keeps it invertible. Tested by tests/model/train/linear_test.cc.

#ifndef GLOWWORM_MODEL_TRAIN_FULL_LINEAR_H_
#define GLOWWORM_MODEL_TRAIN_FULL_LINEAR_H_

#include <torch/types.h>

#include <cstdint>
#include <string>

#include "model/train/linear_layer.h"

namespace glowworm {
namespace train {

class FullLinear : public LinearLayer {
 public:
  FullLinear(int64_t channels, LinearInit init);
  LayerOutput Forward(const torch::Tensor& x, const Conditions& conditions) override;
  Layer Export(const std::string& name) const override;
  torch::Tensor Weight() const override;

 private:
  torch::Tensor weight_;  // (c, c)
};

}  // namespace train
}  // namespace glowworm

#endif  // GLOWWORM_MODEL_TRAIN_FULL_LINEAR_H_
