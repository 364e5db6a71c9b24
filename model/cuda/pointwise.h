// The small ops of a plan on a tile: elementwise affine, 1x1 mix, squeeze, logit. Twin:
// model/cpu/pointwise.h. Tested by tests/model/cuda/pointwise_test.cc.

#ifndef GLOWWORM_MODEL_CUDA_POINTWISE_H_
#define GLOWWORM_MODEL_CUDA_POINTWISE_H_

#include <cstdint>

#include "model/cuda/constants.h"
#include "model/cuda/tile.h"
#include "model/plan.h"

namespace glowworm::cuda {

// y = scale x + shift, in place. The log-det is in the plan's constant.
template <typename T>
class AffineOp {
 public:
  AffineOp(const ElementwiseAffine& op, const EventShape& shape, ConstantPool* constants);
  void Forward(const Tile<T>& tile) const;
  void Inverse(const Tile<T>& tile) const;

 private:
  int64_t size_;               // numbers a row
  Constant<T> scale_, shift_;  // (positions, c)
};

}  // namespace glowworm::cuda

#endif  // GLOWWORM_MODEL_CUDA_POINTWISE_H_
