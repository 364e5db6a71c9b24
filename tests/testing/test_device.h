// The device that the parity tests compute on: what the environment's GLOWWORM_TEST_DEVICE names, as
// Devices::Open spells it, else the CPU. Registered per device by tests/model/CMakeLists.txt. Tested by
// tests/model/devices_test.cc.

#ifndef GLOWWORM_TESTS_TESTING_TEST_DEVICE_H_
#define GLOWWORM_TESTS_TESTING_TEST_DEVICE_H_

#include "absl/status/status.h"
#include "model/devices.h"
#include "model/flow.h"

namespace glowworm {

// Ends the process with 77, "skipped", after a line on stdout that says why, if there is no plug-in, no
// driver or no such device; with 1, after a line on stderr, if they are there and do not open.
const Devices& TestDevices();

FlowOptions OnTestDevice(Precision precision, int workers = 1);

// Unimplemented if that device cannot compute so.
absl::Status CheckTestPrecision(Precision precision);

}  // namespace glowworm

#endif  // GLOWWORM_TESTS_TESTING_TEST_DEVICE_H_
