// QrLinear: W = Q (U + diag s), with Q a product of Householder reflectors, U strictly upper and s > 0, so
// that log|det W| = sum of log s costs O(c) and no choice of a permutation is left (Hoogeboom et al. 2019,
// arXiv:1901.11137). Tested by tests/model/train/linear_test.cc.

#ifndef GLOWWORM_MODEL_TRAIN_QR_LINEAR_H_
#define GLOWWORM_MODEL_TRAIN_QR_LINEAR_H_

#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <string>

#include "model/train/linear_layer.h"
#include "model/train/triangular.h"

namespace glowworm {
namespace train {

// U = 0 and s = 1 at the start, where W = Q: of c random reflectors (kRotation), or the identity (kIdentity).
//
// One reflector is never the identity, two equal ones are: the identity starts from pairs of equal random
// reflectors, which the gradient pulls apart, each in its own plane. With an odd c that is c - 1 of them: an
// odd number of reflectors has the determinant -1, and c - 1 reach every rotation of an odd dimension, which
// has an axis.
class QrLinear : public LinearLayer {
 public:
  QrLinear(int64_t channels, DiagonalMap map, LinearInit init);
  LayerOutput Forward(const torch::Tensor& x, const Conditions& conditions) override;
  Layer Export(const std::string& name) const override;
  torch::Tensor Weight() const override;
  torch::Tensor Scales() const override { return scaled_upper_->Scales(); }
  double NormalizeScale() override { return scaled_upper_->NormalizeScale(); }

 private:
  torch::Tensor Compose(torch::ScalarType dtype) const;  // W, (c, c)

  torch::Tensor reflectors_;  // (k, c), not normalised; the first acts first
  std::shared_ptr<ScaledUpper> scaled_upper_;
};

}  // namespace train
}  // namespace glowworm

#endif  // GLOWWORM_MODEL_TRAIN_QR_LINEAR_H_
