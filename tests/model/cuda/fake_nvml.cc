// A management library with one device, at 0000:01:00.0, that was busy for 37 percent of the time, and one at
// 0000:02:00.0 that does not tell. For tests/model/cuda/nvml_test.cc.

#include <cstring>

struct FakeDevice {
  bool tells;
};

struct FakeRates {
  unsigned int compute, memory;
};

namespace {

constexpr int kSuccess = 0, kNotSupported = 3, kNotFound = 6;
FakeDevice tells{true}, keeps_quiet{false};
bool started = false;

}  // namespace

extern "C" {

int nvmlInit_v2() {
  started = true;
  return kSuccess;
}

int nvmlDeviceGetHandleByPciBusId_v2(const char* pci_bus_id, FakeDevice** device) {
  if (!started) return kNotFound;
  if (std::strcmp(pci_bus_id, "0000:01:00.0") == 0) *device = &tells;
  if (std::strcmp(pci_bus_id, "0000:02:00.0") == 0) *device = &keeps_quiet;
  return *device == nullptr ? kNotFound : kSuccess;
}

int nvmlDeviceGetUtilizationRates(FakeDevice* device, FakeRates* out) {
  if (!device->tells) return kNotSupported;
  *out = {37, 12};
  return kSuccess;
}

}  // extern "C"
