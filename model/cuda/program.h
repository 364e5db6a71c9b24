// Program<T>: a run of consecutive plan ops prepared for one number type. Twin: model/cpu/program.h. Tested
// by tests/model/cuda/executor_test.cc.

#ifndef GLOWWORM_MODEL_CUDA_PROGRAM_H_
#define GLOWWORM_MODEL_CUDA_PROGRAM_H_

#include <cstdint>
#include <variant>
#include <vector>

#include "absl/types/span.h"
#include "model/cuda/autoregressive.h"
#include "model/cuda/constants.h"
#include "model/cuda/coupling.h"
#include "model/cuda/emit_latent.h"
#include "model/cuda/fixed_spline.h"
#include "model/cuda/pointwise.h"
#include "model/plan.h"

namespace glowworm::cuda {

template <typename T>
using CudaOp = std::variant<AffineOp<T>, MixOp<T>, SqueezeOp<T>, LogitOp<T>, CouplingOp<T>, FixedSplineOp<T>,
                            AutoregressiveOp<T>, EmitLatentOp<T>>;

// Immutable after creation; Forward and Inverse are safe from several threads, each with its own tile.
template <typename T>
class Program {
 public:
  Program(absl::Span<const PlanOp> ops, int64_t context_size, ConstantPool* constants);

  void Forward(Tile<T>* tile) const;  // first op to last
  void Inverse(Tile<T>* tile) const;  // last to first

 private:
  std::vector<CudaOp<T>> ops_;
};

}  // namespace glowworm::cuda

#endif  // GLOWWORM_MODEL_CUDA_PROGRAM_H_
