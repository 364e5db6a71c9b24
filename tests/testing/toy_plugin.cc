// A CUDA plug-in without CUDA, for tests of what stands before it: two devices whose density is a toy. log p
// of a row is its first number, latents and samples are zeros. A tile fails as a device would if a row's
// first number is kPoison, or a sample's seed is. The devices hold flows of up to kMostNumbers numbers, and
// fail with every tile of a flow of kBrokenNumbers. It is built once for each way of being wrong too
// (CMakeLists.txt): TOY_OTHER_BUILD, TOY_OTHER_LIBRARY, TOY_NO_DRIVER and TOY_NO_DEVICE. Used by
// tests/model/devices_test.cc, tests/server/device_test.cc and tests/e2e/device_test.py.

#include <atomic>
#include <cstring>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "model/cuda/plugin.h"

namespace glowworm {
namespace {

constexpr double kPoison = 666;
constexpr int64_t kMostNumbers = 6, kBrokenNumbers = 5;
constexpr int64_t kTileRows = 1024;

std::atomic<int> tiles{0};

absl::Status Failure() { return absl::InternalError("an illegal memory access was encountered"); }

double First(const RowInput& row) {
  if (row.dtype == DataType::kUint8) return *static_cast<const unsigned char*>(row.data);
  if (row.dtype == DataType::kFloat64) {
    double number;
    std::memcpy(&number, row.data, sizeof(number));
    return number;
  }
  float number;
  std::memcpy(&number, row.data, sizeof(number));
  return number;
}

class ToyExecutor final : public Executor {
 public:
  explicit ToyExecutor(int64_t numbers) : numbers_(numbers) {}

  int64_t max_tile_rows() const override { return kTileRows; }

  absl::Status Encode(absl::Span<const EncodeRow> rows) const override {
    ++tiles;
    for (const EncodeRow& row : rows) {
      if (broken() || First(row.x) == kPoison) return Failure();
      *row.log_likelihood = First(row.x);
      *row.status = RowStatus::kOk;
      Clear(row.z);
    }
    return absl::OkStatus();
  }

  absl::Status Decode(absl::Span<const DecodeRow> rows) const override {
    ++tiles;
    for (const DecodeRow& row : rows) {
      if (broken() || First(row.z) == kPoison) return absl::InternalError("the device could not decode");
      *row.status = RowStatus::kOk;
      Clear(row.x);
    }
    return absl::OkStatus();
  }

  absl::Status Sample(absl::Span<const SampleRow> rows) const override {
    ++tiles;
    for (const SampleRow& row : rows) {
      if (broken() || row.seed == static_cast<uint64_t>(kPoison)) return Failure();
      if (row.class_drawn != nullptr) *row.class_drawn = 0;
      *row.status = RowStatus::kOk;
      Clear(row.x);
    }
    return absl::OkStatus();
  }

 private:
  bool broken() const { return numbers_ == kBrokenNumbers; }
  void Clear(const RowOutput& row) const {
    if (row.data != nullptr) std::memset(row.data, 0, (row.dtype == DataType::kFloat32 ? 4 : 8) * numbers_);
  }

  const int64_t numbers_;
};

absl::StatusOr<std::vector<std::string>> Names() {
#if defined(TOY_NO_DRIVER)
  return absl::FailedPreconditionError("there is no NVIDIA driver");
#elif defined(TOY_NO_DEVICE)
  return std::vector<std::string>();
#else
  return std::vector<std::string>{"Toy 1", "Toy 2"};
#endif
}

absl::StatusOr<std::unique_ptr<const Executor>> Create(const Plan& plan, const CudaPluginOptions& options) {
  if (plan.event.size() > kMostNumbers) {
    return absl::ResourceExhaustedError(absl::StrCat("the memory of device ", options.ordinals.front(),
                                                     " does not hold this flow: ", plan.event.size(),
                                                     " numbers"));
  }
  return std::make_unique<const ToyExecutor>(plan.event.size());
}

// Device 1 tells nothing of its utilization.
absl::StatusOr<DeviceUse> Use(int ordinal) {
  DeviceUse use;
  use.ordinal = ordinal;
  use.name = absl::StrCat("Toy ", ordinal + 1);
  use.memory_used_bytes = 1000 + ordinal;
  use.memory_total_bytes = 4000;
  use.transfer_seconds = 0.25 * tiles;
  use.compute_seconds = 0.5 * tiles;
  use.utilization = ordinal == 0 ? 0.75 : -1;
  return use;
}

}  // namespace
}  // namespace glowworm

#if defined(TOY_OTHER_BUILD)
#define BUILD "another"
#else
#define BUILD GLOWWORM_PLUGIN_BUILD
#endif
#if defined(TOY_OTHER_LIBRARY)
#define glowworm_cuda_plugin some_function
#endif

extern "C" const glowworm::CudaPlugin* glowworm_cuda_plugin() {
  static const glowworm::CudaPlugin kPlugin = {BUILD, glowworm::Names, glowworm::Create, glowworm::Use};
  return &kPlugin;
}
