// Executors made and destroyed again and again leave nothing behind on the device. On a real one, where only
// memory can be counted: tests/model/on_device_test.cc.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/cuda/cuda_executor.h"
#include "model/plan.h"
#include "tests/model/cuda/executor_rows.h"
#include "tests/testing/fake_cuda/fake_cuda.h"
#include "tests/testing/random_flow.h"

namespace glowworm::cuda {
namespace {

TEST(Reload, FiftyReloadsBringTheCountsOfLiveObjectsBack) {
  fake_cuda::Configure({});
  const FlowSpec spec = AnyFlow(92, RowShape(5), 0, 0);
  const absl::StatusOr<Plan> plan = Compile(spec, 1e6);
  ASSERT_TRUE(plan.ok()) << plan.status();
  const CudaPluginOptions options{Precision::kFloat32, 2, {0}};
  auto serving = CreateCudaExecutor(*plan, options);
  ASSERT_TRUE(serving.ok()) << serving.status();
  const fake_cuda::LiveObjects one = fake_cuda::Live();
  ASSERT_GT(one.total(), 0);
  for (int i = 0; i < 50; ++i) {
    auto next = CreateCudaExecutor(*plan, options);
    ASSERT_TRUE(next.ok()) << next.status();
    EXPECT_TRUE(Encode(**next, RandomRows(spec, 1, 3)).computed.ok());
    serving = *std::move(next);
    const fake_cuda::LiveObjects now = fake_cuda::Live();
    EXPECT_EQ(now.allocations, one.allocations);
    EXPECT_EQ(now.pinned, one.pinned);
    EXPECT_EQ(now.streams, one.streams);
    EXPECT_EQ(now.events, one.events);
    EXPECT_EQ(now.graphs, one.graphs);
    EXPECT_EQ(now.execs, one.execs);
    EXPECT_EQ(now.handles, one.handles);
  }
  *serving = nullptr;
  EXPECT_EQ(fake_cuda::Live().total(), 0);
  EXPECT_THAT(fake_cuda::Misuses(), testing::IsEmpty());
}

}  // namespace
}  // namespace glowworm::cuda
