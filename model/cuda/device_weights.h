// DeviceWeights: a flow's constants on one device, uploaded once. Tested by
// tests/model/cuda/executor_test.cc and failure_test.cc.

#ifndef GLOWWORM_MODEL_CUDA_DEVICE_WEIGHTS_H_
#define GLOWWORM_MODEL_CUDA_DEVICE_WEIGHTS_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "model/cuda/device_memory.h"

namespace glowworm::cuda {

// Immutable after creation.
class DeviceWeights {
 public:
  // Blocks until `bytes` are there. ResourceExhausted if the device has no room for them.
  static absl::StatusOr<DeviceWeights> Create(int ordinal, const std::vector<unsigned char>& bytes);
  ~DeviceWeights();
  DeviceWeights(DeviceWeights&&) = default;
  DeviceWeights& operator=(DeviceWeights&&) = delete;

  const void* get() const { return memory_.get(); }
  int ordinal() const { return ordinal_; }
  // Of the device's memory, after the upload.
  int64_t free_bytes() const { return free_bytes_; }

 private:
  explicit DeviceWeights(int ordinal) : ordinal_(ordinal) {}

  int ordinal_;
  int64_t free_bytes_ = 0;
  DeviceMemory memory_;
};

}  // namespace glowworm::cuda

#endif  // GLOWWORM_MODEL_CUDA_DEVICE_WEIGHTS_H_
