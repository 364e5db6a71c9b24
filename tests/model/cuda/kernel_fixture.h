// KernelTest: a device's queue for tests of single ops and kernels: buffers go up, work is put into the
// queue, results come back. Used by the tests of tests/model/cuda.

#ifndef GLOWWORM_TESTS_MODEL_CUDA_KERNEL_FIXTURE_H_
#define GLOWWORM_TESTS_MODEL_CUDA_KERNEL_FIXTURE_H_

#include <cublas_v2.h>
#include <cuda_runtime.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "model/cuda/arena.h"
#include "model/cuda/constants.h"
#include "model/cuda/queue.h"
#include "model/cuda/tile.h"
#include "model/flow_spec.h"
#include "tests/testing/fake_cuda/fake_cuda.h"

namespace glowworm::cuda {

class KernelTest : public testing::Test {
 protected:
  void SetUp() override {
    Expect(cudaStreamCreateWithFlags(&queue_.stream, cudaStreamNonBlocking));
    ASSERT_EQ(cublasCreate(&queue_.blas), CUBLAS_STATUS_SUCCESS);
    ASSERT_EQ(cublasSetStream(queue_.blas, queue_.stream), CUBLAS_STATUS_SUCCESS);
    state_.queue = &queue_;
  }
  void TearDown() override {
    Expect(cudaStreamSynchronize(queue_.stream));
    EXPECT_EQ(cublasDestroy(queue_.blas), CUBLAS_STATUS_SUCCESS);
    for (void* block : blocks_) Expect(cudaFree(block));
    Expect(cudaStreamDestroy(queue_.stream));
    EXPECT_THAT(fake_cuda::Misuses(), testing::IsEmpty());
    EXPECT_EQ(fake_cuda::Live().total(), 0);
  }

  // A copy on the device, with room for `room` numbers; what lies beyond the copied ones is NaN.
  template <typename T>
  T* ToDevice(const std::vector<T>& values, int64_t room = 0) {
    const auto size = static_cast<int64_t>(values.size());
    const int64_t bytes = std::max(size, room) * static_cast<int64_t>(sizeof(T));
    auto* block = reinterpret_cast<T*>(NewBlock(RoundUpTo(kAlignment, std::max<int64_t>(bytes, 1))));
    Staging<T> staging(size);
    std::copy(values.begin(), values.end(), staging.numbers);
    Copy(block, staging.numbers, size, cudaMemcpyHostToDevice);
    return block;
  }
  // What lies there when all that is in the queue is done.
  template <typename T>
  std::vector<T> FromDevice(const T* numbers, int64_t size) {
    Staging<T> staging(size);
    Copy(staging.numbers, numbers, size, cudaMemcpyDeviceToHost);
    return std::vector<T>(staging.numbers, staging.numbers + size);
  }

  // Rows of events with the numbers x, (rows, positions, c), and a context, (rows, context_size). The state's
  // row-wise numbers start at 0.
  template <typename T>
  Tile<T> NewTile(int64_t rows, const EventShape& shape, const std::vector<T>& x,
                  const std::vector<T>& context = {}) {
    state_.rows = rows;
    state_.log_density = ToDevice(std::vector<double>(rows));
    state_.outside = ToDevice(std::vector<unsigned char>(rows));
    state_.overflow = ToDevice(std::vector<unsigned char>(rows));
    const int64_t room = RoundUpTo(kColumns, rows * shape.positions()) * shape.channels;
    const int64_t context_size = static_cast<int64_t>(context.size()) / rows;
    return {&state_, ToDevice(x, room), ToDevice(std::vector<T>(), room),
            ToDevice(context, RoundUpTo(kColumns, rows) * context_size)};
  }

  // Uploads the constants, calls work(tile) once to measure the arena it needs and again to do the work, and
  // waits for it. Returns the tile as the work left it.
  template <typename T, typename Work>
  Tile<T> Run(Tile<T> tile, const Work& work) {
    queue_.constants = reinterpret_cast<const unsigned char*>(ToDevice(constants_.bytes()));
    Arena arena;
    queue_.arena = &arena;
    queue_.measuring = true;
    Tile<T> measured = tile;
    work(&measured);
    queue_.measuring = false;
    const int64_t needed = arena.needed();
    arena = Arena(NewBlock(needed > 0 ? needed : kAlignment), needed);
    work(&tile);
    EXPECT_FALSE(arena.overflowed());
    EXPECT_EQ(arena.mark(), 0) << "not all of the arena was given back";
    EXPECT_TRUE(queue_.ok()) << cudaGetErrorString(queue_.error) << ", cuBLAS status " << queue_.blas_error;
    Expect(cudaStreamSynchronize(queue_.stream));
    queue_.arena = nullptr;
    return tile;
  }
  // The same for work that has no tile.
  template <typename Work>
  void Run(const Work& work) {
    Run(Tile<float>{&state_, nullptr, nullptr, nullptr}, [&](Tile<float>*) { work(); });
  }

  ConstantPool constants_;
  Queue queue_;
  TileState state_;

 private:
  static void Expect(cudaError_t result) { EXPECT_EQ(result, cudaSuccess) << cudaGetErrorString(result); }
  // Host memory that a device copies from and to.
  template <typename T>
  struct Staging {
    explicit Staging(int64_t size) {
      Expect(cudaHostAlloc(&numbers, (size + 1) * sizeof(T), cudaHostAllocDefault));
    }
    ~Staging() { Expect(cudaFreeHost(numbers)); }
    T* numbers = nullptr;
  };
  template <typename T>
  void Copy(T* to, const T* from, int64_t size, cudaMemcpyKind kind) {
    if (size > 0) Expect(cudaMemcpyAsync(to, from, size * sizeof(T), kind, queue_.stream));
    Expect(cudaStreamSynchronize(queue_.stream));
  }
  // Bytes of 255, which every floating-point type reads as NaN.
  unsigned char* NewBlock(int64_t bytes) {
    void* block = nullptr;
    Expect(cudaMalloc(&block, static_cast<size_t>(bytes)));
    blocks_.push_back(block);
    Expect(cudaMemsetAsync(block, 255, static_cast<size_t>(bytes), queue_.stream));
    return static_cast<unsigned char*>(block);
  }

  std::vector<void*> blocks_;
};

}  // namespace glowworm::cuda

#endif  // GLOWWORM_TESTS_MODEL_CUDA_KERNEL_FIXTURE_H_
