// EmitLatentOp<T>: moving numbers out of and into the tile. The densities are in normal_density.cc.

#include "model/cpu/emit_latent.h"

#include <algorithm>

namespace glowworm {

template <typename T>
absl::StatusOr<EmitLatentOp<T>> EmitLatentOp<T>::Create(const EmitLatent& op, const EventShape& shape,
                                                        int64_t context_size, int64_t max_tile_rows,
                                                        PrimitiveSet* primitives) {
  EmitLatentOp out(op);
  out.channels_ = shape.channels;
  out.positions_ = shape.positions();
  out.emitted_ = static_cast<int64_t>(op.emit.size());
  out.kept_ = static_cast<int64_t>(op.keep.size());
  out.op_.density.net = Net{};
  if (op.density.kind == NormalDensity::Kind::kNet) {
    auto conditioner = Conditioner<T>::Create(
        op.density.net, {out.kept_, shape.height, shape.width, context_size}, max_tile_rows, primitives);
    if (!conditioner.ok()) return conditioner.status();
    out.conditioner_ = *std::move(conditioner);
  }
  return out;
}

template <typename T>
void EmitLatentOp<T>::Forward(Tile<T>* tile) const {
  TileState& state = *tile->state;
  Arena& arena = *state.scratch.arena;
  const Arena::Mark mark = arena.mark();
  const int64_t m = state.padded * positions_;
  T* z = arena.Take<T>(m * emitted_);
  for (int64_t i = 0; i < m; ++i) {
    const T* x = tile->x + i * channels_;
    for (int64_t j = 0; j < emitted_; ++j) z[i * emitted_ + j] = x[op_.emit[j]];
    for (int64_t j = 0; j < kept_; ++j) tile->y[i * kept_ + j] = x[op_.keep[j]];
  }
  tile->Swap();
  if (state.latent != nullptr) {  // (positions, emitted) -> (emitted, positions)
    for (int64_t r = 0; r < state.rows; ++r) {
      double* latent = state.latent + r * state.latent_size + op_.latent_offset;
      const T* from = z + r * positions_ * emitted_;
      for (int64_t p = 0; p < positions_; ++p) {
        for (int64_t j = 0; j < emitted_; ++j) latent[j * positions_ + p] = from[p * emitted_ + j];
      }
    }
  }
  AddDensity(*tile, z, RunPrior(*tile));
  arena.Release(mark);
}

template <typename T>
void EmitLatentOp<T>::Inverse(Tile<T>* tile) const {
  TileState& state = *tile->state;
  Arena& arena = *state.scratch.arena;
  const Arena::Mark mark = arena.mark();
  const int64_t m = state.padded * positions_;
  T* z = arena.Take<T>(m * emitted_);
  std::fill_n(z, m * emitted_, T(0));
  if (state.latent_is_noise) {
    FromNoise(state, RunPrior(*tile), z);
  } else {
    for (int64_t r = 0; r < state.rows; ++r) {
      const double* latent = state.latent + r * state.latent_size + op_.latent_offset;
      T* to = z + r * positions_ * emitted_;
      for (int64_t p = 0; p < positions_; ++p) {
        for (int64_t j = 0; j < emitted_; ++j)
          to[p * emitted_ + j] = static_cast<T>(latent[j * positions_ + p]);
      }
    }
  }
  for (int64_t i = 0; i < m; ++i) {
    T* x = tile->y + i * channels_;
    for (int64_t j = 0; j < emitted_; ++j) x[op_.emit[j]] = z[i * emitted_ + j];
    for (int64_t j = 0; j < kept_; ++j) x[op_.keep[j]] = tile->x[i * kept_ + j];
  }
  tile->Swap();
  arena.Release(mark);
}

template <typename T>
const T* EmitLatentOp<T>::RunPrior(const Tile<T>& tile) const {
  if (!conditioner_) return nullptr;
  const auto buffers = conditioner_->Allocate(tile);
  std::copy_n(tile.x, tile.state->padded * positions_ * kept_, buffers.input());
  return conditioner_->Run(tile, buffers);
}

template class EmitLatentOp<float>;
template class EmitLatentOp<double>;

}  // namespace glowworm
