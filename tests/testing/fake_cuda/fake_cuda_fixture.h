// FakeCuda: a stream, some memory and a cuBLAS handle on the fake, made anew for each test and gone after it.
// Used by tests/testing/fake_cuda/fake_cuda_test.cc and misuse_test.cc.

#ifndef GLOWWORM_TESTS_TESTING_FAKE_CUDA_FAKE_CUDA_FIXTURE_H_
#define GLOWWORM_TESTS_TESTING_FAKE_CUDA_FAKE_CUDA_FIXTURE_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "tests/testing/fake_cuda/fake_cuda.h"
#include "tests/testing/fake_cuda/include/cublas_v2.h"
#include "tests/testing/fake_cuda/include/cuda_runtime.h"

namespace fake_cuda {

constexpr int64_t kCount = 1000;

class FakeCuda : public ::testing::Test {
 protected:
  FakeCuda() { Restart({}); }
  ~FakeCuda() override {
    Forget();
    EXPECT_EQ(Live().total(), 0);
  }

  // The same things, made anew under these options.
  void Restart(const Options& options) {
    Forget();
    Configure(options);
    EXPECT_EQ(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking), cudaSuccess);
    EXPECT_EQ(cudaMalloc(&device_, kCount * sizeof(double)), cudaSuccess);
    EXPECT_EQ(cudaHostAlloc(&pinned_, kCount * sizeof(double), cudaHostAllocDefault), cudaSuccess);
    EXPECT_EQ(cublasCreate(&blas_), CUBLAS_STATUS_SUCCESS);
    EXPECT_EQ(cublasSetStream(blas_, stream_), CUBLAS_STATUS_SUCCESS);
    EXPECT_EQ(cublasSetWorkspace(blas_, nullptr, 0), CUBLAS_STATUS_SUCCESS);
  }
  void Forget() {
    if (stream_ == nullptr) return;
    EXPECT_EQ(cudaSetDevice(0), cudaSuccess);
    cudaStreamDestroy(stream_);
    cudaFree(device_);
    cudaFreeHost(pinned_);
    cublasDestroy(blas_);
    stream_ = nullptr;
  }

  void Fill(double value) {
    Launch(stream_, kCount, [at = device_, value](int64_t i) { at[i] = value; });
    EXPECT_EQ(cudaGetLastError(), cudaSuccess);
  }
  void CopyBack() {
    EXPECT_EQ(cudaMemcpyAsync(pinned_, device_, kCount * sizeof(double), cudaMemcpyDeviceToHost, stream_),
              cudaSuccess);
  }
  void Synchronize() { EXPECT_EQ(cudaStreamSynchronize(stream_), cudaSuccess); }
  double ReadBack() {
    CopyBack();
    Synchronize();
    return pinned_[kCount - 1];
  }
  cudaGraphExec_t Instantiate() {
    cudaGraph_t graph = nullptr;
    EXPECT_EQ(cudaStreamEndCapture(stream_, &graph), cudaSuccess);
    cudaGraphExec_t exec = nullptr;
    EXPECT_EQ(cudaGraphInstantiate(&exec, graph), cudaSuccess);
    EXPECT_EQ(cudaGraphDestroy(graph), cudaSuccess);
    return exec;
  }
  void BeginCapture(cudaStreamCaptureMode mode = cudaStreamCaptureModeThreadLocal) {
    EXPECT_EQ(cudaStreamBeginCapture(stream_, mode), cudaSuccess);
  }
  void ExpectMisuse(const std::string& text) {
    EXPECT_THAT(Misuses(), ::testing::ElementsAre(::testing::HasSubstr(text)));
    cudaGetLastError();
  }

  cudaStream_t stream_ = nullptr;
  double* device_ = nullptr;  // (kCount)
  double* pinned_ = nullptr;  // (kCount)
  cublasHandle_t blas_ = nullptr;
};

}  // namespace fake_cuda

#endif  // GLOWWORM_TESTS_TESTING_FAKE_CUDA_FAKE_CUDA_FIXTURE_H_
