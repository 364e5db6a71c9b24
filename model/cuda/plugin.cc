// The plug-in's one function: see model/cuda/plugin.h.

#include "model/cuda/plugin.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "model/cuda/cuda_executor.h"
#include "model/cuda/device_memory.h"
#include "model/cuda/device_seconds.h"
#include "model/cuda/nvml.h"

namespace glowworm::cuda {
namespace {

// The least that the plug-in has machine code for (CMakeLists.txt).
constexpr int kLeastMajor = 8;  // as the sentence below says

// Every device must be one that it can compute on, so that --device=auto goes on with the CPU.
absl::StatusOr<std::vector<std::string>> DeviceNames() {
  int count = 0;
  absl::Status status = StatusOf(cudaGetDeviceCount(&count), "be found");
  if (!status.ok()) return status;
  std::vector<std::string> names;
  for (int ordinal = 0; ordinal < count; ++ordinal) {
    cudaDeviceProp properties;
    status = StatusOf(cudaGetDeviceProperties(&properties, ordinal), "be described");
    if (!status.ok()) return status;
    if (properties.major < kLeastMajor) {
      return absl::FailedPreconditionError(absl::StrCat("expected compute capability 8.0 or later, got ",
                                                        properties.major, ".", properties.minor,
                                                        " of CUDA device ", ordinal, ", ", properties.name));
    }
    names.emplace_back(properties.name);
  }
  return names;
}

absl::StatusOr<DeviceUse> UseOf(int ordinal) {
  DeviceUse use;
  size_t free = 0, total = 0;
  cudaDeviceProp properties;
  char bus_id[32] = "";
  absl::Status status = StatusOf(cudaSetDevice(ordinal), "be chosen");
  if (status.ok()) status = StatusOf(cudaMemGetInfo(&free, &total), "tell how much memory is free");
  if (status.ok()) status = StatusOf(cudaGetDeviceProperties(&properties, ordinal), "be described");
  if (status.ok())
    status = StatusOf(cudaDeviceGetPCIBusId(bus_id, sizeof(bus_id), ordinal), "tell its place");
  if (!status.ok()) return status;
  const DeviceSeconds seconds = SecondsOf(ordinal);
  use.ordinal = ordinal;
  use.name = properties.name;
  use.memory_used_bytes = static_cast<int64_t>(total - free);
  use.memory_total_bytes = static_cast<int64_t>(total);
  use.transfer_seconds = seconds.transfer;
  use.compute_seconds = seconds.compute;
  use.utilization = DeviceUtilization(bus_id);
  return use;
}

}  // namespace
}  // namespace glowworm::cuda

extern "C" __attribute__((visibility("default"))) const glowworm::CudaPlugin* glowworm_cuda_plugin() {
  static const glowworm::CudaPlugin kPlugin = {GLOWWORM_PLUGIN_BUILD, glowworm::cuda::DeviceNames,
                                               glowworm::cuda::CreateCudaExecutor, glowworm::cuda::UseOf};
  return &kPlugin;
}
