// Each misuse of the runtime or of cuBLAS, one by one: what a device would let pass, or answer with wrong
// numbers, is kept as a sentence, and the work does not happen.

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "tests/testing/fake_cuda/fake_cuda_fixture.h"

namespace fake_cuda {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr size_t kBytes = kCount * sizeof(double);

// A copy, which is to be refused.
class CopyMisuse : public FakeCuda {
 protected:
  void ExpectRefused(void* to, const void* from, size_t bytes, cudaMemcpyKind kind, const std::string& text) {
    EXPECT_NE(cudaMemcpyAsync(to, from, bytes, kind, stream_), cudaSuccess);
    ExpectMisuse("cudaMemcpyAsync: " + text);
  }
};

TEST_F(CopyMisuse, AgainstTheDirectionOfItsSource) {
  ExpectRefused(device_, pinned_, 8, cudaMemcpyDeviceToDevice,
                "the source is pinned host memory, expected device memory");
}
TEST_F(CopyMisuse, AgainstTheDirectionOfItsDestination) {
  ExpectRefused(device_, pinned_, 8, cudaMemcpyHostToHost,
                "the destination is memory of device 0, expected pinned host memory");
}
TEST_F(CopyMisuse, WithoutADirection) {
  ExpectRefused(device_, pinned_, 8, cudaMemcpyDefault, "expected a direction, got 4");
}
TEST_F(CopyMisuse, OfPageableMemory) {
  const double value = 1;
  ExpectRefused(device_, &value, 8, cudaMemcpyHostToDevice, "the source is pageable host memory");
}
TEST_F(CopyMisuse, BeyondAnAllocation) {
  ExpectRefused(
      device_ + 1, pinned_, kBytes, cudaMemcpyHostToDevice,
      "the destination is 8000 bytes from byte 8 of an allocation of 8000 bytes of memory of device 0");
}
TEST_F(CopyMisuse, OfFreedMemory) {
  double* gone = nullptr;
  EXPECT_EQ(cudaMalloc(&gone, 8), cudaSuccess);
  EXPECT_EQ(cudaFree(gone), cudaSuccess);
  ExpectRefused(gone, pinned_, 8, cudaMemcpyHostToDevice, "the destination is freed memory");
}
TEST_F(CopyMisuse, OntoItself) {
  ExpectRefused(device_ + 1, device_, 16, cudaMemcpyDeviceToDevice, "the source and the destination overlap");
}
TEST_F(CopyMisuse, OfWhatChangesWhileItWaits) {
  pinned_[0] = 1;
  EXPECT_EQ(cudaMemcpyAsync(device_, pinned_, 8, cudaMemcpyHostToDevice, stream_), cudaSuccess);
  pinned_[0] = 2;
  Synchronize();
  ExpectMisuse("cudaMemcpyAsync: the source changed while the copy waited");
}
TEST_F(CopyMisuse, OfAnotherDevicesMemory) {
  Options options;
  options.devices = 2;
  Restart(options);
  double* other = nullptr;
  EXPECT_EQ(cudaSetDevice(1), cudaSuccess);
  EXPECT_EQ(cudaMalloc(&other, 8), cudaSuccess);
  EXPECT_EQ(cudaSetDevice(0), cudaSuccess);
  ExpectRefused(device_, other, 8, cudaMemcpyDeviceToDevice,
                "the source is memory of device 1, the stream of device 0");
  EXPECT_EQ(cudaFree(other), cudaSuccess);
}

using FillMisuse = FakeCuda;

TEST_F(FillMisuse, OfHostMemory) {
  EXPECT_NE(cudaMemsetAsync(pinned_, 0, 8, stream_), cudaSuccess);
  ExpectMisuse("cudaMemsetAsync: the destination is pinned host memory");
}

using FreeMisuse = FakeCuda;

TEST_F(FreeMisuse, Twice) {
  double* gone = nullptr;
  EXPECT_EQ(cudaMalloc(&gone, 8), cudaSuccess);
  EXPECT_EQ(cudaFree(gone), cudaSuccess);
  EXPECT_NE(cudaFree(gone), cudaSuccess);
  ExpectMisuse("cudaFree: given freed memory");
}
TEST_F(FreeMisuse, OfAnAddressInside) {
  EXPECT_NE(cudaFree(device_ + 1), cudaSuccess);
  ExpectMisuse("cudaFree: given an address inside an allocation");
}
TEST_F(FreeMisuse, OfPinnedMemoryAsTheDevices) {
  EXPECT_NE(cudaFree(pinned_), cudaSuccess);
  ExpectMisuse("cudaFree: given pinned host memory");
}
TEST_F(FreeMisuse, OfDeviceMemoryAsPinned) {
  EXPECT_NE(cudaFreeHost(device_), cudaSuccess);
  ExpectMisuse("cudaFreeHost: given memory of device 0");
}
TEST_F(FreeMisuse, WhileQueuedWorkUsesIt) {
  double* gone = nullptr;
  EXPECT_EQ(cudaMalloc(&gone, 8), cudaSuccess);
  Launch(stream_, 1, [gone](int64_t) { *gone = 1; });
  EXPECT_EQ(cudaFree(gone), cudaSuccess);
  Synchronize();
  EXPECT_THAT(Misuses(),
              ::testing::ElementsAre("cudaFree: freed while a launch that uses it still waits in its stream",
                                     "cudaStreamSynchronize: a launch comes to run on freed memory"));
}
TEST_F(FreeMisuse, OfWhatAGraphStillUses) {
  double* gone = nullptr;
  EXPECT_EQ(cudaMalloc(&gone, 8), cudaSuccess);
  BeginCapture();
  EXPECT_EQ(cudaMemsetAsync(gone, 0, 8, stream_), cudaSuccess);
  const cudaGraphExec_t exec = Instantiate();
  EXPECT_EQ(cudaFree(gone), cudaSuccess);
  EXPECT_THAT(Misuses(), IsEmpty());
  EXPECT_EQ(cudaGraphLaunch(exec, stream_), cudaSuccess);
  Synchronize();
  ExpectMisuse("a cudaMemsetAsync comes to run on freed memory");
  EXPECT_EQ(cudaGraphExecDestroy(exec), cudaSuccess);
}

// Streams and handles.
using HandleMisuse = FakeCuda;

TEST_F(HandleMisuse, TheDefaultStream) {
  EXPECT_EQ(cudaMemsetAsync(device_, 0, 8), cudaErrorInvalidResourceHandle);
  ExpectMisuse("the default stream");
}
TEST_F(HandleMisuse, ADestroyedStream) {
  cudaStream_t gone = nullptr;
  EXPECT_EQ(cudaStreamCreateWithFlags(&gone, cudaStreamNonBlocking), cudaSuccess);
  EXPECT_EQ(cudaStreamDestroy(gone), cudaSuccess);
  EXPECT_EQ(cudaStreamSynchronize(gone), cudaErrorInvalidResourceHandle);
  ExpectMisuse("cudaStreamSynchronize: a stream that was destroyed or never made");
}
TEST_F(HandleMisuse, WorkForAStreamOfAnotherDevice) {
  Options options;
  options.devices = 2;
  Restart(options);
  EXPECT_EQ(cudaSetDevice(1), cudaSuccess);
  Launch(stream_, 1, [at = device_](int64_t) { *at = 1; });
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidResourceHandle);
  ExpectMisuse("launch: a stream of device 0 while the current device is 1");
}
TEST_F(HandleMisuse, ACublasHandleOfAnotherDevice) {
  Options options;
  options.devices = 2;
  Restart(options);
  EXPECT_EQ(cudaSetDevice(1), cudaSuccess);
  EXPECT_EQ(cublasSetMathMode(blas_, CUBLAS_PEDANTIC_MATH), CUBLAS_STATUS_NOT_INITIALIZED);
  ExpectMisuse("cublasSetMathMode: a handle of device 0 while the current device is 1");
}
TEST_F(HandleMisuse, ADestroyedCublasHandle) {
  cublasHandle_t gone = nullptr;
  EXPECT_EQ(cublasCreate(&gone), CUBLAS_STATUS_SUCCESS);
  EXPECT_EQ(cublasDestroy(gone), CUBLAS_STATUS_SUCCESS);
  EXPECT_NE(cublasDestroy(gone), CUBLAS_STATUS_SUCCESS);
  ExpectMisuse("cublasDestroy: a handle that was destroyed or never made");
}
TEST_F(HandleMisuse, ADestroyedEvent) {
  cudaEvent_t gone = nullptr;
  EXPECT_EQ(cudaEventCreate(&gone), cudaSuccess);
  EXPECT_EQ(cudaEventDestroy(gone), cudaSuccess);
  EXPECT_NE(cudaEventRecord(gone, stream_), cudaSuccess);
  ExpectMisuse("cudaEventRecord: an event that was destroyed or never made");
}
TEST_F(HandleMisuse, ADestroyedGraph) {
  BeginCapture();
  const cudaGraphExec_t gone = Instantiate();
  EXPECT_EQ(cudaGraphExecDestroy(gone), cudaSuccess);
  EXPECT_NE(cudaGraphLaunch(gone, stream_), cudaSuccess);
  ExpectMisuse("cudaGraphLaunch: an executable graph that was destroyed or never made");
}

