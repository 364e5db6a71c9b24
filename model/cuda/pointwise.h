// The small ops of a plan on a tile: elementwise affine, 1x1 mix, squeeze, logit. Twin:
// model/cpu/pointwise.h. Tested by tests/model/cuda/pointwise_test.cc.

#ifndef GLOWWORM_MODEL_CUDA_POINTWISE_H_
#define GLOWWORM_MODEL_CUDA_POINTWISE_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "model/cuda/constants.h"
#include "model/cuda/product.h"
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

// y = W x + b at each position, one product; x = W^-1 y + b'. An ill-conditioned W runs in float64 (`wide`).
template <typename T>
class MixOp {
 public:
  MixOp(const ChannelMix& op, const EventShape& shape, ConstantPool* constants);
  void Forward(Tile<T>* tile) const { Run(forward_, wide_forward_, tile); }
  void Inverse(Tile<T>* tile) const { Run(inverse_, wide_inverse_, tile); }

 private:
  template <typename P>
  struct BiasedProduct {
    Product<P> product;
    Constant<P> bias;  // (c), or empty: 0
  };
  template <typename P>
  static BiasedProduct<P> Make(int64_t channels, const std::vector<double>& weight,
                               const std::vector<double>& bias, ConstantPool* constants);
  void Run(const std::optional<BiasedProduct<T>>& narrow, const std::optional<BiasedProduct<double>>& wide,
           Tile<T>* tile) const;

  // Either the first pair or the second.
  std::optional<BiasedProduct<T>> forward_, inverse_;
  std::optional<BiasedProduct<double>> wide_forward_, wide_inverse_;
  int64_t channels_, positions_;
};

// (rows, h, w, c) -> (rows, h/2, w/2, 4c) and back.
template <typename T>
class SqueezeOp {
 public:
  SqueezeOp(const SqueezeMove& op, ConstantPool* constants);
  void Forward(Tile<T>* tile) const { Run(from_, tile); }
  void Inverse(Tile<T>* tile) const { Run(back_, tile); }

 private:
  void Run(const Constant<int32_t>& from, Tile<T>* tile) const;

  // (h w c): number i of the squeezed row is number from_[i] of the row before, and back_ is the other way.
  Constant<int32_t> from_, back_;
};

// y = log u - log(1 - u), u = alpha + (1 - 2 alpha) x, in place; marks rows with any u outside (0, 1).
template <typename T>
class LogitOp {
 public:
  LogitOp(const LogitMap& op, const EventShape& shape)
      : alpha_(static_cast<T>(op.alpha)), size_(shape.size()) {}
  void Forward(const Tile<T>& tile) const;
  void Inverse(const Tile<T>& tile) const;

 private:
  T alpha_;
  int64_t size_;  // numbers a row
};

}  // namespace glowworm::cuda

#endif  // GLOWWORM_MODEL_CUDA_POINTWISE_H_
