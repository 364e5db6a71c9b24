// FlowLayer: one trainable step of a flow, data -> latent, as a libtorch module. The only virtual interface
// of model/train. Training and its density need the forward direction only: samples are drawn by the serving
// library from the file that training writes.
//
// Axes: n rows, c channels, (h, w) positions, s numbers of context. Tables are (n, c), images (n, c, h, w).
// Tested by tests/model/train/layers_test.cc.

#ifndef GLOWWORM_MODEL_TRAIN_FLOW_LAYER_H_
#define GLOWWORM_MODEL_TRAIN_FLOW_LAYER_H_

#include <torch/nn/module.h>
#include <torch/types.h>

#include <string>
#include <vector>

#include "model/flow_spec.h"

namespace glowworm {
namespace train {

// What a row is conditioned on.
struct Conditions {
  torch::Tensor context;  // (n, s), or undefined
  torch::Tensor label;    // (n) int64, or undefined
};

struct LayerOutput {
  torch::Tensor y;        // (n, c) or (n, c, h, w)
  torch::Tensor log_det;  // (n), or () where it is the same for all rows: log|det dy/dx|, nats
};

// Not thread-safe. Works in the dtype that its parameters have: float32 while it is trained, float64 when its
// file is checked.
class FlowLayer : public torch::nn::Module {
 public:
  virtual LayerOutput Forward(const torch::Tensor& x,  // (n, c) or (n, c, h, w)
                              const Conditions& conditions) = 0;
  // Data-dependent initialisation; called once, with the first rows as they arrive here.
  virtual void Initialize(const torch::Tensor& /*x*/) {}
  // The same layer in the flow file's terms, from the parameters as they are.
  virtual Layer Export(const std::string& name) const = 0;
};

// The values of `t` in row-major order.
std::vector<double> ToVector(const torch::Tensor& t);

}  // namespace train
}  // namespace glowworm

#endif  // GLOWWORM_MODEL_TRAIN_FLOW_LAYER_H_
