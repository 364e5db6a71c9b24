// CouplingOp<T>: coupling layers (Dinh et al. 2017, arXiv:1605.08803, section 3.2) on a tile: the net reads
// the identity channels and gives the parameters of a map of the transformed ones. Twin:
// model/cpu/coupling.h. Tested by tests/model/cuda/coupling_test.cc.

#ifndef GLOWWORM_MODEL_CUDA_COUPLING_H_
#define GLOWWORM_MODEL_CUDA_COUPLING_H_

#include <cstdint>
#include <vector>

#include "model/cuda/conditioner.h"
#include "model/cuda/constants.h"
#include "model/cuda/element_map.h"
#include "model/cuda/tile.h"
#include "model/plan.h"

namespace glowworm::cuda {

// Immutable after creation.
template <typename T>
class CouplingOp {
 public:
  CouplingOp(const AffineCoupling& op, const EventShape& shape, int64_t context_size,
             ConstantPool* constants);
  CouplingOp(const AdditiveCoupling& op, const EventShape& shape, int64_t context_size,
             ConstantPool* constants);
  CouplingOp(const SplineCoupling& op, const EventShape& shape, int64_t context_size,
             ConstantPool* constants);

  // x <- coupling(x), in place; adds log|det| to the rows' log_density.
  void Forward(const Tile<T>& tile) const;
  // x <- coupling^-1(x), in place; no log-det.
  void Inverse(const Tile<T>& tile) const { Run(tile, false, nullptr); }

 private:
  template <typename Op>
  CouplingOp(const Op& op, const typename ElementMap<T>::Transform& transform, bool parameter_major,
             const EventShape& shape, int64_t context_size, ConstantPool* constants);

  // log_derivative: (rows, positions, T), or null.
  void Run(const Tile<T>& tile, bool forward, T* log_derivative) const;

  Conditioner<T> conditioner_;
  ElementMap<T> map_;
  bool parameter_major_;  // the net gives [first (T) | second (T) | ...], not a block a channel
  Constant<int32_t> identity_, transformed_;
  int64_t channels_, positions_;
};

}  // namespace glowworm::cuda

#endif  // GLOWWORM_MODEL_CUDA_COUPLING_H_
