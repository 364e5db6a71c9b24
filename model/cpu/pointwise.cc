// Implements model/cpu/pointwise.h.

#include "model/cpu/pointwise.h"

#include <algorithm>

#include "model/cpu/elementwise.h"

namespace glowworm {

template <typename T>
AffineOp<T>::AffineOp(const ElementwiseAffine& op, const EventShape& shape) {
  const auto given = static_cast<int64_t>(op.scale.size());
  for (int64_t i = 0; i < shape.size(); ++i) {  // (c) repeats over the positions
    scale_.push_back(static_cast<T>(op.scale[i % given]));
    shift_.push_back(static_cast<T>(op.shift[i % given]));
  }
}

template <typename T>
void AffineOp<T>::Forward(const Tile<T>& tile) const {
  const auto n = static_cast<int64_t>(scale_.size());
  T* x = tile.x;
  for (int64_t r = 0; r < tile.state->padded; ++r, x += n) {
    for (int64_t i = 0; i < n; ++i) x[i] = x[i] * scale_[i] + shift_[i];
  }
}

template <typename T>
void AffineOp<T>::Inverse(const Tile<T>& tile) const {
  const auto n = static_cast<int64_t>(scale_.size());
  T* x = tile.x;
  for (int64_t r = 0; r < tile.state->padded; ++r, x += n) {
    for (int64_t i = 0; i < n; ++i) x[i] = (x[i] - shift_[i]) / scale_[i];
  }
}

template <typename T>
absl::StatusOr<MixOp<T>> MixOp<T>::Create(const ChannelMix& op, const EventShape& shape,
                                          int64_t max_tile_rows, PrimitiveSet* primitives) {
  MixOp mix;
  mix.size_ = shape.size();
  const ProductShape product{op.channels, op.channels, shape.positions(), std::nullopt, false};
  const auto make = [&](const std::vector<double>& weight, const std::vector<double>& bias,
                        std::optional<Product<T>>* narrow, std::optional<Product<double>>* wide) {
    if (op.wide) {
      auto made = Product<double>::Create(product, weight, bias, max_tile_rows, primitives);
      if (!made.ok()) return made.status();
      *wide = *std::move(made);
      return absl::OkStatus();
    }
    auto made = Product<T>::Create(product, weight, bias, max_tile_rows, primitives);
    if (!made.ok()) return made.status();
    *narrow = *std::move(made);
    return absl::OkStatus();
  };
  absl::Status status = make(op.weight, op.bias, &mix.forward_, &mix.wide_forward_);
  if (status.ok()) status = make(op.inverse, op.inverse_bias, &mix.inverse_, &mix.wide_inverse_);
  if (!status.ok()) return status;
  return mix;
}

template <typename T>
void MixOp<T>::Run(const std::optional<Product<T>>& product, const std::optional<Product<double>>& wide,
                   Tile<T>* tile) const {
  TileState& state = *tile->state;
  if (product) {
    product->Run(state.padded, tile->x, tile->y, state.scratch);
  } else {
    const Arena::Mark mark = state.scratch.arena->mark();
    const int64_t n = state.padded * size_;
    double* x = state.scratch.arena->template Take<double>(n);
    double* y = state.scratch.arena->template Take<double>(n);
    std::copy_n(tile->x, n, x);
    wide->Run(state.padded, x, y, state.scratch);
    std::transform(y, y + n, tile->y, [](double v) { return static_cast<T>(v); });
    state.scratch.arena->Release(mark);
  }
  tile->Swap();
}

template <typename T>
SqueezeOp<T>::SqueezeOp(const SqueezeMove& op) {
  const int64_t c = op.channels, w = op.width;
  for (int64_t i = 0; i < op.height / 2; ++i) {
    for (int64_t j = 0; j < op.width / 2; ++j) {
      for (int64_t to = 0; to < 4 * c; ++to) {
        const bool channel_major = op.order == SqueezeOrder::kChannelMajor;
        const int64_t channel = channel_major ? to / 4 : to % c;
        const int64_t parity = channel_major ? to % 4 : to / c;
        from_.push_back(((2 * i + parity / 2) * w + 2 * j + parity % 2) * c + channel);
      }
    }
  }
}

template <typename T>
void SqueezeOp<T>::Forward(Tile<T>* tile) const {
  const auto n = static_cast<int64_t>(from_.size());
  for (int64_t r = 0; r < tile->state->padded; ++r) {
    for (int64_t i = 0; i < n; ++i) tile->y[r * n + i] = tile->x[r * n + from_[i]];
  }
  tile->Swap();
}

template <typename T>
void SqueezeOp<T>::Inverse(Tile<T>* tile) const {
  const auto n = static_cast<int64_t>(from_.size());
  for (int64_t r = 0; r < tile->state->padded; ++r) {
    for (int64_t i = 0; i < n; ++i) tile->y[r * n + from_[i]] = tile->x[r * n + i];
  }
  tile->Swap();
}

template <typename T>
void LogitOp<T>::Forward(const Tile<T>& tile) const {
  TileState& state = *tile.state;
  const int64_t n = state.padded * size_;
  for (int64_t r = 0; r < state.rows; ++r) {
    T* x = tile.x + r * size_;
    for (int64_t i = 0; i < size_; ++i) {
      const T u = alpha_ + (1 - 2 * alpha_) * x[i];
      if (!(u > 0 && u < 1)) state.outside[r] = 1;
      x[i] = u;
    }
  }
  const Arena::Mark mark = state.scratch.arena->mark();
  T* log_density = state.scratch.arena->template Take<T>(n);
  T* minus_log1m = state.scratch.arena->template Take<T>(n);
  Lanes<T> y(tile.x, RoundUpToLane(n)), d(log_density, RoundUpToLane(n)), m(minus_log1m, RoundUpToLane(n));
  m = -(-y).log1p();  // -log(1 - u)
  y = y.log();
  d = m - y;
  y = y + m;
  for (int64_t r = 0; r < state.rows; ++r) {
    double sum = 0;
    for (int64_t i = 0; i < size_; ++i) sum += log_density[r * size_ + i];
    state.log_density[r] += sum;
  }
  state.scratch.arena->Release(mark);
}

template <typename T>
void LogitOp<T>::Inverse(const Tile<T>& tile) const {
  Lanes<T> x(tile.x, RoundUpToLane(tile.state->padded * size_));
  x = ((1 + (-x).exp()).inverse() - alpha_) / (1 - 2 * alpha_);
}

template class AffineOp<float>;
template class AffineOp<double>;
template class MixOp<float>;
template class MixOp<double>;
template class SqueezeOp<float>;
template class SqueezeOp<double>;
template class LogitOp<float>;
template class LogitOp<double>;

}  // namespace glowworm