// What the arguments of a kernel point to.
using LaunchMisuse = FakeCuda;

TEST_F(LaunchMisuse, WithAnAddressOfTheHost) {
  double host = 0;
  Launch(stream_, 1, [at = &host](int64_t) { *at = 1; });
  EXPECT_NE(cudaGetLastError(), cudaSuccess);
  Synchronize();
  EXPECT_EQ(host, 0);
  ExpectMisuse("launch: an argument is an address of the host");
}
TEST_F(LaunchMisuse, WithFreedMemory) {
  double* gone = nullptr;
  EXPECT_EQ(cudaMalloc(&gone, 8), cudaSuccess);
  EXPECT_EQ(cudaFree(gone), cudaSuccess);
  Launch(stream_, 1, [gone](int64_t) { *gone = 1; });
  ExpectMisuse("launch: an argument is freed memory");
}
TEST_F(LaunchMisuse, WithMemoryOfAnotherDevice) {
  Options options;
  options.devices = 2;
  Restart(options);
  cudaStream_t other = nullptr;
  EXPECT_EQ(cudaSetDevice(1), cudaSuccess);
  EXPECT_EQ(cudaStreamCreateWithFlags(&other, cudaStreamNonBlocking), cudaSuccess);
  Launch(other, 1, [at = device_](int64_t) { *at = 1; });
  ExpectMisuse("launch: an argument is memory of device 0, the stream of device 1");
  EXPECT_EQ(cudaStreamDestroy(other), cudaSuccess);
}
TEST_F(LaunchMisuse, OfNoIndices) {
  Launch(stream_, 0, [at = device_](int64_t) { *at = 1; });
  EXPECT_EQ(cudaGetLastError(), cudaErrorInvalidConfiguration);
  ExpectMisuse("launch: expected indices, got 0");
}
// Padding holds whatever lay there before, which may look like an address.
TEST_F(LaunchMisuse, IsNotSeenInPadding) {
  struct Body {
    double* at;
    bool flag;
    void operator()(int64_t) const { *at = flag ? 1 : 2; }
  };
  unsigned char bytes[sizeof(Body)];
  const unsigned char* host = bytes;
  std::memcpy(bytes, &device_, sizeof(device_));
  std::memcpy(bytes + sizeof(device_), &host, sizeof(host));
  bytes[sizeof(device_)] = 1;  // the flag, in an address otherwise whole
  Body body;
  std::memcpy(&body, bytes, sizeof(body));
  Launch(stream_, 1, body);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
  EXPECT_THAT(Misuses(), IsEmpty());
}

