// Implements model/cuda/device_weights.h.

#include "model/cuda/device_weights.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace glowworm::cuda {

absl::StatusOr<DeviceWeights> DeviceWeights::Create(int ordinal, const std::vector<unsigned char>& bytes) {
  DeviceWeights out(ordinal);
  const size_t n = std::max<size_t>(bytes.size(), 1);
  size_t free = 0, total = 0;
  PinnedMemory staging;
  Stream stream;
  absl::Status status;
  const auto ok = [&status](auto error, absl::string_view doing) {
    status = StatusOf(error, doing);
    return status.ok();
  };
  if (!(ok(cudaSetDevice(ordinal), "be chosen") && ok(cudaMalloc(out.memory_.out(), n), "hold the weights") &&
        ok(cudaHostAlloc(staging.out(), n, cudaHostAllocDefault), "pin host memory") &&
        ok(cudaStreamCreateWithFlags(stream.out(), cudaStreamNonBlocking), "make a stream"))) {
    return status;
  }
  std::memcpy(staging.get(), bytes.data(), bytes.size());
  if (ok(cudaMemcpyAsync(out.memory_.get(), staging.get(), bytes.size(), cudaMemcpyHostToDevice,
                         stream.get()),
         "take the weights")) {
    ok(cudaStreamSynchronize(stream.get()), "take the weights");
  }
  if (status.ok()) ok(cudaMemGetInfo(&free, &total), "tell how much memory is free");
  if (!status.ok()) return status;
  out.free_bytes_ = static_cast<int64_t>(free);
  return out;
}

DeviceWeights::~DeviceWeights() {
  if (memory_.get() != nullptr) cudaSetDevice(ordinal_);
}

}  // namespace glowworm::cuda
