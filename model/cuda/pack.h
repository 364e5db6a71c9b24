// Pack<T>: 16 bytes of consecutive numbers, which a thread reads or writes with one instruction: kernels that
// wait for memory and not for arithmetic work on these. Tested by tests/model/cuda/kernel_test.cc.

#ifndef GLOWWORM_MODEL_CUDA_PACK_H_
#define GLOWWORM_MODEL_CUDA_PACK_H_

#include <cstdint>

#include "model/host_device.h"

namespace glowworm::cuda {

template <typename T>
struct alignas(16) Pack {
  static constexpr int kSize = 16 / sizeof(T);
  T v[kSize];
};

// How many hold n numbers; buffers (arena.h) have room for the last one's spare places.
template <typename T>
constexpr int64_t Packs(int64_t n) {
  return (n + Pack<T>::kSize - 1) / Pack<T>::kSize;
}

template <typename T>
GLOWWORM_HOST_DEVICE inline Pack<T> LoadPack(const T* numbers, int64_t i) {
  return reinterpret_cast<const Pack<T>*>(numbers)[i];
}
template <typename T>
GLOWWORM_HOST_DEVICE inline void StorePack(T* numbers, int64_t i, const Pack<T>& pack) {
  reinterpret_cast<Pack<T>*>(numbers)[i] = pack;
}

}  // namespace glowworm::cuda

#endif  // GLOWWORM_MODEL_CUDA_PACK_H_
