// IoBlock: where a tile enters and leaves a device: one block there and its image in pinned host memory, cut
// the same way. Tested by tests/model/cuda/executor_test.cc.

#ifndef GLOWWORM_MODEL_CUDA_IO_BLOCK_H_
#define GLOWWORM_MODEL_CUDA_IO_BLOCK_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "model/cuda/arena.h"
#include "model/cuda/queue.h"

namespace glowworm::cuda {

// One kind of number, (rows, per_row); the device's has room for a product's columns.
template <typename T>
struct Section {
  int64_t offset = 0, per_row = 0;

  // The block may be absent, where only sizes are asked for.
  T* in(void* block) const { return reinterpret_cast<T*>(reinterpret_cast<uintptr_t>(block) + offset); }
};

// D numbers an event, K classes.
struct IoLayout {
  IoLayout(int64_t max_rows, int64_t event_size, int64_t tile_size, int64_t context_size, int64_t columns)
      : values(Add<double>(max_rows, event_size, tile_size)),
        context(Add<double>(RoundUpTo(columns, max_rows), context_size, 0)),
        class_label(Add<int>(max_rows, 1, 0)),
        seed(Add<uint64_t>(max_rows, 1, 0)),
        index(Add<uint64_t>(max_rows, 1, 0)),
        temperature(Add<double>(max_rows, 1, 0)),
        result(Add<double>(max_rows, event_size, tile_size)),
        log_likelihood(Add<double>(max_rows, 1, 0)),
        outside(Add<unsigned char>(max_rows, 1, 0)),
        overflow(Add<unsigned char>(max_rows, 1, 0)),
        finite(Add<unsigned char>(max_rows, 1, 0)) {}

  int64_t bytes = 0;                         // of it all; the first member, since the sections add to it
  Section<double> values;                    // in: x or z or, made there, noise
  Section<double> context;                   // in
  Section<int> class_label;                  // in
  Section<uint64_t> seed, index;             // in, of samples
  Section<double> temperature;               // in, of samples
  Section<double> result;                    // out: z or x
  Section<double> log_likelihood;            // out
  Section<unsigned char> outside, overflow;  // out
  Section<unsigned char> finite;             // the host's own: every number of the input is

 private:
  template <typename T>
  Section<T> Add(int64_t rows, int64_t per_row, int64_t least) {
    const Section<T> out{bytes, per_row};
    const int64_t numbers = rows * per_row > least ? rows * per_row : least;
    bytes += RoundUpTo(kAlignment, numbers * static_cast<int64_t>(sizeof(T)));
    return out;
  }
};

}  // namespace glowworm::cuda

#endif  // GLOWWORM_MODEL_CUDA_IO_BLOCK_H_
