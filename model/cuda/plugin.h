// What the server and the plug-in libglowworm_cuda.so say to each other: one function, one table. Both are
// built of one source tree, so C++ types pass between them; `build` tells if they were not. Opened by
// model/devices.cc, filled by model/cuda/plugin.cc. Tested by tests/e2e/device_test.py.

#ifndef GLOWWORM_MODEL_CUDA_PLUGIN_H_
#define GLOWWORM_MODEL_CUDA_PLUGIN_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "model/devices.h"
#include "model/executor.h"
#include "model/plan.h"

namespace glowworm {

struct CudaPluginOptions {
  Precision precision = Precision::kFloat32;  // kFloat32 or kFloat64
  int workers = 1;                            // calls that are carried at once; more wait
  std::vector<int> ordinals;                  // the devices, one or more; workers are spread over them
};

// Every function is safe from many threads.
struct CudaPlugin {
  const char* build;  // GLOWWORM_PLUGIN_BUILD of the tree it was built of
  // Of each device, by ordinal. FailedPrecondition: no driver or device, or one that is too old.
  absl::StatusOr<std::vector<std::string>> (*device_names)();
  // ResourceExhausted where the device's memory does not hold the flow; Unimplemented where one row needs
  // more scratch memory than kernels can count.
  absl::StatusOr<std::unique_ptr<const Executor>> (*create_executor)(const Plan&, const CudaPluginOptions&);
  absl::StatusOr<DeviceUse> (*use)(int ordinal);
};

inline constexpr char kCudaPluginSymbol[] = "glowworm_cuda_plugin";

}  // namespace glowworm

extern "C" const glowworm::CudaPlugin* glowworm_cuda_plugin();

#endif  // GLOWWORM_MODEL_CUDA_PLUGIN_H_
