// Implements model/cpu/autoregressive.h.

#include "model/cpu/autoregressive.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <variant>

namespace glowworm {

template <typename T>
absl::StatusOr<AutoregressiveOp<T>> AutoregressiveOp<T>::Create(const AutoregressiveMap& op,
                                                                int64_t context_size, int64_t max_tile_rows,
                                                                PrimitiveSet* primitives) {
  const auto d = static_cast<int64_t>(op.features.size());
  auto conditioner = Conditioner<T>::Create(op.net, {d, 1, 1, context_size}, max_tile_rows, primitives);
  if (!conditioner.ok()) return conditioner.status();
  typename ElementMap<T>::Transform transform;
  std::visit([&](const auto& t) { transform = t; }, op.transform);
  AutoregressiveOp out(*std::move(conditioner), ElementMap<T>(transform),
                       SequentialNet<T>(op.net, op.order, context_size));
  out.parallel_ = op.parallel;
  out.is_affine_ = std::holds_alternative<AffineTransform>(op.transform);
  out.features_ = op.features;
  out.order_ = op.order;
  out.context_size_ = context_size;
  return out;
}

template <typename T>
void AutoregressiveOp<T>::Forward(const Tile<T>& tile) const {
  TileState& state = *tile.state;
  const Arena::Mark mark = state.scratch.arena->mark();
  const auto d = static_cast<int64_t>(features_.size());
  T* log_derivative = state.scratch.arena->template Take<T>(state.padded * d);
  if (parallel_ == ParallelDirection::kForward) {
    RunParallel(tile, log_derivative);
  } else {
    RunSequential(tile, log_derivative);
  }
  AddLogDerivatives(&state, d, log_derivative);
  state.scratch.arena->Release(mark);
}

template <typename T>
void AutoregressiveOp<T>::Inverse(const Tile<T>& tile) const {
  if (parallel_ == ParallelDirection::kForward) {
    RunSequential(tile, nullptr);
  } else {
    RunParallel(tile, nullptr);
  }
}

template <typename T>
void AutoregressiveOp<T>::RunParallel(const Tile<T>& tile, T* log_derivative) const {
  const int64_t p = tile.state->padded;
  const auto d = static_cast<int64_t>(features_.size());
  const int64_t n = p * d, padded = RoundUpToLane(n);
  Arena* arena = tile.state->scratch.arena;
  const Arena::Mark mark = arena->mark();
  T* v = arena->template Take<T>(n);  // (p, D) by feature
  const typename Conditioner<T>::Buffers buffers = conditioner_.Allocate(tile);
  for (int64_t r = 0; r < p; ++r) {
    for (int64_t i = 0; i < d; ++i) v[r * d + i] = tile.x[r * d + features_[i]];
  }
  std::copy_n(v, n, buffers.input());
  MarkOverflow(tile.state, d, v);
  T* net = conditioner_.Run(tile, buffers);  // (p, D, P)
  const int64_t count = map_.num_parameters();
  Parameters<T> parameters = {net, count, 1};
  if (is_affine_) {
    T* arranged = arena->template Take<T>(2 * padded);  // (2, n)
    for (int64_t i = 0; i < n; ++i) {
      arranged[i] = net[2 * i];
      arranged[padded + i] = net[2 * i + 1];
    }
    parameters = {arranged, 1, padded};
  }
  map_.Forward(n, parameters, v, log_derivative, arena);
  for (int64_t r = 0; r < p; ++r) {
    for (int64_t i = 0; i < d; ++i) tile.x[r * d + features_[i]] = v[r * d + i];
  }
  arena->Release(mark);
}

template <typename T>
void AutoregressiveOp<T>::RunSequential(const Tile<T>& tile, T* log_derivative) const {
  // While memory is only measured, one group takes what every group takes.
  const int64_t rows =
      tile.state->scratch.measuring ? std::min(kLane, tile.state->padded) : tile.state->padded;
  for (int64_t first = 0; first < rows; first += kLane) {
    RunGroup(tile, first, std::min(kLane, rows - first), log_derivative);
  }
}

template <typename T>
void AutoregressiveOp<T>::RunGroup(const Tile<T>& tile, int64_t first, int64_t count,
                                   T* log_derivative) const {
  const auto d = static_cast<int64_t>(features_.size());
  const int64_t num_parameters = map_.num_parameters();
  TileState& state = *tile.state;
  Arena* arena = state.scratch.arena;
  const Arena::Mark mark = arena->mark();
  T* scratch = arena->template Take<T>(sequential_.scratch_size());
  T* context = arena->template Take<T>(context_size_ * kLane);      // (context_size, 16)
  T* parameters = arena->template Take<T>(num_parameters * kLane);  // (P, 16)
  T* value = arena->template Take<T>(kLane);                        // (16)
  T* log_d = arena->template Take<T>(kLane);                        // (16)
  std::fill_n(context, context_size_ * kLane, T(0));
  std::fill_n(value, kLane, T(0));
  for (int64_t r = 0; r < count; ++r) {
    for (int64_t j = 0; j < context_size_; ++j) {
      context[j * kLane + r] = tile.context[(first + r) * context_size_ + j];
    }
  }
  const T limit = std::sqrt(std::numeric_limits<T>::max());
  sequential_.Begin(context, scratch);
  for (int64_t k = 0; k < d; ++k) {
    const int64_t feature = order_[k];
    T* x = tile.x + first * d + features_[feature];
    for (int64_t r = 0; r < count; ++r) value[r] = x[r * d];
    for (int64_t j = 0; j < num_parameters; ++j) {
      std::copy_n(sequential_.Output(feature * num_parameters + j, scratch), kLane, parameters + j * kLane);
    }
    map_.Inverse(kLane, {parameters, 1, kLane}, value, log_derivative != nullptr ? log_d : nullptr, arena);
    for (int64_t r = 0; r < count; ++r) {
      x[r * d] = value[r];
      if (log_derivative != nullptr) log_derivative[(first + r) * d + k] = log_d[r];
      if (!(std::abs(value[r]) <= limit)) state.overflow[first + r] = 1;
    }
    if (k + 1 < d) sequential_.Know(k, value, scratch);
  }
  arena->Release(mark);
}

template class AutoregressiveOp<float>;
template class AutoregressiveOp<double>;

}  // namespace glowworm
