// Tile<T>: the rows that one worker carries through the plan, and the workspace they live in. Layout (rows,
// positions, c), channels innermost; rows are padded with zeros to the ladder. Not thread-safe.

#ifndef GLOWWORM_MODEL_CPU_TILE_H_
#define GLOWWORM_MODEL_CPU_TILE_H_

#include <cstdint>
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

}  // namespace glowworm

#endif  // GLOWWORM_MODEL_CPU_TILE_H_
