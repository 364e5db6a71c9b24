// Arena: a worker's scratch memory on a device: one block, given out like a stack. Twin: model/cpu/arena.h.
// Tested by tests/model/cuda/kernel_test.cc.

#ifndef GLOWWORM_MODEL_CUDA_ARENA_H_
#define GLOWWORM_MODEL_CUDA_ARENA_H_

#include <algorithm>
#include <cstdint>

namespace glowworm::cuda {

inline constexpr int64_t kAlignment = 256;  // bytes, of every buffer

// Columns that one call of a matrix product computes, at least and unless an executor says otherwise.
inline constexpr int64_t kColumns = 256;
inline int64_t RoundUpTo(int64_t step, int64_t n) { return (n + step - 1) / step * step; }

// Used by one thread at a time. It touches no memory itself: made without a block, it tells how large one
// must be.
class Arena {
 public:
  explicit Arena(int64_t columns = kColumns) : columns_(columns) {}
  // The block stays its owner's. REQUIRES: aligned to kAlignment, `bytes` long.
  Arena(void* block, int64_t bytes, int64_t columns = kColumns)
      : base_(reinterpret_cast<uintptr_t>(block)), capacity_(bytes), columns_(columns) {}

  // What every matrix product on these buffers computes in one call: see product.h.
  int64_t columns() const { return columns_; }

  // n numbers, aligned and padded to kAlignment bytes; a buffer that is larger than what is left counts in
  // needed(), and its pointer must not be used.
  template <typename T>
  T* Take(int64_t n) {
    const uintptr_t at = base_ + static_cast<uintptr_t>(used_);
    used_ += RoundUpTo(kAlignment, n * static_cast<int64_t>(sizeof(T)));
    needed_ = std::max(needed_, used_);
    return reinterpret_cast<T*>(at);
  }
  // (n, width), with room for as many rows as a product's calls touch: what it reads or writes lies in such.
  template <typename T>
  T* TakeColumns(int64_t n, int64_t width) {
    return Take<T>(RoundUpTo(columns_, n) * width);
  }

  using Mark = int64_t;
  Mark mark() const { return used_; }
  // Takes back all that was given out since; the numbers stay until they are written over.
  void Release(Mark mark) { used_ = mark; }

  int64_t needed() const { return needed_; }  // bytes, the most so far
  bool overflowed() const { return needed_ > capacity_; }

 private:
  uintptr_t base_ = kAlignment;  // without a block: an address like any other, never read
  int64_t capacity_ = 0, used_ = 0, needed_ = 0;
  int64_t columns_;
};

}  // namespace glowworm::cuda

#endif  // GLOWWORM_MODEL_CUDA_ARENA_H_
