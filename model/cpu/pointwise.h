// The small ops of a plan on a tile: elementwise affine, 1x1 mix, squeeze, logit. Tested by
// tests/model/differential_test.cc.

#ifndef GLOWWORM_MODEL_CPU_POINTWISE_H_
#define GLOWWORM_MODEL_CPU_POINTWISE_H_

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "model/cpu/product.h"
#include "model/cpu/tile.h"
#include "model/plan.h"

namespace glowworm {

// y = scale x + shift, in place. The log-det is in the plan's constant.
template <typename T>
class AffineOp {
 public:
  AffineOp(const ElementwiseAffine& op, const EventShape& shape);
  void Forward(const Tile<T>& tile) const;
  void Inverse(const Tile<T>& tile) const;

 private:
  std::vector<T> scale_, shift_;  // (positions, c)
};

// y = W x + b at each position, one product; x = W^-1 y + b'. An ill-conditioned W runs in float64 (`wide`).
template <typename T>
class MixOp {
 public:
  static absl::StatusOr<MixOp> Create(const ChannelMix& op, const EventShape& shape, int64_t max_tile_rows,
                                      PrimitiveSet* primitives);
  void Forward(Tile<T>* tile) const { Run(forward_, wide_forward_, tile); }
  void Inverse(Tile<T>* tile) const { Run(inverse_, wide_inverse_, tile); }

 private:
  MixOp() = default;
  void Run(const std::optional<Product<T>>& product, const std::optional<Product<double>>& wide,
           Tile<T>* tile) const;

  // Either the first pair or the second.
  std::optional<Product<T>> forward_, inverse_;
  std::optional<Product<double>> wide_forward_, wide_inverse_;
  int64_t size_ = 0;  // numbers a row
};

// (p, h, w, c) -> (p, h/2, w/2, 4c) and back.
template <typename T>
class SqueezeOp {
 public:
  explicit SqueezeOp(const SqueezeMove& op);
  void Forward(Tile<T>* tile) const;
  void Inverse(Tile<T>* tile) const;

 private:
  std::vector<int64_t> from_;  // (h w c): number i of the squeezed row is number from_[i] of the row before
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
  int64_t size_;
};

}  // namespace glowworm

#endif  // GLOWWORM_MODEL_CPU_POINTWISE_H_
