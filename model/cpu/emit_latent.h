// EmitLatentOp<T>: a split or the base on a tile: takes channels out as latents, adds their log density, goes
// on with the rest (Dinh et al. 2017, section 3.6). Twin: normal_density.h. Tested by
// tests/model/differential_test.cc.

#ifndef GLOWWORM_MODEL_CPU_EMIT_LATENT_H_
#define GLOWWORM_MODEL_CPU_EMIT_LATENT_H_

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
class EmitLatentOp {
 public:
  static absl::StatusOr<EmitLatentOp> Create(const EmitLatent& op, const EventShape& shape,
                                             int64_t context_size, int64_t max_tile_rows,
                                             PrimitiveSet* primitives);

  // x: (p, positions, emitted + kept) -> (p, positions, kept). Writes the latents if they are wanted, and
  // adds their log density, but for the plan's constant, to log_density or, per class, to class_log_density.
  void Forward(Tile<T>* tile) const;
  // Back: reads the latents, or makes them of the noise in their place.
  void Inverse(Tile<T>* tile) const;

 private:
  explicit EmitLatentOp(const EmitLatent& op) : op_(op) {}

  // The prior net's output on the kept channels in tile.x, in the tile's arena; null without a net.
  const T* RunPrior(const Tile<T>& tile) const;
  // z: (p, positions, emitted). `net` is the prior net's output on the kept channels, null without one.
  void AddDensity(const Tile<T>& tile, const T* z, const T* net) const;
  void AddFixedDensity(const TileState& state, const T* z) const;
  void AddClassDensity(const TileState& state, const T* z) const;
  void AddNetDensity(const TileState& state, const T* z, const T* net) const;
  // Noise -> latents, row by row.
  void FromNoise(const TileState& state, const T* net, T* z) const;

  EmitLatent op_;  // its Net emptied: conditioner_ holds it
  std::optional<Conditioner<T>> conditioner_;
  int64_t channels_ = 0, positions_ = 0, emitted_ = 0, kept_ = 0;
};

}  // namespace glowworm

#endif  // GLOWWORM_MODEL_CPU_EMIT_LATENT_H_
