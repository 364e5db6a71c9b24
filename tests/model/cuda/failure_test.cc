// The CUDA executor on a device where one call fails: each call in turn, while it is made, while it computes
// and while it goes. Whatever fails is told in a sentence, leaves nothing behind, and the next call answers
// right.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "model/cuda/cuda_executor.h"
#include "model/cuda/worker.h"
#include "tests/model/cuda/small_flows.h"
#include "tests/testing/fake_cuda/fake_cuda.h"

namespace glowworm::cuda {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::StartsWith;

constexpr int64_t kRows = 5;

class Failure : public ::testing::TestWithParam<SmallFlow> {
 protected:
  void TearDown() override {
    fake_cuda::FailCall(0);
    EXPECT_EQ(fake_cuda::Live().total(), 0);
    EXPECT_THAT(fake_cuda::Misuses(), IsEmpty());
  }

  static void SetMemory(size_t bytes) {
    fake_cuda::Options options;
    options.memory_bytes = bytes;
    fake_cuda::Configure(options);
  }
  // The least memory with which an executor can be made: it then makes the fewest graphs.
  static size_t LeastMemory() {
    size_t bytes = kBlasWorkspaceBytes;
    for (SetMemory(bytes); !Create().ok(); SetMemory(bytes)) bytes += size_t{64} << 10;
    return bytes;
  }
  static absl::StatusOr<std::unique_ptr<const Executor>> Create() {
    CudaPluginOptions options;
    options.ordinals = {0};
    return CreateCudaExecutor(GetParam().plan, options);
  }
  ExecutorAnswer AnswerOf(const Executor& executor, Call call, uint64_t seed = 7) const {
    return Answer(executor, GetParam(), call, seed, kRows);
  }
  // What frees may fail unheard: see model/cuda/device_memory.h.
  static bool Frees(const std::string& call) {
    return absl::StrContains(call, "Destroy") || absl::StrContains(call, "Free");
  }
  static void ExpectSentence(const absl::Status& status) {
    EXPECT_THAT(std::string(status.message()), AllOf(StartsWith("the device could not "), HasSubstr(": "),
                                                     Not(HasSubstr("/")), Not(HasSubstr("0x"))));
  }
};

TEST_P(Failure, OfAnyCallThatMakesItIsToldAndLeavesNothing) {
  const size_t memory = LeastMemory();
  SetMemory(memory);
  ASSERT_TRUE(Create().ok());
  const int64_t calls = fake_cuda::Calls();  // and those that free it all again
  int64_t told = 0;
  for (int64_t n = 1; n <= calls; ++n) {
    SetMemory(memory);
    fake_cuda::FailCall(n);
    {
      const auto executor = Create();
      const std::string failed = fake_cuda::FailedCall();  // so far
      if (!executor.ok()) {
        ExpectSentence(executor.status());
        ++told;
      } else {
        EXPECT_TRUE(failed.empty() || Frees(failed)) << failed << ", call " << n << ", failed untold";
      }
    }
    ASSERT_EQ(fake_cuda::Live().total(), 0) << "after " << fake_cuda::FailedCall() << ", call " << n;
    ASSERT_THAT(fake_cuda::Misuses(), IsEmpty()) << "after " << fake_cuda::FailedCall() << ", call " << n;
  }
  EXPECT_GT(told, calls / 2);
}

// The device keeps a thread's last error until the thread asks for it.
TEST_P(Failure, OfAnyCallThatMakesItIsNotTheNextOnes) {
  SetMemory(LeastMemory());
  ASSERT_TRUE(Create().ok());
  const int64_t calls = fake_cuda::Calls();
  for (int64_t n = 1; n <= calls; n += 7) {
    fake_cuda::FailCall(n);
    (void)Create();
    fake_cuda::FailCall(0);
    EXPECT_EQ(Create().status(), absl::OkStatus()) << "after " << fake_cuda::FailedCall() << ", call " << n;
  }
}

TEST_P(Failure, OfAnyCallThatComputesIsToldAndTheNextAnswersRight) {
  SetMemory(size_t{48} << 20);
  const auto executor = Create();
  ASSERT_TRUE(executor.ok()) << executor.status();
  ASSERT_GE((*executor)->max_tile_rows(), kRows);
  for (const Call call : kCalls) {
    const int64_t before = fake_cuda::Calls();
    const ExecutorAnswer right = AnswerOf(**executor, call);
    ASSERT_TRUE(right.computed.ok()) << right.computed;
    const int64_t calls = fake_cuda::Calls() - before;
    ASSERT_GT(calls, 0);
    for (int64_t n = 1; n <= calls; ++n) {
      fake_cuda::FailCall(n);
      const absl::Status status = AnswerOf(**executor, call, /*seed=*/8).computed;
      ASSERT_FALSE(status.ok()) << CallName(call) << ": " << fake_cuda::FailedCall() << " failed untold";
      ExpectSentence(status);
      EXPECT_TRUE(SameAnswer(AnswerOf(**executor, call), right))
          << CallName(call) << " after " << fake_cuda::FailedCall() << " failed";
    }
  }
}

TEST_P(Failure, ForLackOfMemoryIsResourceExhausted) {
  SetMemory(1 << 20);
  const auto executor = Create();
  EXPECT_EQ(executor.status().code(), absl::StatusCode::kResourceExhausted) << executor.status();
}

INSTANTIATE_TEST_SUITE_P(Small, Failure, ::testing::ValuesIn(SmallFlows()),
                         [](const auto& param) { return param.param.name; });

}  // namespace
}  // namespace glowworm::cuda
