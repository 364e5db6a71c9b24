// Arena: a workspace's scratch memory. Taken in stack order, given back by releasing a mark, so that a tile's
// whole way through the plan allocates nothing once the arena has seen its largest tile. Tested through
// tests/model/flow_test.cc (no allocation on the compute path).

#ifndef GLOWWORM_MODEL_CPU_ARENA_H_
#define GLOWWORM_MODEL_CPU_ARENA_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

namespace glowworm {

// Elementwise code reads and writes whole groups of 16 numbers, so buffers are padded to that.
inline constexpr int64_t kLane = 16;
inline int64_t RoundUpToLane(int64_t n) { return (n + kLane - 1) / kLane * kLane; }

// Not thread-safe: one thread at a time.
class Arena {
 public:
  struct Mark {
    size_t used;
  };

  Mark mark() const { return {used_}; }
  void Release(Mark mark) {
    used_ = mark.used;
    while (!overflow_.empty() && overflow_.back().begin >= used_) overflow_.pop_back();
  }

  // n numbers, 64-byte aligned, padded to a multiple of kLane, holding whatever was there before (never
  // signalling or unmapped memory). Valid until a mark taken before is released. Grows the arena on first
  // need.
  template <typename T>
  T* Take(int64_t n) {
    const size_t bytes = (static_cast<size_t>(RoundUpToLane(n)) * sizeof(T) + 63) / 64 * 64;
    const size_t begin = used_;
    used_ += bytes;
    high_water_ = std::max(high_water_, used_);
    if (used_ <= capacity_) return reinterpret_cast<T*>(block_.get() + begin);
    overflow_.push_back({begin, Allocate(bytes)});
    return reinterpret_cast<T*>(overflow_.back().block.get());
  }

  // Makes one block of everything that was ever in use at once. REQUIRES: nothing is taken.
  void Consolidate() { Reserve(high_water_); }

  // Makes room for `bytes` in all. REQUIRES: nothing is taken.
  void Reserve(size_t bytes) {
    overflow_.clear();
    if (bytes <= capacity_) return;
    block_.reset();
    capacity_ = 0;
    block_ = Allocate((bytes + 63) / 64 * 64);
    capacity_ = bytes;
  }
  size_t capacity() const { return capacity_; }

 private:
  struct Free {
    void operator()(unsigned char* p) const { std::free(p); }
  };
  using Block = std::unique_ptr<unsigned char[], Free>;
  static Block Allocate(size_t bytes) {
    auto* p = static_cast<unsigned char*>(std::aligned_alloc(64, bytes));
    if (p == nullptr) throw std::bad_alloc();  // as operator new does; whoever loads a flow catches it
    std::fill_n(p, bytes, static_cast<unsigned char>(0));
    return Block(p);
  }

  Block block_;
  size_t capacity_ = 0, used_ = 0, high_water_ = 0;
  struct Overflow {
    size_t begin;  // where it would lie in the block
    Block block;
  };
  std::vector<Overflow> overflow_;  // what the block has no room for, until Consolidate
};

}  // namespace glowworm

#endif  // GLOWWORM_MODEL_CPU_ARENA_H_