// While a stream captures.
using CaptureMisuse = FakeCuda;

TEST_F(CaptureMisuse, ToAllocate) {
  BeginCapture();
  void* none = nullptr;
  EXPECT_EQ(cudaMalloc(&none, 8), cudaErrorStreamCaptureUnsupported);
  ExpectMisuse("cudaMalloc: called while a stream captures");
  cudaGraph_t graph = nullptr;
  EXPECT_EQ(cudaStreamEndCapture(stream_, &graph), cudaErrorStreamCaptureInvalidated);
  EXPECT_EQ(graph, nullptr);
}
TEST_F(CaptureMisuse, ToAllocateInAnotherThreadOnlyIfTheCaptureIsGlobal) {
  for (const auto mode :
       {cudaStreamCaptureModeThreadLocal, cudaStreamCaptureModeRelaxed, cudaStreamCaptureModeGlobal}) {
    EXPECT_THAT(Misuses(), IsEmpty());
    BeginCapture(mode);
    std::thread([] {
      void* memory = nullptr;
      cudaMalloc(&memory, 8);
      cudaFree(memory);
    }).join();
    cudaGraph_t graph = nullptr;
    cudaStreamEndCapture(stream_, &graph);
    if (graph != nullptr) cudaGraphDestroy(graph);
  }
  EXPECT_THAT(Misuses(), ::testing::Each(HasSubstr("called while a stream captures")));
  EXPECT_EQ(Misuses().size(), 2u);
}
TEST_F(CaptureMisuse, ToSynchroniseTheStream) {
  BeginCapture();
  EXPECT_EQ(cudaStreamSynchronize(stream_), cudaErrorStreamCaptureUnsupported);
  ExpectMisuse("cudaStreamSynchronize: the stream captures");
  cudaGraph_t graph = nullptr;
  EXPECT_EQ(cudaStreamEndCapture(stream_, &graph), cudaErrorStreamCaptureInvalidated);
}
TEST_F(CaptureMisuse, ToGiveCublasAWorkspace) {
  BeginCapture();
  EXPECT_NE(cublasSetWorkspace(blas_, device_, kBytes), CUBLAS_STATUS_SUCCESS);
  ExpectMisuse("cublasSetWorkspace: called while a stream captures");
  cudaGraph_t graph = nullptr;
  EXPECT_EQ(cudaStreamEndCapture(stream_, &graph), cudaErrorStreamCaptureInvalidated);
}
TEST_F(CaptureMisuse, ToEndItInAnotherThread) {
  BeginCapture();
  cudaGraph_t graph = nullptr;
  std::thread([&] {
    EXPECT_EQ(cudaStreamEndCapture(stream_, &graph), cudaErrorStreamCaptureWrongThread);
  }).join();
  ExpectMisuse("cudaStreamEndCapture: another thread began the capture");
  EXPECT_EQ(cudaStreamEndCapture(stream_, &graph), cudaSuccess);
  EXPECT_EQ(cudaGraphDestroy(graph), cudaSuccess);
}
TEST_F(CaptureMisuse, ToDestroyTheStream) {
  cudaStream_t stream = nullptr;
  EXPECT_EQ(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), cudaSuccess);
  EXPECT_EQ(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal), cudaSuccess);
  cudaStreamDestroy(stream);
  ExpectMisuse("cudaStreamDestroy: the stream captures");
}

