// FixedSplineOp<T>: splines with parameters of their own on some channels of a tile, their knots computed at
// load. Tested by tests/model/differential_test.cc.

#ifndef GLOWWORM_MODEL_CPU_FIXED_SPLINE_H_
#define GLOWWORM_MODEL_CPU_FIXED_SPLINE_H_

#include <cstdint>
#include <memory>
#include <vector>

#include "model/cpu/spline.h"
#include "model/cpu/tile.h"
#include "model/plan.h"

namespace glowworm {

// Immutable after creation.
template <typename T>
class FixedSplineOp {
 public:
  FixedSplineOp(const FixedSpline& op, const EventShape& shape);

  // x <- spline(x), in place; adds log|det| to the rows' log_density.
  void Forward(const Tile<T>& tile) const;
  // x <- spline^-1(x), in place; no log-det.
  void Inverse(const Tile<T>& tile) const;

 private:
  void Run(const Tile<T>& tile, bool forward, T* log_derivative) const;

  SplineTransform transform_;
  std::vector<int64_t> channels_;   // (n)
  std::vector<SplineKnots> knots_;  // (n), in arena_, the same spline in all 16 places
  std::unique_ptr<Arena> arena_;
  int64_t width_ = 0, positions_ = 0;
};

}  // namespace glowworm

#endif  // GLOWWORM_MODEL_CPU_FIXED_SPLINE_H_
