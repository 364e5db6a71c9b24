// LinearLayer: y = W x over channels, at each position, with W invertible: the invertible 1x1 convolution in
// the forms that can be compared. Only entry: MakeLinear(). Tested by tests/model/train/linear_test.cc.

#ifndef GLOWWORM_MODEL_TRAIN_LINEAR_LAYER_H_
#define GLOWWORM_MODEL_TRAIN_LINEAR_LAYER_H_

#include <torch/types.h>

#include <cstdint>
#include <memory>

#include "model/train/flow_layer.h"

namespace glowworm {
namespace train {

enum class LinearKind { kPlu, kQr, kFull, kLearnedPermutation };
// s = exp(s~) or softplus(s~): positive, so that W stays invertible whatever the optimiser does.
enum class DiagonalMap { kExp, kSoftplus };
// kRotation: W starts as a random orthogonal matrix. kIdentity: the factors start at the identity, so that a
// plu W is its fixed random permutation.
enum class LinearInit { kRotation, kIdentity };

struct LinearOptions {
  LinearKind kind = LinearKind::kPlu;
  DiagonalMap diagonal_map = DiagonalMap::kExp;
  LinearInit init = LinearInit::kRotation;
};

class LinearLayer : public FlowLayer {
 public:
  // W as it is used in evaluation, (c, c) float64.
  virtual torch::Tensor Weight() const = 0;
  // diag s, (c) float64; undefined where the form has none.
  virtual torch::Tensor Scales() const { return {}; }
  // Divides W by the geometric mean g of s, the whole rows of U + diag s with it, and returns g; 1 where
  // there is no s. The caller gives g to the actnorm before, so that the flow stays the same function.
  virtual double NormalizeScale() { return 1; }
  // How far training has come, 0 to 1: anneals a learned permutation.
  virtual void SetProgress(double /*fraction*/) {}
};

// Draws its start from torch's default generator. REQUIRES: channels >= 1
std::shared_ptr<LinearLayer> MakeLinear(int64_t channels, const LinearOptions& options);

}  // namespace train
}  // namespace glowworm

#endif  // GLOWWORM_MODEL_TRAIN_LINEAR_LAYER_H_
