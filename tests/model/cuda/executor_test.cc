// The whole executor on the fake device, against the CPU's: every size, memory, several devices. What the
// façade's tests ask of a flow is asked of it too, through the plug-in.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <vector>

#include "model/cpu/cpu_executor.h"
#include "model/cuda/cuda_executor.h"
#include "model/cuda/device_seconds.h"
#include "model/plan.h"
#include "tests/model/cuda/executor_rows.h"
#include "tests/testing/fake_cuda/fake_cuda.h"
#include "tests/testing/random_flow.h"

namespace glowworm::cuda {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class ExecutorTest : public testing::Test {
 protected:
  void SetUp() override { fake_cuda::Configure({}); }
  void TearDown() override {
    EXPECT_THAT(fake_cuda::Misuses(), IsEmpty());
    EXPECT_EQ(fake_cuda::Live().total(), 0);
  }

  static void SetMemory(size_t mebibytes) {
    fake_cuda::Options options;
    options.memory_bytes = mebibytes << 20;
    fake_cuda::Configure(options);
  }
  static Plan PlanOf(const FlowSpec& spec) {
    absl::StatusOr<Plan> plan = Compile(spec, 1e6);
    EXPECT_TRUE(plan.ok()) << plan.status();
    return *std::move(plan);
  }
  static absl::StatusOr<std::unique_ptr<const Executor>> Create(const FlowSpec& spec, Precision precision,
                                                                int workers = 1,
                                                                std::vector<int> ordinals = {0}) {
    return CreateCudaExecutor(PlanOf(spec), {precision, workers, std::move(ordinals)});
  }
  static std::unique_ptr<const Executor> OnCpu(const FlowSpec& spec) {
    auto executor = CreateCpuExecutor(PlanOf(spec), Precision::kFloat64, 1);
    EXPECT_TRUE(executor.ok()) << executor.status();
    return *std::move(executor);
  }

  // Both are float64, and differ by rounding only: the gate of the float64 mode.
  static void ExpectNear(const std::vector<double>& a, const std::vector<double>& b) {
    ASSERT_EQ(a.size(), b.size());
    for (size_t i = 0; i < a.size(); ++i) {
      EXPECT_LE(std::abs(a[i] - b[i]), 1e-8 * std::max(1.0, std::abs(b[i]))) << "number " << i;
    }
  }
};

FlowSpec Tabular(uint64_t seed) { return AnyFlow(seed, RowShape(5), /*context_size=*/3, /*num_classes=*/2); }
FlowSpec Image(uint64_t seed) {
  return AnyFlow(seed, ImageShape(3, 4, 4), /*context_size=*/0, /*num_classes=*/0);
}

TEST_F(ExecutorTest, AnswersAsTheCpuDoesAtEverySize) {
  for (const FlowSpec& spec : {Tabular(1), Image(2)}) {
    const auto device = Create(spec, Precision::kFloat64);
    ASSERT_TRUE(device.ok()) << device.status();
    const auto cpu = OnCpu(spec);
    for (const int64_t n : {1, 2, 7, 8, 9, 33, 200}) {
      const FlowRows rows = RandomRows(spec, static_cast<uint64_t>(n), n);
      const ExecutorAnswer mine = Encode(**device, rows), theirs = Encode(*cpu, rows);
      ASSERT_TRUE(mine.computed.ok()) << mine.computed;
      EXPECT_EQ(mine.status, theirs.status);
      ExpectNear(mine.log_likelihood, theirs.log_likelihood);
      ExpectNear(mine.numbers, theirs.numbers);
      FlowRows latents = RandomLatents(spec, static_cast<uint64_t>(n), n);
      latents.context = rows.context;
      ExpectNear(Decode(**device, latents).numbers, Decode(*cpu, latents).numbers);
      ExpectNear(Sample(**device, spec.event.size(), n, 3, rows.context).numbers,
                 Sample(*cpu, spec.event.size(), n, 3, rows.context).numbers);
    }
  }
}

TEST_F(ExecutorTest, ARowsBitsDoNotDependOnItsBatchOrOnWhatWasThereBefore) {
  for (const FlowSpec& spec : {Tabular(3), Image(4)}) {
    const auto device = Create(spec, Precision::kFloat32);
    ASSERT_TRUE(device.ok()) << device.status();
    const FlowRows rows = RandomRows(spec, 5, 70);
    const ExecutorAnswer together = Encode(**device, rows);
    const auto size = spec.event.size();
    for (const int64_t r : {0, 1, 31, 69}) {
      const ExecutorAnswer alone = Encode(**device, rows.Pick({r}));
      EXPECT_EQ(alone.log_likelihood[0], together.log_likelihood[r]);
      const auto from = together.numbers.begin() + r * size;
      EXPECT_EQ(alone.numbers, std::vector<double>(from, from + size));
    }
    const ExecutorAnswer again = Encode(**device, rows);
    EXPECT_EQ(again.log_likelihood, together.log_likelihood);
    EXPECT_EQ(again.numbers, together.numbers);
  }
}

// Its products have more columns a call.
TEST_F(ExecutorTest, ALargerDeviceGivesTheSameAnswers) {
  fake_cuda::Options large;
  large.multiprocessors = 40;
  fake_cuda::Configure(large);
  for (const FlowSpec& spec : {Tabular(15), Image(16)}) {
    const auto device = Create(spec, Precision::kFloat64);
    ASSERT_TRUE(device.ok()) << device.status();
    const FlowRows rows = RandomRows(spec, 17, 9);
    const ExecutorAnswer mine = Encode(**device, rows);
    ASSERT_TRUE(mine.computed.ok()) << mine.computed;
    ExpectNear(mine.log_likelihood, Encode(*OnCpu(spec), rows).log_likelihood);
    EXPECT_EQ(Encode(**device, rows.Pick({5})).log_likelihood[0], mine.log_likelihood[5]);
  }
}

TEST_F(ExecutorTest, ARowThatIsNotFiniteIsAloneInThat) {
  const FlowSpec spec = Tabular(6);
  const auto device = Create(spec, Precision::kFloat32);
  ASSERT_TRUE(device.ok()) << device.status();
  FlowRows rows = RandomRows(spec, 7, 20);
  const ExecutorAnswer before = Encode(**device, rows);
  rows.numbers[7 * spec.event.size() + 2] = std::numeric_limits<double>::quiet_NaN();
  const ExecutorAnswer after = Encode(**device, rows);
  for (int64_t r = 0; r < 20; ++r) {
    EXPECT_EQ(after.status[r], r == 7 ? RowStatus::kNonFiniteInput : before.status[r]);
    if (r != 7) {
      EXPECT_EQ(after.log_likelihood[r], before.log_likelihood[r]);
    }
  }
}

TEST_F(ExecutorTest, ATileIsAsLongAsMemoryAllows) {
  const FlowSpec spec = Image(8);
  int64_t longest = 0;
  for (const size_t mebibytes : {size_t{256}, size_t{128}, size_t{80}}) {
    SetMemory(mebibytes);
    const auto device = Create(spec, Precision::kFloat32);
    ASSERT_TRUE(device.ok()) << device.status();
    const int64_t rows = (*device)->max_tile_rows();
    if (longest > 0) {
      EXPECT_LE(rows, longest);
    }
    longest = rows;
    EXPECT_TRUE(Encode(**device, RandomRows(spec, 9, rows)).computed.ok());
  }
  SetMemory(30);
  const absl::Status status = Create(spec, Precision::kFloat32).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("memory"));
}

