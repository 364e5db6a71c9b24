// Implements model/cpu/coupling.h.

#include "model/cpu/coupling.h"

#include <algorithm>
#include <type_traits>
#include <utility>

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
  typename ElementMap<T>::Transform transform = AdditiveTransform{};
  if constexpr (!std::is_same_v<Op, AdditiveCoupling>) transform = op.transform;
  CouplingOp coupling(*std::move(conditioner), ElementMap<T>(transform));
  coupling.parameter_major_ = !std::is_same_v<Op, SplineCoupling>;
  coupling.identity_ = op.identity;
  coupling.transformed_ = op.transformed;
  coupling.channels_ = shape.channels;
  coupling.positions_ = shape.positions();
  return coupling;
}

template <typename T>
void CouplingOp<T>::Forward(const Tile<T>& tile) const {
  TileState& state = *tile.state;
  if (!map_.has_log_derivative()) return Run(tile, true, nullptr);
  const Arena::Mark mark = state.scratch.arena->mark();
  const int64_t per_row = positions_ * static_cast<int64_t>(transformed_.size());
  T* log_derivative = state.scratch.arena->template Take<T>(state.padded * per_row);
  Run(tile, true, log_derivative);
  AddLogDerivatives(&state, per_row, log_derivative);
  state.scratch.arena->Release(mark);
}

template <typename T>
void CouplingOp<T>::Run(const Tile<T>& tile, bool forward, T* log_derivative) const {
  const int64_t m = tile.state->padded * positions_;
  const auto changed = static_cast<int64_t>(transformed_.size());
  const auto kept = static_cast<int64_t>(identity_.size());
  Arena* arena = tile.state->scratch.arena;
  const Arena::Mark mark = arena->mark();
  T* b = arena->template Take<T>(m * changed);  // (p, positions, T)
  const typename Conditioner<T>::Buffers buffers = conditioner_.Allocate(tile);
  T* a = buffers.input();  // (p, positions, I)
  for (int64_t i = 0; i < m; ++i) {
    const T* x = tile.x + i * channels_;
    for (int64_t j = 0; j < kept; ++j) a[i * kept + j] = x[identity_[j]];
    for (int64_t j = 0; j < changed; ++j) b[i * changed + j] = x[transformed_[j]];
  }
  MarkOverflow(tile.state, positions_ * kept, a);
  const Parameters<T> parameters = ArrangeParameters(conditioner_.Run(tile, buffers), m, arena);
  if (forward) {
    map_.Forward(m * changed, parameters, b, log_derivative, arena);
  } else {
    map_.Inverse(m * changed, parameters, b, log_derivative, arena);
  }
  for (int64_t i = 0; i < m; ++i) {
    T* x = tile.x + i * channels_;
    for (int64_t j = 0; j < changed; ++j) x[transformed_[j]] = b[i * changed + j];
  }
  arena->Release(mark);
}

template <typename T>
Parameters<T> CouplingOp<T>::ArrangeParameters(T* net, int64_t m, Arena* arena) const {
  const int64_t count = map_.num_parameters();
  if (!parameter_major_) return {net, count, 1};
  const auto changed = static_cast<int64_t>(transformed_.size());
  const int64_t n = RoundUpToLane(m * changed);
  T* arranged = arena->template Take<T>(count * n);  // (P, n)
  for (int64_t i = 0; i < m; ++i) {
    for (int64_t j = 0; j < count; ++j) {
      std::copy_n(net + (i * count + j) * changed, changed, arranged + j * n + i * changed);
    }
  }
  return {arranged, 1, n};
}

template class CouplingOp<float>;
template class CouplingOp<double>;
#define GLOWWORM_CREATE(T, Op)                                                                        \
  template absl::StatusOr<CouplingOp<T>> CouplingOp<T>::Create(const Op&, const EventShape&, int64_t, \
                                                               int64_t, PrimitiveSet*)
GLOWWORM_CREATE(float, AffineCoupling);
GLOWWORM_CREATE(float, AdditiveCoupling);
GLOWWORM_CREATE(float, SplineCoupling);
GLOWWORM_CREATE(double, AffineCoupling);
GLOWWORM_CREATE(double, AdditiveCoupling);
GLOWWORM_CREATE(double, SplineCoupling);
#undef GLOWWORM_CREATE

}  // namespace glowworm
