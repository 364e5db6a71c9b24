// The CUDA executor called by more threads than it has workers, on two devices: the same bits as one call
// after another. Run by the thread sanitizer too, with the indices of every kernel split over threads: two
// indices that touch one byte show.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "model/cuda/cuda_executor.h"
#include "tests/model/cuda/small_flows.h"
#include "tests/testing/fake_cuda/fake_cuda.h"

namespace glowworm::cuda {
namespace {

using ::testing::IsEmpty;

constexpr int kThreads = 4;
constexpr int64_t kRows[] = {1, 3, 8, 5};  // of each thread's calls

class Concurrency : public ::testing::TestWithParam<std::tuple<SmallFlow, Precision>> {
 protected:
  void SetUp() override {
    fake_cuda::Options options;
    options.devices = 2;
    options.memory_bytes = size_t{42} << 20;  // so that graphs of few sizes are made
    fake_cuda::Configure(options);
  }
  void TearDown() override {
    EXPECT_EQ(fake_cuda::Live().total(), 0);
    EXPECT_THAT(fake_cuda::Misuses(), IsEmpty());
  }
};

TEST_P(Concurrency, GivesTheBitsOfOneCallAfterAnother) {
  const SmallFlow& flow = std::get<0>(GetParam());
  CudaPluginOptions options;
  options.precision = std::get<1>(GetParam());
  options.workers = 2;
  options.ordinals = {0, 1};
  const auto executor = CreateCudaExecutor(flow.plan, options);
  ASSERT_TRUE(executor.ok()) << executor.status();
  // What thread t asks.
  const auto ask = [&](int t) {
    std::vector<ExecutorAnswer> answers;
    for (const Call call : kCalls) {
      answers.push_back(Answer(**executor, flow, call, static_cast<uint64_t>(t), kRows[t]));
    }
    return answers;
  };
  std::vector<std::vector<ExecutorAnswer>> together(kThreads);
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) threads.emplace_back([&, t] { together[t] = ask(t); });
  for (std::thread& thread : threads) thread.join();
  for (int t = 0; t < kThreads; ++t) {
    const std::vector<ExecutorAnswer> alone = ask(t);
    for (size_t k = 0; k < alone.size(); ++k) {
      EXPECT_TRUE(alone[k].computed.ok()) << alone[k].computed;
      EXPECT_TRUE(SameAnswer(together[t][k], alone[k])) << CallName(kCalls[k]) << " of thread " << t;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Small, Concurrency,
                         ::testing::Combine(::testing::ValuesIn(FlowsOfEveryKernel()),
                                            ::testing::Values(Precision::kFloat32, Precision::kFloat64)),
                         [](const auto& param) {
                           return std::get<0>(param.param).name + "_" +
                                  std::string(PrecisionName(std::get<1>(param.param)));
                         });

}  // namespace
}  // namespace glowworm::cuda
