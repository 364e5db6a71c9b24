// FixedSplineOp<T>: splines with parameters of their own on some channels of a tile, their bins computed at
// load. Twin: model/cpu/fixed_spline.h. Tested by tests/model/cuda/coupling_test.cc.

#ifndef GLOWWORM_MODEL_CUDA_FIXED_SPLINE_H_
#define GLOWWORM_MODEL_CUDA_FIXED_SPLINE_H_

#include <cstdint>

#include "model/cuda/constants.h"
#include "model/cuda/tile.h"
#include "model/plan.h"

namespace glowworm::cuda {

// Immutable after creation.
template <typename T>
class FixedSplineOp {
 public:
  FixedSplineOp(const FixedSpline& op, const EventShape& shape, ConstantPool* constants);

  // x <- spline(x), in place; adds log|det| to the rows' log_density.
  void Forward(const Tile<T>& tile) const;
  // x <- spline^-1(x), in place; no log-det.
  void Inverse(const Tile<T>& tile) const { Run(tile, false, nullptr); }

 private:
  void Run(const Tile<T>& tile, bool forward, T* log_derivative) const;

  double tail_bound_;
  int32_t num_bins_;            // K
  Constant<int32_t> channels_;  // (n)
  Constant<double> bins_;       // (n, K, 6): each a SplineBin (spline.h)
  int64_t width_, positions_;
};

}  // namespace glowworm::cuda

#endif  // GLOWWORM_MODEL_CUDA_FIXED_SPLINE_H_
