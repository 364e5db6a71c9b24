// CouplingOp<T>: affine and additive coupling (Dinh et al. 2017, arXiv:1605.08803, section 3.2) on a tile:
// the net reads the identity channels, the transformed ones become s b + t. Tested by
// tests/model/differential_test.cc.

#ifndef GLOWWORM_MODEL_CPU_COUPLING_H_
#define GLOWWORM_MODEL_CPU_COUPLING_H_

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "model/cpu/conditioner.h"
#include "model/cpu/tile.h"
#include "model/plan.h"

namespace glowworm {

// Immutable after creation.
template <typename T>
class CouplingOp {
 public:
  // Op: AffineCoupling or AdditiveCoupling.
  template <typename Op>
  static absl::StatusOr<CouplingOp> Create(const Op& op, const EventShape& shape, int64_t context_size,
                                           int64_t max_tile_rows, PrimitiveSet* primitives);

  // x <- coupling(x), in place; adds log|det| to the rows' log_density.
  void Forward(const Tile<T>& tile) const;
  // x <- coupling^-1(x), in place; no log-det.
  void Inverse(const Tile<T>& tile) const;

 private:
  explicit CouplingOp(Conditioner<T> conditioner) : conditioner_(std::move(conditioner)) {}

  // Contiguous copies of the transformed channels and their parameters, (p, positions, T) each.
  struct Gathered {
    int64_t n = 0;  // numbers, a multiple of 16
    T *b, *shift, *scale, *log_scale;
  };
  Gathered Gather(const Tile<T>& tile) const;
  void MarkOverflow(const TileState& state, const T* input) const;  // input: (p, positions, identity)
  void Scatter(const Tile<T>& tile, const T* b) const;

  Conditioner<T> conditioner_;
  std::vector<int64_t> identity_, transformed_;
  std::optional<AffineTransform> affine_;  // none: additive
  int64_t channels_ = 0, positions_ = 0;
};

}  // namespace glowworm

#endif  // GLOWWORM_MODEL_CPU_COUPLING_H_
