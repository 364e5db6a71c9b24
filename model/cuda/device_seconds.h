// What calls of this process took of each device so far. Tested by tests/model/cuda/executor_test.cc.

#ifndef GLOWWORM_MODEL_CUDA_DEVICE_SECONDS_H_
#define GLOWWORM_MODEL_CUDA_DEVICE_SECONDS_H_

namespace glowworm::cuda {

struct DeviceSeconds {
  double transfer = 0;  // copies in and out
  double compute = 0;
};

// Both are thread-safe.
void AddSeconds(int ordinal, const DeviceSeconds& seconds);
DeviceSeconds SecondsOf(int ordinal);

}  // namespace glowworm::cuda

#endif  // GLOWWORM_MODEL_CUDA_DEVICE_SECONDS_H_
