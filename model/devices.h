// Devices: what a flow computes on: the processor, or CUDA devices behind a plug-in that is opened at run
// time. With flow.h, the only headers of model/ that a server needs. Entry point: Open. The plug-in's side is
// cuda/plugin.h. Tested by tests/model/devices_test.cc and tests/e2e/device_test.py.

#ifndef GLOWWORM_MODEL_DEVICES_H_
#define GLOWWORM_MODEL_DEVICES_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model/flow.h"

namespace glowworm {

struct CudaPlugin;
struct Plan;
class Executor;

// One device and what this process has had it do.
struct DeviceUse {
  int ordinal = 0;
  std::string name;                // the maker's
  int64_t memory_used_bytes = 0;   // of the whole device, by whomever
  int64_t memory_total_bytes = 0;  // same
  double transfer_seconds = 0;     // of this process's copies to and from it
  double compute_seconds = 0;      // of its kernels
  double utilization = -1;         // 0 .. 1: the share of the last moment in which it was busy; -1: not known
};

// Immutable after creation; thread-safe.
class Devices {
 public:
  // `spec` is cpu; cuda (every device), cuda:N or cuda:N,M (by the driver's ordinals); or auto: cuda, or else
  // cpu. Blocks while the driver starts: seconds. InvalidArgument is CheckSpec's; NotFound: no plug-in, or no
  // such device; FailedPrecondition: the plug-in does not load or was built of another source, or there is no
  // driver or no device. The plug-in libglowworm_cuda.so lies beside the running program, or in
  // ../lib/glowworm from there, or where the environment's GLOWWORM_CUDA_PLUGIN says; it is never closed.
  static absl::StatusOr<std::shared_ptr<const Devices>> Open(absl::string_view spec);
  // InvalidArgument if `spec` is spelled in no such way. Opens nothing.
  static absl::Status CheckSpec(absl::string_view spec);

  // "cpu", "cuda:0" or "cuda:0,1".
  const std::string& name() const { return name_; }
  bool on_cpu() const { return plugin_ == nullptr; }
  // How many CUDA devices; 0 on the CPU.
  int count() const { return static_cast<int>(ordinals_.size()); }
  // Why `auto` went on with the CPU, in one sentence; empty otherwise.
  const std::string& fallback_reason() const { return fallback_reason_; }

  // What each CUDA device is used for now; of the CPU nothing. A device that does not answer is left out.
  // Blocks while the driver is asked: about a millisecond.
  std::vector<DeviceUse> Use() const;

  // Whether each still answers: after some failures (an illegal access, a device that fell off the bus) none
  // does until the process has ended. The first that does not says why. Blocks like Use.
  absl::Status Check() const;

  // What runs `plan` there. ResourceExhausted where a device's memory does not hold it; Unimplemented for a
  // precision that the devices lack, or a flow one row of which is too large to compute there. Blocks while
  // weights are copied. REQUIRES: !on_cpu()
  absl::StatusOr<std::unique_ptr<const Executor>> CreateExecutor(const Plan& plan, Precision precision,
                                                                 int workers) const;

 private:
  Devices() = default;
  static absl::StatusOr<std::shared_ptr<Devices>> OpenCuda(std::vector<int> ordinals);

  std::string name_ = "cpu";
  std::string fallback_reason_;
  std::vector<int> ordinals_;
  const CudaPlugin* plugin_ = nullptr;
};

}  // namespace glowworm

#endif  // GLOWWORM_MODEL_DEVICES_H_