TEST_F(ExecutorTest, WeightsAreUploadedOnceADevice) {
  const FlowSpec spec = Tabular(14);
  for (const int64_t workers : {1, 3}) {
    const auto device = Create(spec, Precision::kFloat32, static_cast<int>(workers));
    ASSERT_TRUE(device.ok()) << device.status();
    EXPECT_EQ(fake_cuda::Live().allocations, 1 + 3 * workers);  // the weights; scratch, rows and cuBLAS's
  }
}

// What a call asks of the device: copies in, events, one graph, copies out, one wait.
TEST_F(ExecutorTest, ACallMakesNothingAndLaunchesOneGraph) {
  const FlowSpec spec = Tabular(12);
  const auto device = Create(spec, Precision::kFloat32);
  ASSERT_TRUE(device.ok()) << device.status();
  const int64_t live = fake_cuda::Live().total();
  for (const int64_t n : {1, 100, 1, 33}) {
    const FlowRows rows = RandomRows(spec, 13, n);
    const int64_t before = fake_cuda::Calls();
    EXPECT_TRUE(Encode(**device, rows).computed.ok());
    EXPECT_LE(fake_cuda::Calls() - before, 20);
    EXPECT_EQ(fake_cuda::Live().total(), live);
  }
}

TEST_F(ExecutorTest, AFlowWhoseBuffersAreTooLongToCountIsRefused) {
  SetMemory(size_t{1} << 20);
  CouplingOptions wide;  // a window of 63 x 63 x 9 numbers at each of 256 x 256 places: more than 2^31
  wide.net.kernel = 63;
  RandomFlow flow(12, ImageShape(2, 256, 256));
  const absl::Status status =
      Create(flow.AddCoupling(wide).Finish(BaseKind::kStandard), Precision::kFloat32).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("less than 8589934592 bytes"));
}

TEST_F(ExecutorTest, WorkersGoRoundTheDevices) {
  fake_cuda::Options two;
  two.devices = 2;
  fake_cuda::Configure(two);
  const FlowSpec spec = Tabular(10);
  const auto device = Create(spec, Precision::kFloat32, 3, {0, 1});
  ASSERT_TRUE(device.ok()) << device.status();
  const DeviceSeconds before[] = {SecondsOf(0), SecondsOf(1)};
  const FlowRows rows = RandomRows(spec, 11, 50);
  const ExecutorAnswer first = Encode(**device, rows), second = Encode(**device, rows);
  EXPECT_EQ(first.log_likelihood, second.log_likelihood);
  for (const int ordinal : {0, 1}) {
    EXPECT_GT(SecondsOf(ordinal).compute, before[ordinal].compute) << ordinal;
    EXPECT_GT(SecondsOf(ordinal).transfer, before[ordinal].transfer) << ordinal;
  }
}

TEST_F(ExecutorTest, AFlowWithoutLayersSamplesItsNoise) {
  FlowSpec spec;
  spec.event = RowShape(3);
  spec.base = StandardNormal{};
  const auto device = Create(spec, Precision::kFloat64);
  ASSERT_TRUE(device.ok()) << device.status();
  const ExecutorAnswer drawn = Sample(**device, 3, 40, 0, {});
  EXPECT_THAT(drawn.status, Each(RowStatus::kOk));
  EXPECT_EQ(drawn.numbers, Sample(*OnCpu(spec), 3, 40, 0, {}).numbers);
}

}  // namespace
}  // namespace glowworm::cuda
