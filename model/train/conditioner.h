// Conditioner networks: from the identity half of a coupling (and the context) to the parameters of the other
// half. Their last layer starts at zero, so that a coupling starts near the identity. Tested by
// tests/model/train/layers_test.cc.

#ifndef GLOWWORM_MODEL_TRAIN_CONDITIONER_H_
#define GLOWWORM_MODEL_TRAIN_CONDITIONER_H_

#include <torch/nn/module.h>
#include <torch/types.h>

#include <cstdint>
#include <memory>

#include "model/flow_spec.h"

namespace glowworm {
namespace train {

class Conditioner : public torch::nn::Module {
 public:
  virtual torch::Tensor Forward(const torch::Tensor& x,             // (n, in) or (n, in, h, w)
                                const torch::Tensor& context) = 0;  // (n, s), or undefined
  virtual Net Export() const = 0;
};

// The training rows' context: nets read (context - mean) / deviation, which the file has inside their first
// layer.
struct ContextScale {
  torch::Tensor mean, deviation;  // (s) float64, or undefined without context
};

// dense, `blocks` residual blocks (ReLU, dense, ReLU, dropout, dense), dense; the context is appended to the
// input. REQUIRES: in, out, hidden >= 1
std::shared_ptr<Conditioner> MakeResidualMlp(int64_t in, const ContextScale& context, int64_t out,
                                             int64_t hidden, int64_t blocks, double dropout);
// conv 3x3, ReLU, conv 1x1, ReLU, conv 3x3, zero padding (Kingma & Dhariwal 2018, arXiv:1807.03039).
std::shared_ptr<Conditioner> MakeConvNet(int64_t in, int64_t out, int64_t hidden);
// conv 3x3 alone: the parameters of a split's prior.
std::shared_ptr<Conditioner> MakeConvPrior(int64_t in, int64_t out);

}  // namespace train
}  // namespace glowworm

#endif  // GLOWWORM_MODEL_TRAIN_CONDITIONER_H_
