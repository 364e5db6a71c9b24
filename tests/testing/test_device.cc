// See test_device.h.

#include "tests/testing/test_device.h"

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

#include "absl/strings/match.h"

namespace glowworm {
namespace {

// Whether it is the plug-in, the driver or a device (that it computes on) that is not there; what is there
// and wrong is no reason to skip. The sentences are those of model/devices.cc and model/cuda/plugin.cc.
bool IsAbsence(const absl::Status& status) {
  return absl::IsNotFound(status) ||
         (absl::IsFailedPrecondition(status) &&
          (absl::StartsWith(status.message(), "the device could not be found: ") ||
           absl::StartsWith(status.message(), "the CUDA driver sees no device") ||
           absl::StartsWith(status.message(), "expected compute capability ")));
}

const std::shared_ptr<const Devices>& Opened() {
  static const auto* const devices = [] {
    const char* name = std::getenv("GLOWWORM_TEST_DEVICE");
    auto opened = Devices::Open(name == nullptr ? "cpu" : name);
    if (!opened.ok()) {
      const bool absent = IsAbsence(opened.status());
      std::fprintf(absent ? stdout : stderr, "%s: %s\n", absent ? "skipped" : "failed",
                   std::string(opened.status().message()).c_str());
      std::exit(absent ? 77 : 1);
    }
    return new std::shared_ptr<const Devices>(*std::move(opened));
  }();
  return *devices;
}

}  // namespace

const Devices& TestDevices() { return *Opened(); }

FlowOptions OnTestDevice(Precision precision, int workers) {
  FlowOptions options;
  options.precision = precision;
  options.workers = workers;
  options.devices = Opened();
  return options;
}

absl::Status CheckTestPrecision(Precision precision) {
  if (TestDevices().on_cpu() || precision != Precision::kBfloat16) return CheckPrecision(precision);
  return absl::UnimplementedError("bfloat16 is the CPU's alone");
}

}  // namespace glowworm
