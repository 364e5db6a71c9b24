// The fake against what it promises: work waits, indices are shuffled, products are right, and every misuse,
// bound and injected failure shows.

#include "tests/testing/fake_cuda/fake_cuda.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cmath>
#include <string>
#include <thread>
#include <tuple>
#include <vector>

#include "cublas_v2.h"
#include "cuda_runtime.h"
#include "tests/testing/fake_cuda/fake_cuda_fixture.h"
#include "tests/testing/random_numbers.h"

namespace fake_cuda {
namespace {

using ::testing::IsEmpty;

TEST_F(FakeCuda, WorkWaitsUntilItsStreamIsSynchronised) {
  pinned_[0] = 3;
  Fill(7);
  CopyBack();
  EXPECT_EQ(pinned_[0], 3);
  Synchronize();
  EXPECT_EQ(pinned_[0], 7);
  EXPECT_THAT(Misuses(), IsEmpty());
}

TEST_F(FakeCuda, DeviceMemoryStartsAsNaN) { EXPECT_TRUE(std::isnan(ReadBack())); }

TEST_F(FakeCuda, CapturedWorkRunsOnlyWhenItsGraphIsLaunchedAndThenEachTime) {
  Fill(1);
  BeginCapture();
  Launch(stream_, kCount, [at = device_](int64_t i) { at[i] *= 2; });
  const cudaGraphExec_t exec = Instantiate();
  EXPECT_EQ(ReadBack(), 1);
  for (const double expected : {2.0, 4.0, 8.0}) {
    EXPECT_EQ(cudaGraphLaunch(exec, stream_), cudaSuccess);
    EXPECT_EQ(ReadBack(), expected);
  }
  EXPECT_EQ(cudaGraphExecDestroy(exec), cudaSuccess);
  EXPECT_THAT(Misuses(), IsEmpty());
}

TEST_F(FakeCuda, AGraphCopiesWhatLiesThereWhenItRuns) {
  BeginCapture();
  EXPECT_EQ(cudaMemcpyAsync(device_, pinned_, kCount * sizeof(double), cudaMemcpyHostToDevice, stream_),
            cudaSuccess);
  const cudaGraphExec_t exec = Instantiate();
  for (const double value : {1.0, 2.0}) {
    pinned_[kCount - 1] = value;
    EXPECT_EQ(cudaGraphLaunch(exec, stream_), cudaSuccess);
    EXPECT_EQ(ReadBack(), value);
  }
  EXPECT_EQ(cudaGraphExecDestroy(exec), cudaSuccess);
  EXPECT_THAT(Misuses(), IsEmpty());
}

TEST_F(FakeCuda, ALaunchRunsEveryIndexOnceWhateverTheCountAndThreads) {
  for (const int threads : {1, 3}) {
    Options options;
    options.threads = threads;
    Restart(options);
    for (const int64_t count : {1, 2, 3, 15, 16, 17, 63, 64, 65, 500, 999, 1000}) {
      EXPECT_EQ(cudaMemsetAsync(device_, 0, kCount * sizeof(double), stream_), cudaSuccess);
      Launch(stream_, count, [at = device_](int64_t i) { at[i] += 1 + static_cast<double>(i); });
      CopyBack();
      Synchronize();
      for (int64_t i = 0; i < kCount; ++i) ASSERT_EQ(pinned_[i], i < count ? i + 1 : 0) << count;
    }
  }
}

// The order in which the indices of two launches ran, on one thread.
TEST_F(FakeCuda, IndicesRunInAnOrderThatChangesWithTheLaunchAndTheSeed) {
  std::vector<std::vector<double>> orders;
  for (const uint64_t seed : {1, 1, 2}) {
    Options options;
    options.threads = 1;
    options.seed = seed;
    Restart(options);
    for (int launch = 0; launch < 2; ++launch) {
      pinned_[kCount - 1] = 0;  // counts the indices that ran
      Launch(stream_, kCount - 1, [at = pinned_](int64_t i) { at[i] = at[kCount - 1]++; });
      Synchronize();
      orders.emplace_back(pinned_, pinned_ + kCount - 1);
    }
  }
  std::vector<double> ascending(kCount - 1);
  std::iota(ascending.begin(), ascending.end(), 0);
  EXPECT_NE(orders[0], ascending);
  EXPECT_NE(orders[0], orders[1]);
  EXPECT_EQ(orders[0], orders[2]);
  EXPECT_EQ(orders[1], orders[3]);
  EXPECT_NE(orders[0], orders[4]);
}

TEST_F(FakeCuda, KernelsOfTwoStreamsRunAtOnceInTwoThreads) {
  auto* arrived = reinterpret_cast<std::atomic<int64_t>*>(pinned_);
  *arrived = 0;
  cudaStream_t other = nullptr;
  EXPECT_EQ(cudaStreamCreateWithFlags(&other, cudaStreamNonBlocking), cudaSuccess);
  // Neither ends before both have begun.
  for (const cudaStream_t stream : {stream_, other}) {
    Launch(stream, 1, [arrived](int64_t) {
      ++*arrived;
      while (*arrived < 2) std::this_thread::yield();
    });
  }
  std::thread thread([other] { EXPECT_EQ(cudaStreamSynchronize(other), cudaSuccess); });
  Synchronize();
  thread.join();
  EXPECT_EQ(*arrived, 2);
  EXPECT_EQ(cudaStreamDestroy(other), cudaSuccess);
}

TEST_F(FakeCuda, EventsTellTheTimeBetweenThem) {
  cudaEvent_t start = nullptr, end = nullptr;
  EXPECT_EQ(cudaEventCreate(&start), cudaSuccess);
  EXPECT_EQ(cudaEventCreate(&end), cudaSuccess);
  EXPECT_EQ(cudaEventRecord(start, stream_), cudaSuccess);
  Fill(1);
  EXPECT_EQ(cudaEventRecord(end, stream_), cudaSuccess);
  float milliseconds = -1;
  EXPECT_EQ(cudaEventElapsedTime(&milliseconds, start, end), cudaErrorNotReady);
  ExpectMisuse("before the event's record ran");
  Synchronize();
  EXPECT_EQ(cudaEventElapsedTime(&milliseconds, start, end), cudaSuccess);
  EXPECT_GT(milliseconds, 0);
  EXPECT_EQ(cudaEventDestroy(start), cudaSuccess);
  EXPECT_EQ(cudaEventDestroy(end), cudaSuccess);
}

TEST_F(FakeCuda, AnEventOfACaptureIsTimedOnlyIfRecordedAsExternal) {
  cudaEvent_t event = nullptr, external = nullptr;
  EXPECT_EQ(cudaEventCreate(&event), cudaSuccess);
  EXPECT_EQ(cudaEventCreate(&external), cudaSuccess);
  BeginCapture();
  EXPECT_EQ(cudaEventRecord(event, stream_), cudaSuccess);
  EXPECT_EQ(cudaEventRecordWithFlags(external, stream_, cudaEventRecordExternal), cudaSuccess);
  const cudaGraphExec_t exec = Instantiate();
  EXPECT_EQ(cudaGraphLaunch(exec, stream_), cudaSuccess);
  Synchronize();
  float milliseconds = -1;
  EXPECT_EQ(cudaEventElapsedTime(&milliseconds, external, external), cudaSuccess);
  EXPECT_EQ(cudaEventElapsedTime(&milliseconds, external, event), cudaErrorCapturedEvent);
  ExpectMisuse("without cudaEventRecordExternal");
  EXPECT_EQ(cudaGraphExecDestroy(exec), cudaSuccess);
  EXPECT_EQ(cudaEventDestroy(event), cudaSuccess);
  EXPECT_EQ(cudaEventDestroy(external), cudaSuccess);
}

TEST_F(FakeCuda, NamesTheCallThatFailed) {
  FailCall(2);
  EXPECT_EQ(cudaSetDevice(0), cudaSuccess);
  EXPECT_EQ(FailedCall(), "");
  size_t free = 0, total = 0;
  EXPECT_NE(cudaMemGetInfo(&free, &total), cudaSuccess);
  EXPECT_EQ(FailedCall(), "cudaMemGetInfo");
  EXPECT_EQ(cudaMemGetInfo(&free, &total), cudaSuccess);
}

TEST_F(FakeCuda, EachDeviceHasItsOwnBoundedMemory) {
  Options options;
  options.devices = 2;
  options.memory_bytes = 100000;
  Restart(options);
  size_t free = 0, total = 0;
  EXPECT_EQ(cudaMemGetInfo(&free, &total), cudaSuccess);
  EXPECT_EQ(total, 100000u);
  EXPECT_EQ(free, 100000u - kCount * sizeof(double));
  void* more = nullptr;
  EXPECT_EQ(cudaMalloc(&more, 100000), cudaErrorMemoryAllocation);
  EXPECT_EQ(more, nullptr);
  EXPECT_EQ(cudaGetLastError(), cudaErrorMemoryAllocation);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
  EXPECT_EQ(cudaSetDevice(1), cudaSuccess);
  EXPECT_EQ(cudaMalloc(&more, 100000), cudaSuccess);
  EXPECT_EQ(cudaFree(more), cudaSuccess);
  EXPECT_THAT(Misuses(), IsEmpty());
}

TEST_F(FakeCuda, TellsWhyThereIsNoDevice) {
  Forget();
  int count = -1, version = -1;
  Options options;
  options.devices = 0;
  Configure(options);
  EXPECT_EQ(cudaGetDeviceCount(&count), cudaErrorNoDevice);
  options.driver = false;
  Configure(options);
  EXPECT_EQ(cudaGetDeviceCount(&count), cudaErrorInsufficientDriver);
  EXPECT_EQ(cudaDriverGetVersion(&version), cudaSuccess);
  EXPECT_EQ(version, 0);
  EXPECT_EQ(cudaSetDevice(0), cudaErrorInsufficientDriver);
}

// What each injected failure looks like to one who does everything there is to do.
TEST_F(FakeCuda, FailsEveryCallInTurnAndStillDestroysEverything) {
  Forget();
  Configure({});
  const auto everything = [] {
    int bad = 0;
    const auto note = [&](auto result) { bad += result != decltype(result){}; };
    int count = 0, device = 0;
    note(cudaGetDeviceCount(&count));
    note(cudaSetDevice(0));
    note(cudaGetDevice(&device));
    cudaStream_t stream = nullptr;
    double* memory = nullptr;
    double* host = nullptr;
    cublasHandle_t blas = nullptr;
    note(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    note(cudaMalloc(&memory, 1024));
    note(cudaHostAlloc(&host, 1024, cudaHostAllocDefault));
    note(cublasCreate(&blas));
    if (bad == 0) note(cublasSetStream(blas, stream));
    if (bad == 0) note(cublasSetWorkspace(blas, nullptr, 0));
    cudaGraph_t graph = nullptr;
    cudaGraphExec_t exec = nullptr;
    if (bad == 0) note(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    if (bad == 0) {
      const double one = 1, zero = 0;
      note(cudaMemsetAsync(memory, 0, 1024, stream));
      note(cublasGemmEx(blas, CUBLAS_OP_N, CUBLAS_OP_N, 2, 2, 2, &one, memory, CUDA_R_64F, 2, memory + 4,
                        CUDA_R_64F, 2, &zero, memory + 8, CUDA_R_64F, 2, CUBLAS_COMPUTE_64F_PEDANTIC,
                        CUBLAS_GEMM_DEFAULT));
      Launch(stream, 128, [memory](int64_t i) { memory[i] += 1; });
      note(cudaGetLastError());
      const int before = bad;
      note(cudaStreamEndCapture(stream, &graph));
      EXPECT_TRUE(before == 0 || bad > before) << "a capture in which a call failed gave a graph";
    }
    if (bad == 0) note(cudaGraphInstantiate(&exec, graph));
    if (bad == 0) note(cudaGraphLaunch(exec, stream));
    if (bad == 0) note(cudaMemcpyAsync(host, memory, 1024, cudaMemcpyDeviceToHost, stream));
    if (stream != nullptr) note(cudaStreamSynchronize(stream));
    if (graph != nullptr) note(cudaGraphDestroy(graph));
    if (exec != nullptr) note(cudaGraphExecDestroy(exec));
    if (blas != nullptr) note(cublasDestroy(blas));
    note(cudaFree(memory));
    note(cudaFreeHost(host));
    if (stream != nullptr) note(cudaStreamDestroy(stream));
    cudaGetLastError();
    return bad;
  };
  const int64_t before = Calls();
  EXPECT_EQ(everything(), 0);
  const int64_t calls = Calls() - before;
  for (int64_t n = 1; n <= calls; ++n) {
    FailCall(n);
    EXPECT_GT(everything(), 0) << "call " << n << " of " << calls;
    EXPECT_EQ(Live().total(), 0) << "call " << n << " of " << calls;
  }
  EXPECT_EQ(everything(), 0);
  EXPECT_THAT(Misuses(), IsEmpty());
}

// {float32, a transposed, alpha, beta}
class FakeProduct : public FakeCuda,
                    public ::testing::WithParamInterface<std::tuple<bool, bool, double, double>> {};

// y = alpha op(a) x + beta y, one triple loop against cublasGemmEx, numbers small whole ones: exact.
template <typename T>
void ExpectProduct(cublasHandle_t blas, cudaStream_t stream, bool transpose, T alpha, T beta) {
  constexpr int kM = 5, kN = 7, kK = 9, kLda = 12, kLdb = 12, kLdc = 8;
  constexpr int kA = kLda * 9, kB = kLdb * kN, kC = kLdc * kN;
  T* host = nullptr;
  T* at = nullptr;
  EXPECT_EQ(cudaHostAlloc(&host, (kA + kB + kC) * sizeof(T), cudaHostAllocDefault), cudaSuccess);
  EXPECT_EQ(cudaMalloc(&at, (kA + kB + kC) * sizeof(T)), cudaSuccess);
  glowworm::RandomNumbers random(1);
  for (int i = 0; i < kA + kB + kC; ++i) host[i] = static_cast<T>(random.Below(9) - 4);
  // With beta 0 what was there must not be read.
  if (beta == T(0)) std::fill(host + kA + kB, host + kA + kB + kC, std::numeric_limits<T>::quiet_NaN());
  std::vector<T> expected(host + kA + kB, host + kA + kB + kC);
  for (int j = 0; j < kN; ++j) {
    for (int i = 0; i < kM; ++i) {
      T sum = 0;
      for (int l = 0; l < kK; ++l) {
        sum += (transpose ? host[i * kLda + l] : host[l * kLda + i]) * host[kA + j * kLdb + l];
      }
      T& y = expected[j * kLdc + i];
      y = alpha * sum + (beta == T(0) ? T(0) : beta * y);
    }
  }
  constexpr cudaDataType kType = std::is_same_v<T, float> ? CUDA_R_32F : CUDA_R_64F;
  constexpr auto kCompute =
      std::is_same_v<T, float> ? CUBLAS_COMPUTE_32F_PEDANTIC : CUBLAS_COMPUTE_64F_PEDANTIC;
  const size_t bytes = (kA + kB + kC) * sizeof(T);
  EXPECT_EQ(cudaMemcpyAsync(at, host, bytes, cudaMemcpyHostToDevice, stream), cudaSuccess);
  EXPECT_EQ(cublasGemmEx(blas, transpose ? CUBLAS_OP_T : CUBLAS_OP_N, CUBLAS_OP_N, kM, kN, kK, &alpha, at,
                         kType, kLda, at + kA, kType, kLdb, &beta, at + kA + kB, kType, kLdc, kCompute,
                         CUBLAS_GEMM_DEFAULT),
            CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(cudaMemcpyAsync(host, at, bytes, cudaMemcpyDeviceToHost, stream), cudaSuccess);
  EXPECT_EQ(cudaStreamSynchronize(stream), cudaSuccess);
  const T* actual = host + kA + kB;
  for (int j = 0; j < kN; ++j) {
    for (int i = 0; i < kLdc; ++i) {
      const T value = actual[j * kLdc + i], wanted = expected[j * kLdc + i];
      EXPECT_TRUE(value == wanted || (std::isnan(value) && std::isnan(wanted))) << value << " " << wanted;
    }
  }
  EXPECT_EQ(cudaFree(at), cudaSuccess);
  EXPECT_EQ(cudaFreeHost(host), cudaSuccess);
}

TEST_P(FakeProduct, EqualsATripleLoop) {
  const auto [is_float, transpose, alpha, beta] = GetParam();
  if (is_float) {
    ExpectProduct<float>(blas_, stream_, transpose, static_cast<float>(alpha), static_cast<float>(beta));
  } else {
    ExpectProduct<double>(blas_, stream_, transpose, alpha, beta);
  }
  EXPECT_THAT(Misuses(), IsEmpty());
}
INSTANTIATE_TEST_SUITE_P(All, FakeProduct,
                         ::testing::Combine(::testing::Bool(), ::testing::Bool(), ::testing::Values(0.0, 1.0),
                                            ::testing::Values(0.0, 1.0)));

}  // namespace
}  // namespace fake_cuda
