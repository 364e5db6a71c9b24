// EmitLatentOp<T>'s normal densities, in float64 whatever the tile's type:
// log N(z; m, e^l) = -((z - m) e^-l)^2 / 2 - l - log(2 pi) / 2. What of it is constant is in the plan.

#include <cmath>

#include "model/cuda/emit_latent.h"
#include "model/cuda/launch.h"
#include "model/cuda/row_sum.h"

namespace glowworm::cuda {
namespace {

// The latents of one op: number i of (rows, n).
struct LatentPart {
  const double* latent;  // (rows, latent_size)
  int64_t latent_size, offset;

  GLOWWORM_BODY double at(int64_t row, int64_t i) const { return latent[row * latent_size + offset + i]; }
};

// Number i of (rows, K, n): squared, in standard deviations of its class. Components that the row's label
// does not name are not looked at.
struct SquaredDistance {
  LatentPart z;
  const double* mean;           // (K, n)
  const double* inverse_scale;  // (K, n)
  const int* class_label;       // (rows); null: no classes
  int64_t n, num_classes;

  GLOWWORM_BODY double operator()(int64_t i) const {
    const int64_t j = i % n, component = i / n % num_classes, row = i / n / num_classes;
    if (class_label != nullptr && class_label[row] >= 0 && class_label[row] != component) return 0;
    const double u = (z.at(row, j) - mean[component * n + j]) * inverse_scale[component * n + j];
    return u * u;
  }
};

struct AddFixed {
  double* log_density;  // (rows)
  GLOWWORM_BODY void operator()(int64_t row, double sum) const { log_density[row] -= 0.5 * sum; }
};

struct AddClass {
  const double* constant;  // (K)
  const int* class_label;  // (rows)
  int64_t num_classes;
  double* class_log_density;  // (rows, K)

  GLOWWORM_BODY void operator()(int64_t i, double sum) const {
    const int64_t component = i % num_classes, label = class_label[i / num_classes];
    if (label < 0 || label == component) class_log_density[i] += constant[component] - 0.5 * sum;
  }
};

// Number i of (rows, emitted, positions): its log density by the prior net's mean and log scale.
template <typename T>
struct NetLogDensity {
  LatentPart z;
  const T* net;  // (rows, positions, [mean (e) | log_scale (e)])
  int64_t emitted, positions;

  GLOWWORM_BODY double operator()(int64_t i) const {
    constexpr double kHalfLog2Pi = 0.91893853320467274178;
    const int64_t row = i / (emitted * positions), at = i % (emitted * positions);
    const T* parameters = net + (row * positions + at % positions) * 2 * emitted + at / positions;
    const double log_scale = parameters[emitted];
    const double u = (z.at(row, at) - static_cast<double>(parameters[0])) * std::exp(-log_scale);
    return -0.5 * u * u - log_scale - kHalfLog2Pi;
  }
};

}  // namespace

template <typename T>
void EmitLatentOp<T>::AddDensity(const TileState& state, const T* net) const {
  Queue* queue = state.queue;
  const int64_t n = emitted_ * positions_;
  const LatentPart z{state.latent, state.latent_size, latent_offset_};
  switch (kind_) {
    case NormalDensity::Kind::kFixed:
      return SumRows(queue, state.rows, n,
                     SquaredDistance{z, mean_.on(*queue), inverse_scale_.on(*queue), nullptr, n, 1},
                     AddFixed{state.log_density});
    case NormalDensity::Kind::kClass: {
      const int64_t k = class_constant_.size;
      return SumRows(queue, state.rows * k, n,
                     SquaredDistance{z, mean_.on(*queue), inverse_scale_.on(*queue), state.class_label, n, k},
                     AddClass{class_constant_.on(*queue), state.class_label, k, state.class_log_density});
    }
    case NormalDensity::Kind::kNet:
      return SumRows(queue, state.rows, n, NetLogDensity<T>{z, net, emitted_, positions_},
                     AddToRow{state.log_density});
  }
}

template void EmitLatentOp<float>::AddDensity(const TileState&, const float*) const;
template void EmitLatentOp<double>::AddDensity(const TileState&, const double*) const;

}  // namespace glowworm::cuda
