// Implements model/cpu/coupling.h.

#include "model/cpu/coupling.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>
#include <utility>

#include "model/cpu/elementwise.h"
#include "model/cpu/scale_map.h"

namespace glowworm {

template <typename T>
template <typename Op>
absl::StatusOr<CouplingOp<T>> CouplingOp<T>::Create(const Op& op, const EventShape& shape,
                                                    int64_t context_size, int64_t max_tile_rows,
                                                    PrimitiveSet* primitives) {
  const auto inputs = static_cast<int64_t>(op.identity.size());
  auto conditioner = Conditioner<T>::Create(op.net, {inputs, shape.height, shape.width, context_size},
                                            max_tile_rows, primitives);
  if (!conditioner.ok()) return conditioner.status();
  CouplingOp coupling(*std::move(conditioner));
  coupling.identity_ = op.identity;
  coupling.transformed_ = op.transformed;
  if constexpr (std::is_same_v<Op, AffineCoupling>) coupling.affine_ = op.transform;
  coupling.channels_ = shape.channels;
  coupling.positions_ = shape.positions();
  return coupling;
}

template <typename T>
typename CouplingOp<T>::Gathered CouplingOp<T>::Gather(const Tile<T>& tile) const {
  const int64_t m = tile.state->padded * positions_;
  const auto changed = static_cast<int64_t>(transformed_.size());
  const auto kept = static_cast<int64_t>(identity_.size());
  Arena& arena = *tile.state->scratch.arena;
  Gathered g;
  g.n = RoundUpToLane(m * changed);
  g.b = arena.Take<T>(g.n);
  g.shift = arena.Take<T>(g.n);
  if (affine_) {
    g.scale = arena.Take<T>(g.n);
    g.log_scale = arena.Take<T>(g.n);
  }
  const Arena::Mark mark = arena.mark();
  const typename Conditioner<T>::Buffers buffers = conditioner_.Allocate(tile);
  T* input = buffers.input();
  for (int64_t i = 0; i < m; ++i) {
    const T* x = tile.x + i * channels_;
    for (int64_t j = 0; j < kept; ++j) input[i * kept + j] = x[identity_[j]];
    for (int64_t j = 0; j < changed; ++j) g.b[i * changed + j] = x[transformed_[j]];
  }
  MarkOverflow(*tile.state, input);
  const T* parameters = conditioner_.Run(tile, buffers);  // (p, positions, [shift | raw scale])
  const int64_t width = conditioner_.out_width();
  for (int64_t i = 0; i < m; ++i) {
    std::copy_n(parameters + i * width, changed, g.shift + i * changed);
    if (affine_) std::copy_n(parameters + i * width + changed, changed, g.scale + i * changed);
  }
  arena.Release(mark);
  if (affine_) MapScale(*affine_, g.n, g.scale, g.scale, g.log_scale);
  return g;
}

// A network's sums may overflow where its input's square would, and a ReLU turns the NaN that follows into a
// zero: nobody would see it in the result.
template <typename T>
void CouplingOp<T>::MarkOverflow(const TileState& state, const T* input) const {
  const T limit = std::sqrt(std::numeric_limits<T>::max());
  const int64_t per_row = positions_ * static_cast<int64_t>(identity_.size());
  for (int64_t r = 0; r < state.rows; ++r) {
    const T* row = input + r * per_row;
    bool fits = true;
    for (int64_t i = 0; i < per_row; ++i) fits &= std::abs(row[i]) <= limit;
    if (!fits) state.overflow[r] = 1;
  }
}

template <typename T>
void CouplingOp<T>::Scatter(const Tile<T>& tile, const T* b) const {
  const int64_t m = tile.state->padded * positions_;
  const auto changed = static_cast<int64_t>(transformed_.size());
  for (int64_t i = 0; i < m; ++i) {
    T* x = tile.x + i * channels_;
    for (int64_t j = 0; j < changed; ++j) x[transformed_[j]] = b[i * changed + j];
  }
}

template <typename T>
void CouplingOp<T>::Forward(const Tile<T>& tile) const {
  Arena& arena = *tile.state->scratch.arena;
  const Arena::Mark mark = arena.mark();
  const Gathered g = Gather(tile);
  Lanes<T> b(g.b, g.n);
  const ConstLanes<T> t(g.shift, g.n);
  if (!affine_) {
    b += t;
  } else {
    const ConstLanes<T> s(g.scale, g.n);
    if (affine_->order == AffineOrder::kScaleThenShift) {
      b = s * b + t;
    } else {
      b = (b + t) * s;
    }
    const int64_t per_row = positions_ * static_cast<int64_t>(transformed_.size());
    for (int64_t r = 0; r < tile.state->rows; ++r) {
      double sum = 0;
      for (int64_t i = 0; i < per_row; ++i) sum += g.log_scale[r * per_row + i];
      tile.state->log_density[r] += sum;
    }
  }
  Scatter(tile, g.b);
  arena.Release(mark);
}

template <typename T>
void CouplingOp<T>::Inverse(const Tile<T>& tile) const {
  Arena& arena = *tile.state->scratch.arena;
  const Arena::Mark mark = arena.mark();
  const Gathered g = Gather(tile);
  Lanes<T> b(g.b, g.n);
  const ConstLanes<T> t(g.shift, g.n);
  if (!affine_) {
    b -= t;
  } else {
    const ConstLanes<T> s(g.scale, g.n);
    if (affine_->order == AffineOrder::kScaleThenShift) {
      b = (b - t) / s;
    } else {
      b = b / s - t;
    }
  }
  Scatter(tile, g.b);
  arena.Release(mark);
}

template class CouplingOp<float>;
template class CouplingOp<double>;
#define GLOWWORM_CREATE(T, Op)                                                                        \
  template absl::StatusOr<CouplingOp<T>> CouplingOp<T>::Create(const Op&, const EventShape&, int64_t, \
                                                               int64_t, PrimitiveSet*)
GLOWWORM_CREATE(float, AffineCoupling);
GLOWWORM_CREATE(float, AdditiveCoupling);
GLOWWORM_CREATE(double, AffineCoupling);
GLOWWORM_CREATE(double, AdditiveCoupling);
#undef GLOWWORM_CREATE

}  // namespace glowworm
