// CouplingOp<T>: coupling layers (Dinh et al. 2017, arXiv:1605.08803, section 3.2) on a tile: the net reads
// the identity channels and gives the parameters of a map of the transformed ones. Tested by
// tests/model/differential_test.cc.

#ifndef GLOWWORM_MODEL_CPU_COUPLING_H_
#define GLOWWORM_MODEL_CPU_COUPLING_H_

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "model/cpu/conditioner.h"
#include "model/cpu/element_map.h"
#include "model/cpu/tile.h"
#include "model/plan.h"

namespace glowworm {

// Immutable after creation.
template <typename T>
class CouplingOp {
 public:
  // Op: AffineCoupling, AdditiveCoupling or SplineCoupling.
  template <typename Op>
  static absl::StatusOr<CouplingOp> Create(const Op& op, const EventShape& shape, int64_t context_size,
                                           int64_t max_tile_rows, PrimitiveSet* primitives);

  // x <- coupling(x), in place; adds log|det| to the rows' log_density.
  void Forward(const Tile<T>& tile) const;
  // x <- coupling^-1(x), in place; no log-det.
  void Inverse(const Tile<T>& tile) const { Run(tile, false, nullptr); }

 private:
  CouplingOp(Conditioner<T> conditioner, ElementMap<T> map)
      : conditioner_(std::move(conditioner)), map_(std::move(map)) {}

  // log_derivative: (p, positions, T), or null.
  void Run(const Tile<T>& tile, bool forward, T* log_derivative) const;
  // The net's output as the map wants it.
  Parameters<T> ArrangeParameters(T* net, int64_t m, Arena* arena) const;

  Conditioner<T> conditioner_;
  ElementMap<T> map_;
  bool parameter_major_ = true;  // the net gives [first (T) | second (T) | ...], not a block a channel
  std::vector<int64_t> identity_, transformed_;
  int64_t channels_ = 0, positions_ = 0;
};

}  // namespace glowworm

#endif  // GLOWWORM_MODEL_CPU_COUPLING_H_
