// Three calls, declared as the library's ABI has them: its header is not needed, and nothing links it.

#include "model/cuda/nvml.h"

#include <dlfcn.h>

#include <type_traits>

namespace glowworm::cuda {
namespace {

constexpr char kLibrary[] = "libnvidia-ml.so.1";
constexpr int kSuccess = 0;

}  // namespace

std::unique_ptr<const Nvml> Nvml::Open(const char* library) {
  void* const opened = dlopen(library, RTLD_NOW | RTLD_LOCAL);
  if (opened == nullptr) return nullptr;
  std::unique_ptr<Nvml> out(new Nvml);
  const auto find = [opened](const char* name, auto* function) {
    *function = reinterpret_cast<std::remove_pointer_t<decltype(function)>>(dlsym(opened, name));
    return *function != nullptr;
  };
  if (!find("nvmlInit_v2", &out->init_) || !find("nvmlDeviceGetHandleByPciBusId_v2", &out->device_at_) ||
      !find("nvmlDeviceGetUtilizationRates", &out->rates_of_) || out->init_() != kSuccess) {
    return nullptr;
  }
  return out;
}

double Nvml::Utilization(const char* pci_bus_id) const {
  Device* device = nullptr;
  Rates rates = {};
  if (device_at_(pci_bus_id, &device) != kSuccess || rates_of_(device, &rates) != kSuccess) return -1;
  return rates.compute / 100.0;
}

double DeviceUtilization(const char* pci_bus_id) {
  static const Nvml* const nvml = Nvml::Open(kLibrary).release();  // for good, like the library
  return nvml == nullptr ? -1 : nvml->Utilization(pci_bus_id);
}

}  // namespace glowworm::cuda
