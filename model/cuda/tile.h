// Tile<T>: the rows that one worker carries through the plan, on its device. Layout (rows, positions, c),
// channels innermost. Twin: model/cpu/tile.h. Tested by tests/model/cuda/kernel_test.cc.

#ifndef GLOWWORM_MODEL_CUDA_TILE_H_
#define GLOWWORM_MODEL_CUDA_TILE_H_

#include <cstdint>
#include <utility>

#include "model/cuda/arena.h"
#include "model/cuda/queue.h"

namespace glowworm::cuda {

// What does not depend on the number type; all pointers on the device. K classes, D latents.
struct TileState {
  Queue* queue = nullptr;
  // On the ladder (cuda_executor.h): the caller's rows, and then rows of zeros, which are computed too.
  int64_t rows = 0;
  double* log_density = nullptr;        // (rows): log-dets and log densities that depend on the row
  double* class_log_density = nullptr;  // (rows, K)
  const int* class_label = nullptr;     // (rows): -1 = all components (forward)
  double* latent = nullptr;             // (rows, D): forward writes it always
  bool latent_is_noise = false;         // inverse: `latent` holds standardised noise, not latents
  unsigned char* outside = nullptr;     // (rows): set to 1 if the row is outside the support
  unsigned char* overflow = nullptr;    // (rows): set to 1 if its numbers grew too large for a conditioner
  int64_t latent_size = 0;              // D
  int64_t num_classes = 0;              // K

  Arena& arena() const { return *queue->arena; }
};

template <typename T>
struct Tile {
  TileState* state;
  T* x;              // (rows, positions, c): what the next op reads; room for a product's columns
  T* y;              // as large: what it writes, if it does not work in place
  const T* context;  // (rows, context_size), likewise

  void Swap() { std::swap(x, y); }
};

}  // namespace glowworm::cuda

#endif  // GLOWWORM_MODEL_CUDA_TILE_H_
