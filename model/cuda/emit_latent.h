// EmitLatentOp<T>: a split or the base on a tile: takes channels out as latents, adds their log density, goes
// on with the rest. Twin: model/cpu/emit_latent.h. The densities are in normal_density.cu. Tested by
// tests/model/cuda/emit_latent_test.cc.

#ifndef GLOWWORM_MODEL_CUDA_EMIT_LATENT_H_
#define GLOWWORM_MODEL_CUDA_EMIT_LATENT_H_

#include <cstdint>
#include <optional>

#include "model/cuda/conditioner.h"
#include "model/cuda/constants.h"
#include "model/cuda/tile.h"
#include "model/plan.h"

namespace glowworm::cuda {

// Immutable after creation.
template <typename T>
class EmitLatentOp {
 public:
  EmitLatentOp(const EmitLatent& op, const EventShape& shape, int64_t context_size, ConstantPool* constants);

  // x: (rows, positions, emitted + kept) -> (rows, positions, kept). Writes the latents and adds their log
  // density, but for the plan's constant, to log_density or, per class, to class_log_density.
  void Forward(Tile<T>* tile) const;
  // Back: reads the latents, or makes them of the noise in their place. REQUIRES: of noise with class
  // densities, every row's class_label is 0 .. K-1.
  void Inverse(Tile<T>* tile) const;

 private:
  // The prior net's output on the kept channels in tile.x, (rows, positions, [mean (e) | log_scale (e)]), in
  // the tile's arena; null without a net.
  const T* RunPrior(const Tile<T>& tile) const;
  // Of the latents just written. `net` is the prior net's output on the kept channels, null without one.
  void AddDensity(const TileState& state, const T* net) const;
  // tile.x, the kept channels, and value(row, position, emitted channel) -> tile.y.
  template <typename Value>
  void PutChannels(const Tile<T>& tile, const Value& value) const;

  NormalDensity::Kind kind_;
  std::optional<Conditioner<T>> conditioner_;
  int64_t channels_, positions_, emitted_, kept_;
  int64_t latent_offset_;  // of the emitted numbers, (emitted, positions), in a row's latents
  Constant<int64_t> emit_, keep_;
  Constant<int64_t> source_;                       // (channels): emitted channel j, or -1 - kept channel
  Constant<double> mean_, inverse_scale_, scale_;  // (emitted, positions), or (K, emitted, positions)
  Constant<double> class_constant_;                // (K)
};

}  // namespace glowworm::cuda

#endif  // GLOWWORM_MODEL_CUDA_EMIT_LATENT_H_
