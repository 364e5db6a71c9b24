// EmitLatentOp<T>'s normal densities, in float64 whatever the tile's type:
// log N(z; m, e^l) = -((z - m) e^-l)^2 / 2 - l - log(2 pi) / 2. What of it is constant is in the plan.

#include <cmath>

#include "model/cpu/elementwise.h"
#include "model/cpu/emit_latent.h"

namespace glowworm {
namespace {

constexpr double kHalfLog2Pi = 0.91893853320467274178;

// Sum of ((z_i - mean_i) inverse_scale_i)^2 in one fixed order, eight sums side by side.
template <typename T>
double SquaredDistance(int64_t n, const T* z, const double* mean, const double* inverse_scale) {
  double sum[8] = {};
  int64_t i = 0;
  for (; i + 8 <= n; i += 8) {
    for (int64_t j = 0; j < 8; ++j) {
      const double u = (static_cast<double>(z[i + j]) - mean[i + j]) * inverse_scale[i + j];
      sum[j] += u * u;
    }
  }
  for (int64_t j = 0; i + j < n; ++j) {
    const double u = (static_cast<double>(z[i + j]) - mean[i + j]) * inverse_scale[i + j];
    sum[j] += u * u;
  }
  return ((sum[0] + sum[1]) + (sum[2] + sum[3])) + ((sum[4] + sum[5]) + (sum[6] + sum[7]));
}

}  // namespace

template <typename T>
void EmitLatentOp<T>::AddDensity(const Tile<T>& tile, const T* z, const T* net) const {
  switch (op_.density.kind) {
    case NormalDensity::Kind::kFixed:
      return AddFixedDensity(*tile.state, z);
    case NormalDensity::Kind::kClass:
      return AddClassDensity(*tile.state, z);
    case NormalDensity::Kind::kNet:
      return AddNetDensity(*tile.state, z, net);
  }
}

template <typename T>
void EmitLatentOp<T>::AddFixedDensity(const TileState& state, const T* z) const {
  const int64_t n = positions_ * emitted_;
  const NormalDensity& d = op_.density;
  for (int64_t r = 0; r < state.rows; ++r) {
    state.log_density[r] -= 0.5 * SquaredDistance(n, z + r * n, d.mean.data(), d.inverse_scale.data());
  }
}

template <typename T>
void EmitLatentOp<T>::AddClassDensity(const TileState& state, const T* z) const {
  const int64_t n = positions_ * emitted_;
  const NormalDensity& d = op_.density;
  for (int64_t r = 0; r < state.rows; ++r) {
    for (int64_t k = 0; k < d.num_classes; ++k) {
      if (state.class_label[r] >= 0 && state.class_label[r] != k) continue;
      const double q = SquaredDistance(n, z + r * n, d.mean.data() + k * n, d.inverse_scale.data() + k * n);
      state.class_log_density[r * d.num_classes + k] += d.constant[k] - 0.5 * q;
    }
  }
}

template <typename T>
void EmitLatentOp<T>::AddNetDensity(const TileState& state, const T* z, const T* net) const {
  constexpr int64_t kChunk = 256;
  alignas(64) double u[kChunk];
  alignas(64) double mean[kChunk];
  alignas(64) double log_scale[kChunk];
  const int64_t per_row = positions_ * emitted_;
  for (int64_t r = 0; r < state.rows; ++r) {
    double sum = 0;
    for (int64_t begin = 0; begin < per_row; begin += kChunk) {
      const int64_t n = std::min(kChunk, per_row - begin);
      std::fill_n(u, kChunk, 0.0);
      std::fill_n(mean, kChunk, 0.0);
      std::fill_n(log_scale, kChunk, 0.0);
      for (int64_t i = 0; i < n; ++i) {
        const int64_t at = r * per_row + begin + i;  // (row, position, channel)
        const T* parameters = net + at / emitted_ * 2 * emitted_ + at % emitted_;
        u[i] = z[at];
        mean[i] = parameters[0];
        log_scale[i] = parameters[emitted_];
      }
      Lanes<double> values(u, kChunk);
      const ConstLanes<double> l(log_scale, kChunk);
      values = (values - ConstLanes<double>(mean, kChunk)) * (-l).exp();
      values = -0.5 * values.square() - l - kHalfLog2Pi;
      for (int64_t i = 0; i < n; ++i) sum += u[i];
    }
    state.log_density[r] += sum;
  }
}

template <typename T>
void EmitLatentOp<T>::FromNoise(const TileState& state, const T* net, T* z) const {
  const NormalDensity& d = op_.density;
  for (int64_t r = 0; r < state.rows; ++r) {
    const double* noise = state.latent + r * state.latent_size + op_.latent_offset;  // (emitted, positions)
    const int64_t component =
        d.kind == NormalDensity::Kind::kClass ? state.class_label[r] * positions_ * emitted_ : int64_t{0};
    for (int64_t p = 0; p < positions_; ++p) {
      for (int64_t j = 0; j < emitted_; ++j) {
        double mean, scale;
        if (net != nullptr) {
          const T* parameters = net + (r * positions_ + p) * 2 * emitted_;
          mean = parameters[j];
          scale = std::exp(static_cast<double>(parameters[emitted_ + j]));
        } else {
          mean = d.mean[component + p * emitted_ + j];
          scale = d.scale[component + p * emitted_ + j];
        }
        z[(r * positions_ + p) * emitted_ + j] = static_cast<T>(mean + scale * noise[j * positions_ + p]);
      }
    }
  }
}

template void EmitLatentOp<float>::AddDensity(const Tile<float>&, const float*, const float*) const;
template void EmitLatentOp<double>::AddDensity(const Tile<double>&, const double*, const double*) const;
template void EmitLatentOp<float>::FromNoise(const TileState&, const float*, float*) const;
template void EmitLatentOp<double>::FromNoise(const TileState&, const double*, double*) const;

}  // namespace glowworm
