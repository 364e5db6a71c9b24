// What is asked of a device beside the parity of its answers: the CPU's noise, and memory that comes back.
// Runs on the device of tests/testing/test_device.h, the fake one in CI.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <memory>
#include <string>

#include "model/devices.h"
#include "model/flow.h"
#include "tests/testing/flow_rows.h"
#include "tests/testing/random_flow.h"
#include "tests/testing/test_device.h"

namespace glowworm {
namespace {

std::unique_ptr<const Flow> Make(const FlowSpec& spec, const FlowOptions& options) {
  auto flow = Flow::Create(spec, options);
  EXPECT_TRUE(flow.ok()) << flow.status();
  return flow.ok() ? *std::move(flow) : nullptr;
}

// Floating-point numbers between the two, one of them counted.
int64_t Ulps(double a, double b) {
  const auto place = [](double v) {  // of v among all numbers in order
    int64_t bits = 0;
    std::memcpy(&bits, &v, sizeof(bits));
    return bits < 0 ? std::numeric_limits<int64_t>::min() - bits : bits;
  };
  return std::abs(place(a) - place(b));
}

TEST(OnDevice, NoiseIsWithinFourUlpsOfTheCpus) {
  FlowSpec spec;  // without layers: a sample is its noise
  spec.name = "noise";
  spec.event = RowShape(33);
  spec.base = StandardNormal{};
  FlowOptions cpu;
  cpu.precision = Precision::kFloat64;
  SampleOptions sample;
  sample.rows = 3000;
  sample.seed = 42;
  const FlowAnswer want = SampleRows(*Make(spec, cpu), sample);
  const FlowAnswer got = SampleRows(*Make(spec, OnTestDevice(Precision::kFloat64)), sample);
  ASSERT_TRUE(got.computed.ok()) << got.computed;
  int64_t most = 0;
  for (size_t i = 0; i < want.numbers.size(); ++i) {
    const int64_t ulps = Ulps(got.numbers[i], want.numbers[i]);
    ASSERT_LE(ulps, 4) << "normal " << i << " is " << got.numbers[i] << ", the CPU's " << want.numbers[i];
    most = std::max(most, ulps);
  }
  std::printf("noise: %d ulps at most\n", static_cast<int>(most));
}

int64_t UsedBytes() {
  int64_t used = 0;
  for (const DeviceUse& device : TestDevices().Use()) used += device.memory_used_bytes;
  return used;
}

TEST(OnDevice, ReloadsDoNotGrowItsMemoryByAModel) {
  const char* said = std::getenv("GLOWWORM_RELOADS");
  const int reloads = said == nullptr ? 50 : std::atoi(said);
  const FlowSpec spec = AnyFlow(91, RowShape(12), 1, 0);
  const FlowRows rows = RandomRows(spec, 1, 40);
  auto serving = Make(spec, OnTestDevice(Precision::kFloat32));  // the driver's own memory too is taken here
  ASSERT_TRUE(EncodeRows(*serving, rows).computed.ok());
  const int64_t one = UsedBytes();
  auto second = Make(spec, OnTestDevice(Precision::kFloat32));
  const int64_t model = UsedBytes() - one;
  ASSERT_GT(model, 0);
  for (int i = 0; i < reloads; ++i) {  // as the server: the new one serves, and then the old one goes
    serving = std::move(second);
    second = Make(spec, OnTestDevice(Precision::kFloat32));
    ASSERT_NE(second, nullptr) << "reload " << i;
    if (i % 10 == 0) {
      ASSERT_TRUE(EncodeRows(*second, rows).computed.ok());
    }
  }
  second.reset();
  std::printf("%d reloads: %.1f MiB more, a model takes %.1f MiB\n", reloads,
              static_cast<double>(UsedBytes() - one) / (1 << 20), static_cast<double>(model) / (1 << 20));
  EXPECT_LE(UsedBytes(), one + model);
}

}  // namespace
}  // namespace glowworm
