// The triangular factors of W as they are stored and optimised: the strict half of a matrix as a vector of
// c(c-1)/2 numbers, row by row, as the flow file has it; and U + diag s. Tested by
// tests/model/train/linear_test.cc.

#ifndef GLOWWORM_MODEL_TRAIN_TRIANGULAR_H_
#define GLOWWORM_MODEL_TRAIN_TRIANGULAR_H_

#include <torch/nn/module.h>
#include <torch/types.h>

#include <cstdint>

#include "model/train/linear_layer.h"

namespace glowworm {
namespace train {

// Where the entries of a strict half stand in a (c, c) matrix.
class StrictHalf {
 public:
  static StrictHalf Lower(int64_t channels);
  static StrictHalf Upper(int64_t channels);
  // (c(c-1)/2) -> (c, c), zero elsewhere; differentiable.
  torch::Tensor Unpack(const torch::Tensor& packed) const;
  // (c, c) -> (c(c-1)/2).
  torch::Tensor Pack(const torch::Tensor& matrix) const;

 private:
  StrictHalf(int64_t channels, const torch::Tensor& row_and_column);
  int64_t channels_;
  mutable torch::Tensor positions_;  // (c(c-1)/2) int64 in the flat matrix; follows what it is used on
};

// R = U + diag s with U strictly upper and s > 0; log|det R| = sum of log s. Not thread-safe.
class ScaledUpper : public torch::nn::Module {
 public:
  // Starts at the upper triangle of `start`, whose lower one is not read. REQUIRES: a positive diagonal
  ScaledUpper(const torch::Tensor& start, DiagonalMap map);

  torch::Tensor Compose(torch::ScalarType dtype) const;  // R, (c, c)
  torch::Tensor LogDet() const;                          // (), in the parameters' dtype; O(c)
  torch::Tensor Scales() const;                          // s, (c) float64
  torch::Tensor LogScales() const;                       // log s, (c) float64
  const torch::Tensor& upper() const { return upper_; }  // U's strict half
  // Divides R by the geometric mean of s, which it returns.
  double NormalizeScale();

 private:
  const DiagonalMap map_;
  const StrictHalf half_;
  torch::Tensor upper_;  // (c(c-1)/2)
  torch::Tensor raw_s_;  // s~, (c)
};

}  // namespace train
}  // namespace glowworm

#endif  // GLOWWORM_MODEL_TRAIN_TRIANGULAR_H_
