// Implements model/cpu/fixed_spline.h.

#include "model/cpu/fixed_spline.h"

#include <algorithm>
#include <memory>

namespace glowworm {

template <typename T>
FixedSplineOp<T>::FixedSplineOp(const FixedSpline& op, const EventShape& shape)
    : transform_(op.transform),
      channels_(op.channels),
      arena_(std::make_unique<Arena>()),
      width_(shape.channels),
      positions_(shape.positions()) {
  std::vector<double> raw = op.parameters;  // (n, 3K-1)
  const int64_t count = 3 * transform_.bins - 1;
  for (size_t j = 0; j < channels_.size(); ++j) {
    knots_.push_back(TakeKnots(transform_.bins, arena_.get()));
    MakeKnots<double>(transform_, {raw.data() + static_cast<int64_t>(j) * count, count, 1}, 1, knots_.back());
  }
}

template <typename T>
void FixedSplineOp<T>::Forward(const Tile<T>& tile) const {
  TileState& state = *tile.state;
  const Arena::Mark mark = state.scratch.arena->mark();
  const int64_t per_row = positions_ * static_cast<int64_t>(channels_.size());
  T* log_derivative = state.scratch.arena->template Take<T>(state.padded * per_row);
  Run(tile, true, log_derivative);
  AddLogDerivatives(&state, per_row, log_derivative);
  state.scratch.arena->Release(mark);
}

template <typename T>
void FixedSplineOp<T>::Inverse(const Tile<T>& tile) const {
  Run(tile, false, nullptr);
}

// log_derivative: (p, positions, n), or null.
template <typename T>
void FixedSplineOp<T>::Run(const Tile<T>& tile, bool forward, T* log_derivative) const {
  const int64_t m = tile.state->padded * positions_;
  const auto n = static_cast<int64_t>(channels_.size());
  alignas(64) double value[kLane] = {};
  alignas(64) double log_d[kLane];
  for (int64_t j = 0; j < n; ++j) {
    T* x = tile.x + channels_[j];
    for (int64_t begin = 0; begin < m; begin += kLane) {
      const int64_t count = std::min(kLane, m - begin);
      for (int64_t i = 0; i < count; ++i) value[i] = x[(begin + i) * width_];
      if (forward) {
        EvaluateSpline(transform_, knots_[j], value, value, log_d);
        for (int64_t i = 0; i < count; ++i) log_derivative[(begin + i) * n + j] = static_cast<T>(log_d[i]);
      } else {
        InvertSpline(transform_, knots_[j], value, value, nullptr);
      }
      for (int64_t i = 0; i < count; ++i) x[(begin + i) * width_] = static_cast<T>(value[i]);
    }
  }
}

template class FixedSplineOp<float>;
template class FixedSplineOp<double>;

}  // namespace glowworm
