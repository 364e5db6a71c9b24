// NormalBase: the density of the final latent: a normal with a mean and deviation an element, or one such for
// each class. Tested by tests/model/train/layers_test.cc.

#ifndef GLOWWORM_MODEL_TRAIN_NORMAL_BASE_H_
#define GLOWWORM_MODEL_TRAIN_NORMAL_BASE_H_

#include <torch/nn/module.h>
#include <torch/types.h>

#include <cstdint>
#include <vector>

#include "model/flow_spec.h"
#include "model/train/flow_layer.h"

namespace glowworm {
namespace train {

// Sum over all but the rows of log N(z; mean, exp(log_scale)^2), (n), nats.
torch::Tensor NormalLogDensity(const torch::Tensor& z, const torch::Tensor& mean,
                               const torch::Tensor& log_scale);

class NormalBase : public torch::nn::Module {
 public:
  // class_rows[k]: the training rows of class k, the weights of the mixture; empty: no classes.
  NormalBase(const EventShape& event, const std::vector<int64_t>& class_rows);
  // (n), nats; of each row's class where it has a label, of the mixture where the flow has classes and the
  // row has none.
  torch::Tensor LogProb(const torch::Tensor& z,  // (n, c) or (n, c, h, w)
                        const Conditions& conditions);
  Base Export() const;

 private:
  const int64_t num_classes_;
  torch::Tensor mean_;        // (c) or (c, h, w); with classes (K, D)
  torch::Tensor log_scale_;   // same
  torch::Tensor log_weight_;  // (K), fixed
};

}  // namespace train
}  // namespace glowworm

#endif  // GLOWWORM_MODEL_TRAIN_NORMAL_BASE_H_
