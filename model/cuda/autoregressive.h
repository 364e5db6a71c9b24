// AutoregressiveOp<T>: masked autoregressive layers on a tile. The parallel direction is one pass of the net;
// the other goes feature by feature through sequential_net.h, all rows side by side. Twin:
// model/cpu/autoregressive.h. Tested by tests/model/cuda/autoregressive_test.cc.

#ifndef GLOWWORM_MODEL_CUDA_AUTOREGRESSIVE_H_
#define GLOWWORM_MODEL_CUDA_AUTOREGRESSIVE_H_

#include <cstdint>
#include <vector>

#include "model/cuda/conditioner.h"
#include "model/cuda/constants.h"
#include "model/cuda/element_map.h"
#include "model/cuda/sequential_net.h"
#include "model/cuda/tile.h"
#include "model/plan.h"

namespace glowworm::cuda {

// Immutable after creation.
template <typename T>
class AutoregressiveOp {
 public:
  AutoregressiveOp(const AutoregressiveMap& op, int64_t context_size, ConstantPool* constants);

  // x -> z, in place; adds log|det| to the rows' log_density.
  void Forward(const Tile<T>& tile) const;
  // z -> x, in place; no log-det.
  void Inverse(const Tile<T>& tile) const;

 private:
  // x <- map(x) with parameters from x as it was, log_derivative (rows, D), or null.
  void RunParallel(const Tile<T>& tile, T* log_derivative) const;
  // x <- map^-1(x) with parameters from the result, log_derivative (rows, D) of the inverse, or null.
  void RunSequential(const Tile<T>& tile, T* log_derivative) const;
  // The same of feature order[k]. units: SequentialNet's. parameters: (P, rows).
  void Step(const Tile<T>& tile, int64_t k, T* units, T* parameters, T* log_derivative) const;

  Conditioner<T> conditioner_;
  ElementMap<T> map_;
  SequentialNet<T> sequential_;
  ParallelDirection parallel_;
  std::vector<int64_t> order_;  // (D)
  Constant<int32_t> features_;  // (D) feature i is the tile's channel features_[i]
  Constant<int32_t> in_order_;  // (D) the channel of feature order_[k]
};

}  // namespace glowworm::cuda

#endif  // GLOWWORM_MODEL_CUDA_AUTOREGRESSIVE_H_
