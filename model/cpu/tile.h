// Tile<T>: the rows that one worker carries through the plan, and the workspace they live in. Layout (rows,
// positions, c), channels innermost; rows are padded with zeros to the ladder. Not thread-safe.

#ifndef GLOWWORM_MODEL_CPU_TILE_H_
#define GLOWWORM_MODEL_CPU_TILE_H_

#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>

#include "model/cpu/product.h"

namespace glowworm {

// What does not depend on the number type. p = padded rows, K classes, D latents.
struct TileState {
  int64_t rows = 0;    // real ones
  int64_t padded = 0;  // on the ladder
  ProductScratch scratch{};
  double* log_density = nullptr;        // (p): log-dets and log densities that depend on the row
  double* class_log_density = nullptr;  // (p, K)
  int* class_label = nullptr;           // (p): -1 = all components (forward)
  double* latent = nullptr;             // (p, D); forward: null = not wanted
  bool latent_is_noise = false;         // inverse: `latent` holds standardised noise, not latents
  unsigned char* outside = nullptr;     // (p): set if the row is outside the support
  unsigned char* overflow = nullptr;    // (p): set if the row's numbers grew too large for a conditioner
  int64_t latent_size = 0;              // D
  int64_t num_classes = 0;              // K
};

template <typename T>
struct Tile {
  TileState* state;
  T* x;              // (p, positions, c): what the next op reads
  T* y;              // as large: what it writes, if it does not work in place
  const T* context;  // (p, context_size)

  void Swap() { std::swap(x, y); }
};

// A network's sums may overflow where its input's square would, and a ReLU turns the NaN that follows into a
// zero: nobody would see it in the result. Marks rows with such numbers. input: (p, per_row).
template <typename T>
void MarkOverflow(TileState* state, int64_t per_row, const T* input) {
  const T limit = std::sqrt(std::numeric_limits<T>::max());
  for (int64_t r = 0; r < state->rows; ++r) {
    bool fits = true;
    for (int64_t i = 0; i < per_row; ++i) fits &= std::abs(input[r * per_row + i]) <= limit;
    if (!fits) state->overflow[r] = 1;
  }
}

// Adds each row's log-derivatives, (p, per_row), to its log density, in one fixed order.
template <typename T>
void AddLogDerivatives(TileState* state, int64_t per_row, const T* log_derivative) {
  for (int64_t r = 0; r < state->rows; ++r) {
    double sum = 0;
    for (int64_t i = 0; i < per_row; ++i) sum += log_derivative[r * per_row + i];
    state->log_density[r] += sum;
  }
}

}  // namespace glowworm

#endif  // GLOWWORM_MODEL_CPU_TILE_H_
