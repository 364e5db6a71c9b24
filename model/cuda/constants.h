// ConstantPool: the numbers that ops carry (weights, index maps, knots), gathered while a plan is prepared
// and uploaded once a device. Tested by tests/model/cuda/kernel_test.cc.

#ifndef GLOWWORM_MODEL_CUDA_CONSTANTS_H_
#define GLOWWORM_MODEL_CUDA_CONSTANTS_H_

#include <cstdint>
#include <cstring>
#include <vector>

#include "model/cuda/arena.h"
#include "model/cuda/queue.h"

namespace glowworm::cuda {

// Where some of them lie. The default is an empty one.
template <typename T>
struct Constant {
  int64_t offset = 0;  // bytes
  int64_t size = 0;    // numbers

  // On the queue's device.
  const T* on(const Queue& queue) const {
    if (size == 0) return nullptr;
    return reinterpret_cast<const T*>(reinterpret_cast<uintptr_t>(queue.constants) + offset);
  }
};

class ConstantPool {
 public:
  // Each number converted to T.
  template <typename T, typename From>
  Constant<T> Add(const std::vector<From>& values) {
    Constant<T> out{static_cast<int64_t>(bytes_.size()), static_cast<int64_t>(values.size())};
    const std::vector<T> converted(values.begin(), values.end());
    bytes_.resize(
        static_cast<size_t>(RoundUpTo(kAlignment, out.offset + out.size * static_cast<int64_t>(sizeof(T)))));
    if (out.size > 0) std::memcpy(bytes_.data() + out.offset, converted.data(), converted.size() * sizeof(T));
    return out;
  }

  // What to upload, to an address aligned to kAlignment.
  const std::vector<unsigned char>& bytes() const { return bytes_; }

 private:
  std::vector<unsigned char> bytes_;
};

}  // namespace glowworm::cuda

#endif  // GLOWWORM_MODEL_CUDA_CONSTANTS_H_