// A product of two (2, 2) float32 matrices, one thing wrong at a time.
class ProductMisuse : public FakeCuda {
 protected:
  void ExpectRefused(const std::string& text) {
    EXPECT_NE(cublasGemmEx(blas_, op, CUBLAS_OP_N, 2, 2, 2, alpha, a, CUDA_R_32F, lda, b, CUDA_R_32F, 2,
                           &zero, c, type_c, 2, compute, CUBLAS_GEMM_DEFAULT),
              CUBLAS_STATUS_SUCCESS);
    ExpectMisuse("cublasGemmEx: " + text);
    EXPECT_EQ(cudaGetLastError(), cudaSuccess);
  }

  const float one = 1, zero = 0;
  const float* alpha = &one;
  float* a = reinterpret_cast<float*>(device_);
  float* b = a + 4;
  float* c = a + 8;
  cublasOperation_t op = CUBLAS_OP_T;
  cublasComputeType_t compute = CUBLAS_COMPUTE_32F_PEDANTIC;
  cudaDataType type_c = CUDA_R_32F;
  int lda = 2;
};

TEST_F(ProductMisuse, WithTensorFloat32) {
  for (const auto type : {CUBLAS_COMPUTE_32F, CUBLAS_COMPUTE_32F_FAST_TF32, CUBLAS_COMPUTE_64F}) {
    Restart({});
    a = reinterpret_cast<float*>(device_);
    compute = type;
    ExpectRefused("expected a pedantic compute type, got " + std::to_string(type));
  }
}
TEST_F(ProductMisuse, InAModeOfTensorFloat32) {
  EXPECT_NE(cublasSetMathMode(blas_, CUBLAS_TF32_TENSOR_OP_MATH), CUBLAS_STATUS_SUCCESS);
  ExpectMisuse("cublasSetMathMode: expected the default or the pedantic mode, got 3");
}
TEST_F(ProductMisuse, OfTwoTypes) {
  type_c = CUDA_R_64F;
  ExpectRefused("expected operands of the compute type");
}
TEST_F(ProductMisuse, OfHostMemory) {
  b = reinterpret_cast<float*>(pinned_);
  ExpectRefused("b is pinned host memory, expected device memory");
}
TEST_F(ProductMisuse, BeyondAnAllocation) {
  c = reinterpret_cast<float*>(device_ + kCount) - 4;
  ++lda;
  a = c;
  ExpectRefused("a is 20 bytes from byte 7984 of an allocation of 8000 bytes");
}
TEST_F(ProductMisuse, WithRowsLongerThanItsLeadingDimension) {
  lda = 1;
  ExpectRefused("a has leading dimension 1 for 2 rows");
}
TEST_F(ProductMisuse, NotAligned) {
  ++b;
  ExpectRefused("b is not aligned to 16 bytes");
}
TEST_F(ProductMisuse, OntoItsOwnOperand) {
  c = a;
  ExpectRefused("c overlaps a or b");
}
TEST_F(ProductMisuse, WithAScalarOnTheDevice) {
  alpha = a;
  ExpectRefused("alpha and beta are read on the host");
}
TEST_F(ProductMisuse, CapturedAfterItsWorkspaceWasLost) {
  EXPECT_EQ(cublasSetStream(blas_, stream_), CUBLAS_STATUS_SUCCESS);
  BeginCapture();
  ExpectRefused("captured without a workspace given since cublasSetStream");
  EXPECT_EQ(cudaGraphExecDestroy(Instantiate()), cudaSuccess);
}

