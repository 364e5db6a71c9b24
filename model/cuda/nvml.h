// Nvml: how busy a device is, from NVIDIA's management library, which comes with the driver and is opened at
// run time: a machine, or a container, may have none. Tested by tests/model/cuda/nvml_test.cc.

#ifndef GLOWWORM_MODEL_CUDA_NVML_H_
#define GLOWWORM_MODEL_CUDA_NVML_H_

#include <memory>

namespace glowworm::cuda {

// Immutable after creation; thread-safe, as the library says of itself.
class Nvml {
 public:
  // Null if there is no such library, if it lacks what is asked of it here, or if it does not start. It is
  // never closed.
  static std::unique_ptr<const Nvml> Open(const char* library);

  // 0 .. 1: the share of the library's last sample period (1/6 to 1 s) in which the device computed; -1 if it
  // does not tell, as of a part of a device. Blocks while the driver is asked.
  double Utilization(const char* pci_bus_id) const;

 private:
  struct Device;  // the library's own
  struct Rates {
    unsigned int compute;  // percent
    unsigned int memory;   // percent of the time in which memory was read or written
  };

  Nvml() = default;

  int (*init_)() = nullptr;
  int (*device_at_)(const char* pci_bus_id, Device** device) = nullptr;
  int (*rates_of_)(Device* device, Rates* out) = nullptr;
};

// The same from the driver's library, opened at the first call; -1 if there is none.
double DeviceUtilization(const char* pci_bus_id);

}  // namespace glowworm::cuda

#endif  // GLOWWORM_MODEL_CUDA_NVML_H_
