// See test_device.h.

#include "tests/testing/test_device.h"

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>

namespace glowworm {
namespace {

const std::shared_ptr<const Devices>& Opened() {
  static const auto* const devices = [] {
    const char* name = std::getenv("GLOWWORM_TEST_DEVICE");
    auto opened = Devices::Open(name == nullptr ? "cpu" : name);
    if (!opened.ok()) {
      std::printf("skipped: %s\n", std::string(opened.status().message()).c_str());
      std::exit(77);
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
