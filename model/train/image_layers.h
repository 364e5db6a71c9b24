// What only images have: squeeze, and split with a learned prior (Dinh et al. 2017, arXiv:1605.08803; Kingma
// & Dhariwal 2018, arXiv:1807.03039). Tested by tests/model/train/layers_test.cc.

#ifndef GLOWWORM_MODEL_TRAIN_IMAGE_LAYERS_H_
#define GLOWWORM_MODEL_TRAIN_IMAGE_LAYERS_H_

#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <string>

#include "model/train/conditioner.h"
#include "model/train/flow_layer.h"

namespace glowworm {
namespace train {

// (n, c, h, w) -> (n, 4c, h/2, w/2), the file's CHANNEL_MAJOR. REQUIRES: h and w even
class SqueezeLayer : public FlowLayer {
 public:
  LayerOutput Forward(const torch::Tensor& x, const Conditions& conditions) override;
  Layer Export(const std::string& name) const override;
};

// Goes on with the first half of the channels and emits the second, whose prior is a normal with mean and log
// deviation from a convolution of the first. log_det is the emitted half's log density.
class SplitLayer : public FlowLayer {
 public:
  // REQUIRES: channels even
  explicit SplitLayer(int64_t channels);
  LayerOutput Forward(const torch::Tensor& x, const Conditions& conditions) override;
  Layer Export(const std::string& name) const override;

 private:
  std::shared_ptr<Conditioner> prior_;
};

}  // namespace train
}  // namespace glowworm

#endif  // GLOWWORM_MODEL_TRAIN_IMAGE_LAYERS_H_
