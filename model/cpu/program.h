// Program<T>: a run of consecutive plan ops prepared for one number type. Only entry: Program::Create. Tested
// by tests/model/differential_test.cc.

#ifndef GLOWWORM_MODEL_CPU_PROGRAM_H_
#define GLOWWORM_MODEL_CPU_PROGRAM_H_

#include <cstdint>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "model/cpu/autoregressive.h"
#include "model/cpu/coupling.h"
#include "model/cpu/emit_latent.h"
#include "model/cpu/fixed_spline.h"
#include "model/cpu/pointwise.h"

namespace glowworm {

template <typename T>
using CpuOp = std::variant<AffineOp<T>, MixOp<T>, SqueezeOp<T>, LogitOp<T>, CouplingOp<T>, FixedSplineOp<T>,
                           AutoregressiveOp<T>, EmitLatentOp<T>>;

// Immutable after creation; Forward and Inverse are safe from several threads, each with its own tile.
template <typename T>
class Program {
 public:
  static absl::StatusOr<Program> Create(absl::Span<const PlanOp> ops, int64_t context_size,
                                        int64_t max_tile_rows, PrimitiveSet* primitives);

  void Forward(Tile<T>* tile) const;  // first op to last
  void Inverse(Tile<T>* tile) const;  // last to first

 private:
  std::vector<CpuOp<T>> ops_;
};

}  // namespace glowworm

#endif  // GLOWWORM_MODEL_CPU_PROGRAM_H_