using FakeCudaDeath = FakeCuda;

TEST_F(FakeCudaDeath, AMisuseEndsTheProgramIfAsked) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  Options options;
  options.abort = true;
  Restart(options);
  EXPECT_DEATH(cudaFree(pinned_), "fake_cuda: cudaFree: given pinned host memory");
}
TEST_F(FakeCudaDeath, ConfigureRefusesWhileAnythingLives) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH(Configure({}), "expected nothing live, got 1 allocations, 1 pinned blocks, 1 streams");
}

// Read once: a thread-safe death test starts this program anew.
class FakeCudaEnvironment : public ::testing::Test {
 protected:
  FakeCudaEnvironment() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
  ~FakeCudaEnvironment() override { unsetenv("GLOWWORM_FAKE_CUDA"); }
  void Set(const char* text) { setenv("GLOWWORM_FAKE_CUDA", text, 1); }
};

TEST_F(FakeCudaEnvironment, SetsTheOptions) {
  const auto use = [] {
    int count = 0;
    cudaGetDeviceCount(&count);
    size_t free = 0, total = 0;
    const cudaError_t second_call = cudaMemGetInfo(&free, &total);
    std::fprintf(stderr, "%d devices, call 2: %d, ", count, second_call);
    cudaMemGetInfo(&free, &total);
    std::fprintf(stderr, "%zu bytes; ", total);
    cudaFree(&count);
  };
  Set("devices=3,memory=4096,threads=2,seed=5,fail=2,abort=1");
  EXPECT_DEATH(use(), "3 devices, call 2: 3, 4096 bytes; fake_cuda: cudaFree: given pageable host memory");
}
TEST_F(FakeCudaEnvironment, EndsTheProgramIfItCannotBeRead) {
  int count = 0;
  Set("devices=3,oops=1");
  EXPECT_DEATH(cudaGetDeviceCount(&count), "expected driver, devices, major, memory, .* got oops");
  Set("devices");
  EXPECT_DEATH(cudaGetDeviceCount(&count), "expected name=number in GLOWWORM_FAKE_CUDA, got devices");
  Set("devices=two");
  EXPECT_DEATH(cudaGetDeviceCount(&count), "expected a number in GLOWWORM_FAKE_CUDA, got devices=two");
}

}  // namespace
}  // namespace fake_cuda
