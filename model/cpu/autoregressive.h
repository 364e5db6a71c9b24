// AutoregressiveOp<T>: masked autoregressive layers on a tile (Papamakarios et al. 2017, arXiv:1705.07057;
// inverse: Kingma et al. 2016, arXiv:1606.04934). The parallel direction is one pass of the net; the other
// goes feature by feature through sequential_net.h, in T also where conditioners multiply in bfloat16. Tested
// by tests/model/differential_test.cc.

#ifndef GLOWWORM_MODEL_CPU_AUTOREGRESSIVE_H_
#define GLOWWORM_MODEL_CPU_AUTOREGRESSIVE_H_

#include <cstdint>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "model/cpu/conditioner.h"
#include "model/cpu/element_map.h"
#include "model/cpu/sequential_net.h"
#include "model/cpu/tile.h"
#include "model/plan.h"

namespace glowworm {

// Immutable after creation.
template <typename T>
class AutoregressiveOp {
 public:
  static absl::StatusOr<AutoregressiveOp> Create(const AutoregressiveMap& op, int64_t context_size,
                                                 int64_t max_tile_rows, PrimitiveSet* primitives);

  // x -> z, in place; adds log|det| to the rows' log_density.
  void Forward(const Tile<T>& tile) const;
  // z -> x, in place; no log-det.
  void Inverse(const Tile<T>& tile) const;

 private:
  AutoregressiveOp(Conditioner<T> conditioner, ElementMap<T> map, SequentialNet<T> sequential)
      : conditioner_(std::move(conditioner)), map_(std::move(map)), sequential_(std::move(sequential)) {}

  // v <- map(v) with parameters from v as it was, log_derivative (p, D), or null.
  void RunParallel(const Tile<T>& tile, T* log_derivative) const;
  // v <- map^-1(v) with parameters from the result, log_derivative (p, D) of the inverse, or null.
  void RunSequential(const Tile<T>& tile, T* log_derivative) const;
  // The same on rows first .. first + count - 1, at most 16.
  void RunGroup(const Tile<T>& tile, int64_t first, int64_t count, T* log_derivative) const;

  Conditioner<T> conditioner_;
  ElementMap<T> map_;
  SequentialNet<T> sequential_;
  ParallelDirection parallel_ = ParallelDirection::kForward;
  bool is_affine_ = true;
  std::vector<int64_t> features_;  // (D) feature i is the tile's channel features_[i]
  std::vector<int64_t> order_;     // (D)
  int64_t context_size_ = 0;
};

}  // namespace glowworm

#endif  // GLOWWORM_MODEL_CPU_AUTOREGRESSIVE_H_
