// Spellings, plug-ins that are not there or not right, and a toy one that is.

#include "model/devices.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/match.h"
#include "tests/testing/random_flow.h"
#include "tests/testing/test_device.h"

namespace glowworm {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

class DevicesTest : public ::testing::Test {
 protected:
  ~DevicesTest() override { unsetenv("GLOWWORM_CUDA_PLUGIN"); }

  void Use(const std::string& plugin) { setenv("GLOWWORM_CUDA_PLUGIN", plugin.c_str(), 1); }
  void UseToy(const std::string& variant = "toy") {
    Use(std::string(TOY_PLUGINS) + "/libglowworm_cuda_" + variant + ".so");
  }
  std::shared_ptr<const Devices> Open(const std::string& spec) {
    auto devices = Devices::Open(spec);
    EXPECT_TRUE(devices.ok()) << devices.status();
    return devices.ok() ? *devices : nullptr;
  }
  absl::Status Refusal(const std::string& spec) { return Devices::Open(spec).status(); }
  std::string Message(const std::string& spec) { return std::string(Refusal(spec).message()); }

  static FlowSpec Numbers(int64_t count) {
    RandomFlow flow(5, RowShape(count));
    return flow.AddPlu(Side::kOutput, true, true).Finish(BaseKind::kStandard);
  }
  static absl::StatusOr<std::unique_ptr<const Flow>> FlowOn(std::shared_ptr<const Devices> devices,
                                                            int64_t numbers = 4,
                                                            Precision precision = Precision::kFloat32) {
    FlowOptions options;
    options.devices = std::move(devices);
    options.precision = precision;
    return Flow::Create(Numbers(numbers), options);
  }
};

TEST_F(DevicesTest, TheSpellingsAreFive) {
  for (const char* spec : {"cpu", "cuda", "cuda:0", "cuda:3,1", "auto"}) {
    EXPECT_TRUE(Devices::CheckSpec(spec).ok()) << spec;
  }
  for (const char* spec : {"", "gpu", "CPU", "cuda:", "cuda:a", "cuda:-1", "cuda:+1", "cuda:1,", "cuda:,1",
                           "cuda: 1", "cuda:1024", "cuda:99999999999", "auto:1", "cpu:0", "cuda1"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(Devices::CheckSpec(spec))) << spec;
    EXPECT_TRUE(absl::IsInvalidArgument(Refusal(spec))) << spec;
  }
  EXPECT_THAT(Message("cuda:1,0,1"), HasSubstr("each device once, got 1 twice"));
}

TEST_F(DevicesTest, ABadSpellingIsQuotedShortAndOnOneLine) {
  EXPECT_EQ(Message("a b\n'c'"), "expected cpu, cuda, cuda:N, cuda:N,M or auto, got 'a_b__c_'");
  EXPECT_LT(Message(std::string(10000, 'x')).size(), 100);
}

TEST_F(DevicesTest, TheCpuNeedsNoPlugin) {
  Use("nowhere");
  const auto devices = Open("cpu");
  EXPECT_TRUE(devices->on_cpu());
  EXPECT_EQ(devices->name(), "cpu");
  EXPECT_EQ(devices->count(), 0);
  EXPECT_TRUE(devices->Use().empty());
  EXPECT_EQ(devices->fallback_reason(), "");
}

TEST_F(DevicesTest, APluginIsLookedForBesideTheProgram) {
  if (std::filesystem::exists("/proc/self/exe")) {
    const auto here = std::filesystem::read_symlink("/proc/self/exe").parent_path();
    ASSERT_FALSE(std::filesystem::exists(here / "libglowworm_cuda.so"));
  }
  EXPECT_TRUE(absl::IsNotFound(Refusal("cuda")));
  EXPECT_THAT(Message("cuda"), HasSubstr("there is no CUDA plug-in: libglowworm_cuda.so lies neither"));
}

TEST_F(DevicesTest, APluginThatIsNamedMustBeThere) {
  Use("/nowhere/at/all.so");
  EXPECT_TRUE(absl::IsNotFound(Refusal("cuda")));
  EXPECT_THAT(Message("cuda"),
              AllOf(HasSubstr("GLOWWORM_CUDA_PLUGIN names does not exist"), Not(HasSubstr("/nowhere"))));
}

TEST_F(DevicesTest, AFileThatIsNoLibraryDoesNotLoad) {
  const std::string path = ::testing::TempDir() + "no-library.so";
  std::ofstream(path) << "not a library";
  Use(path);
  EXPECT_TRUE(absl::IsFailedPrecondition(Refusal("cuda")));
  EXPECT_THAT(Message("cuda"),
              AllOf(HasSubstr("the CUDA plug-in does not load: no-library.so"), Not(HasSubstr("/"))));
  std::filesystem::remove(path);
}

TEST_F(DevicesTest, AnotherLibraryIsNoPlugin) {
  UseToy("other_library");
  EXPECT_EQ(Message("cuda"), "the file that should be the CUDA plug-in is another library");
}

TEST_F(DevicesTest, APluginOfAnotherBuildIsRefused) {
  UseToy("other_build");
  EXPECT_TRUE(absl::IsFailedPrecondition(Refusal("cuda")));
  EXPECT_THAT(Message("cuda"), HasSubstr("built of another source"));
}

TEST_F(DevicesTest, WithoutADriverOrADeviceItSaysSo) {
  UseToy("no_driver");
  EXPECT_EQ(Message("cuda"), "there is no NVIDIA driver");
  UseToy("no_device");
  EXPECT_EQ(Message("cuda:0"), "the CUDA driver sees no device");
}

// What the tests of parity do on a machine like this one.
TEST_F(DevicesTest, ATestIsSkippedWithoutAPluginOrADeviceAndFailsWithABadPlugin) {
  setenv("GLOWWORM_TEST_DEVICE", "cuda", 1);
  Use("/nowhere/at/all.so");
  EXPECT_EXIT(TestDevices(), ::testing::ExitedWithCode(77), "");
  UseToy("no_device");
  EXPECT_EXIT(TestDevices(), ::testing::ExitedWithCode(77), "");
  for (const std::string variant : {"other_build", "other_library"}) {
    UseToy(variant);
    EXPECT_EXIT(TestDevices(), ::testing::ExitedWithCode(1), "failed: the .*CUDA plug-in") << variant;
  }
  unsetenv("GLOWWORM_TEST_DEVICE");
}

TEST_F(DevicesTest, DevicesAreAllOrThoseNamed) {
  UseToy();
  EXPECT_EQ(Open("cuda")->name(), "cuda:0,1");
  EXPECT_EQ(Open("cuda")->count(), 2);
  EXPECT_EQ(Open("cuda:1")->name(), "cuda:1");
  EXPECT_EQ(Open("cuda:1,0")->name(), "cuda:1,0");
  EXPECT_TRUE(absl::IsNotFound(Refusal("cuda:0,2")));
  EXPECT_EQ(Message("cuda:0,2"), "there is no CUDA device 2: the driver sees 2, the first of them 0");
}

TEST_F(DevicesTest, AutoTakesCudaWhereItIsAndTheCpuWhereNot) {
  UseToy();
  EXPECT_EQ(Open("auto")->name(), "cuda:0,1");
  EXPECT_EQ(Open("auto")->fallback_reason(), "");
  UseToy("no_driver");
  EXPECT_EQ(Open("auto")->name(), "cpu");
  EXPECT_TRUE(Open("auto")->on_cpu());
  EXPECT_EQ(Open("auto")->fallback_reason(), "there is no NVIDIA driver");
}

TEST_F(DevicesTest, TellWhatEachDeviceIsUsedFor) {
  UseToy();
  const std::vector<DeviceUse> use = Open("cuda:1,0")->Use();
  ASSERT_EQ(use.size(), 2);
  EXPECT_EQ(use[0].ordinal, 1);
  EXPECT_EQ(use[0].name, "Toy 2");
  EXPECT_EQ(use[0].utilization, -1);
  EXPECT_EQ(use[1].memory_used_bytes, 1000);
  EXPECT_EQ(use[1].utilization, 0.75);
}

TEST_F(DevicesTest, AFlowComputesOnThemAndKeepsThem) {
  UseToy();
  auto flow = FlowOn(Open("cuda:1"));
  ASSERT_TRUE(flow.ok()) << flow.status();
  EXPECT_EQ((*flow)->info().device, "cuda:1");
  EXPECT_EQ((*flow)->info().max_tile_rows, 1024);
  const double x[4] = {-3.5, 1, 2, 3};
  double log_likelihood = 0;
  RowStatus status = RowStatus::kNonFiniteResult;
  EncodeRow row;
  row.x.data = x;
  row.log_likelihood = &log_likelihood;
  row.status = &status;
  EXPECT_TRUE((*flow)->Encode(absl::MakeConstSpan(&row, 1)).ok());
  EXPECT_EQ(log_likelihood, -3.5);  // the toy's
  EXPECT_EQ(status, RowStatus::kOk);
}

TEST_F(DevicesTest, AFlowOnTheCpuSaysSo) {
  for (const auto& devices : {Open("cpu"), std::shared_ptr<const Devices>()}) {
    const auto flow = FlowOn(devices);
    ASSERT_TRUE(flow.ok()) << flow.status();
    EXPECT_EQ((*flow)->info().device, "cpu");
  }
}

// A call of several tiles stops at the first that fails, and samples are scored on the device too.
TEST_F(DevicesTest, AFailureOfTheDeviceIsTheCallsStatus) {
  UseToy();
  const auto flow = FlowOn(Open("cuda:0"));
  ASSERT_TRUE(flow.ok()) << flow.status();
  constexpr int kRows = 3000;
  std::vector<double> x(4 * kRows, 0.5), log_likelihood(kRows, -1);
  std::vector<RowStatus> status(kRows);
  std::vector<EncodeRow> rows(kRows);
  std::vector<SampleRow> samples(kRows);
  for (int r = 0; r < kRows; ++r) {
    rows[r].x.data = samples[r].x.data = &x[4 * r];
    rows[r].log_likelihood = samples[r].log_likelihood = &log_likelihood[r];
    rows[r].status = samples[r].status = &status[r];
  }
  EXPECT_TRUE((*flow)->Encode(rows).ok());
  x[4 * 1500] = 666;
  const absl::Status failed = (*flow)->Encode(rows);
  EXPECT_TRUE(absl::IsInternal(failed)) << failed;
  EXPECT_TRUE((*flow)->Sample(samples).ok());
  EXPECT_EQ(log_likelihood, std::vector<double>(kRows, 0));  // the toy's samples are zeros
  samples[2999].seed = 666;
  EXPECT_TRUE(absl::IsInternal((*flow)->Sample(samples)));
}

TEST_F(DevicesTest, AFlowThatTheirMemoryDoesNotHoldIsRefused) {
  UseToy();
  const auto flow = FlowOn(Open("cuda"), /*numbers=*/7);
  EXPECT_TRUE(absl::IsResourceExhausted(flow.status())) << flow.status();
}

TEST_F(DevicesTest, Bfloat16IsTheCpusAlone) {
  UseToy();
  const auto flow = FlowOn(Open("cuda"), 4, Precision::kBfloat16);
  EXPECT_EQ(flow.status(),
            absl::UnimplementedError(
                "bfloat16 is computed on the CPU only: CUDA devices compute in float32 or float64"));
}

}  // namespace
}  // namespace glowworm
