// What every CUDA op stands on: Launch, Arena, ConstantPool, Pack, SumRows and Product, on the fake device.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "model/cuda/arena.h"
#include "model/cuda/constants.h"
#include "model/cuda/launch.h"
#include "model/cuda/pack.h"
#include "model/cuda/product.h"
#include "model/cuda/row_sum.h"
#include "tests/model/cuda/kernel_fixture.h"
#include "tests/testing/random_numbers.h"

namespace glowworm::cuda {
namespace {

// --- Arena ---

TEST(Arena, GivesAlignedBuffersThatDoNotOverlap) {
  alignas(kAlignment) static unsigned char block[4 * kAlignment];
  Arena arena(block, sizeof(block));
  auto* first = arena.Take<float>(1);
  auto* second = arena.Take<double>(33);  // 264 bytes: two steps
  auto* third = arena.Take<unsigned char>(kAlignment);
  EXPECT_EQ(reinterpret_cast<unsigned char*>(first), block);
  EXPECT_EQ(reinterpret_cast<unsigned char*>(second), block + kAlignment);
  EXPECT_EQ(reinterpret_cast<unsigned char*>(third), block + 3 * kAlignment);
  EXPECT_FALSE(arena.overflowed());
}

TEST(Arena, GivesWhatWasReleasedAgain) {
  alignas(kAlignment) static unsigned char block[2 * kAlignment];
  Arena arena(block, sizeof(block));
  arena.Take<float>(1);
  const Arena::Mark mark = arena.mark();
  auto* before = arena.Take<float>(1);
  arena.Release(mark);
  EXPECT_EQ(arena.Take<float>(1), before);
  EXPECT_FALSE(arena.overflowed());
}

TEST(Arena, TellsTheMostThatWasInUseAtOnce) {
  Arena arena;
  const Arena::Mark mark = arena.mark();
  arena.Take<unsigned char>(5 * kAlignment);
  arena.Release(mark);
  arena.Take<unsigned char>(2 * kAlignment);
  EXPECT_EQ(arena.needed(), 5 * kAlignment);
  EXPECT_TRUE(arena.overflowed());
}

TEST(Arena, BuffersOfProductsHoldWholeCalls) {
  Arena arena;
  arena.TakeColumns<float>(1, 3);
  EXPECT_EQ(arena.needed(), 256 * 3 * 4);
  arena.TakeColumns<double>(257, 1);
  EXPECT_EQ(arena.needed(), 256 * 3 * 4 + 512 * 8);
}

// --- ConstantPool, Launch, Pack ---

using LaunchTest = KernelTest;

// Writes the index's double to its place.
struct WriteTwice {
  int* to;
  GLOWWORM_BODY void operator()(int64_t i) const { to[i] = static_cast<int>(2 * i); }
};

TEST_F(LaunchTest, ConstantsArriveConverted) {
  const Constant<float> floats = constants_.Add<float>(std::vector<double>{1.5, -2, 0.1});
  const Constant<int32_t> ints = constants_.Add<int32_t>(std::vector<int64_t>{7, -1});
  const Constant<double> none = constants_.Add<double>(std::vector<double>{});
  Run([] {});
  EXPECT_EQ(FromDevice(floats.on(queue_), 3), (std::vector<float>{1.5F, -2, 0.1F}));
  EXPECT_EQ(FromDevice(ints.on(queue_), 2), (std::vector<int32_t>{7, -1}));
  EXPECT_EQ(none.on(queue_), nullptr);
  for (const int64_t offset : {floats.offset, ints.offset}) EXPECT_EQ(offset % kAlignment, 0);
}

TEST_F(LaunchTest, RunsEveryIndexAndNoOther) {
  for (const int64_t count : {0, 1, 3, 255, 256, 257, 1000}) {
    int* to = ToDevice(std::vector<int>(count + 1, -1));
    Run([&] { Launch(&queue_, count, WriteTwice{to}); });
    const std::vector<int> got = FromDevice(to, count + 1);
    for (int64_t i = 0; i < count; ++i) ASSERT_EQ(got[i], 2 * i) << "of " << count;
    EXPECT_EQ(got[count], -1) << "beyond " << count;
  }
}

TEST_F(LaunchTest, PutsNothingIntoAQueueThatMeasures) {
  int* to = ToDevice(std::vector<int>{-1});
  queue_.measuring = true;
  Launch(&queue_, 1, WriteTwice{to});
  EXPECT_EQ(FromDevice(to, 1)[0], -1);
}

TEST_F(LaunchTest, PutsNothingIntoAQueueThatFailed) {
  int* to = ToDevice(std::vector<int>{-1, -1});
  for (const bool blas : {false, true}) {
    queue_.error = blas ? cudaSuccess : cudaErrorMemoryAllocation;
    queue_.blas_error = blas ? CUBLAS_STATUS_NOT_INITIALIZED : CUBLAS_STATUS_SUCCESS;
    Launch(&queue_, 1, WriteTwice{to});
    EXPECT_EQ(FromDevice(to, 1)[0], -1);
  }
}

TEST_F(LaunchTest, QueueKeepsTheFirstError) {
  queue_.Note(cudaSuccess);
  EXPECT_TRUE(queue_.ok());
  queue_.Note(cudaErrorMemoryAllocation);
  queue_.Note(cudaErrorInvalidValue);
  EXPECT_EQ(queue_.error, cudaErrorMemoryAllocation);
  EXPECT_FALSE(queue_.ok());
}

template <typename T>
struct NegatePack {
  T* x;
  GLOWWORM_BODY void operator()(int64_t i) const {
    Pack<T> pack = LoadPack(x, i);
    for (T& v : pack.v) v = -v;
    StorePack(x, i, pack);
  }
};

template <typename T>
class NumberTest : public KernelTest {};
using Numbers = testing::Types<float, double>;
TYPED_TEST_SUITE(NumberTest, Numbers);

TYPED_TEST(NumberTest, PacksCoverEveryNumber) {
  using T = TypeParam;
  for (const int64_t n : {1, 2, 3, 4, 5, 257}) {
    std::vector<T> values(n);
    for (int64_t i = 0; i < n; ++i) values[i] = static_cast<T>(i + 1);
    T* x = this->ToDevice(values);
    this->Run([&] { Launch(&this->queue_, Packs<T>(n), NegatePack<T>{x}); });
    for (T& v : values) v = -v;
    EXPECT_EQ(this->FromDevice(x, n), values);
  }
}

// --- SumRows ---

// Segments of 32 in order, then the segments in order: the order that SumRows promises.
double SumInSegments(const double* values, int64_t n) {
  double sum = 0;
  for (int64_t begin = 0; begin < n; begin += 32) {
    double segment = 0;
    for (int64_t i = begin; i < std::min<int64_t>(begin + 32, n); ++i) segment += values[i];
    sum += segment;
  }
  return sum;
}

TYPED_TEST(NumberTest, RowSumsHaveOneOrderWhateverTheRows) {
  using T = TypeParam;
  RandomNumbers random(1);
  for (const int64_t rows : {1, 3, 31, 33, 257}) {
    for (const int64_t per_row : {1, 31, 32, 33, 100}) {
      std::vector<T> values(rows * per_row);
      for (T& v : values) v = static_cast<T>(random.Normal() * 1e6);
      const std::vector<double> wide(values.begin(), values.end());
      this->state_.rows = rows;
      this->state_.log_density = this->ToDevice(std::vector<double>(rows, 2));
      const T* numbers = this->ToDevice(values);
      this->Run([&] { AddLogDerivatives(this->state_, per_row, numbers); });
      const std::vector<double> got = this->FromDevice(this->state_.log_density, rows);
      for (int64_t r = 0; r < rows; ++r) {
        ASSERT_EQ(got[r], 2 + SumInSegments(wide.data() + r * per_row, per_row)) << rows << " x " << per_row;
      }
    }
  }
}

TYPED_TEST(NumberTest, MarksRowsWhoseSquaresOverflow) {
  using T = TypeParam;
  const T limit = std::sqrt(std::numeric_limits<T>::max()), inf = std::numeric_limits<T>::infinity();
  const T beyond = std::nextafter(limit, inf);
  const std::vector<T> hard = {0, limit, -limit, beyond, -beyond, inf, -inf, std::nan("")};
  const std::vector<unsigned char> marked = {0, 0, 0, 1, 1, 1, 1, 1};
  const auto rows = static_cast<int64_t>(hard.size());
  for (const int64_t per_row : {1, 33, 70}) {
    for (const int64_t place : {int64_t{0}, per_row - 1}) {
      std::vector<T> values(rows * per_row, 1);
      for (int64_t r = 0; r < rows; ++r) values[r * per_row + place] = hard[r];
      this->state_.rows = rows;
      this->state_.overflow = this->ToDevice(std::vector<unsigned char>(rows));
      const T* numbers = this->ToDevice(values);
      this->Run([&] { MarkOverflow(this->state_, per_row, numbers); });
      EXPECT_EQ(this->FromDevice(this->state_.overflow, rows), marked) << place << " of " << per_row;
    }
  }
}

TYPED_TEST(NumberTest, AMarkStays) {
  using T = TypeParam;
  this->state_.rows = 2;
  this->state_.overflow = this->ToDevice(std::vector<unsigned char>{1, 0});
  const T* numbers = this->ToDevice(std::vector<T>{0, 0});
  this->Run([&] { MarkOverflow(this->state_, 1, numbers); });
  EXPECT_EQ(this->FromDevice(this->state_.overflow, 2), (std::vector<unsigned char>{1, 0}));
}

// --- Product ---

struct ProductCase {
  int64_t n, in, out;
};

template <typename T>
class ProductTest : public KernelTest {
 protected:
  // y + x W^T or x W^T by the device, (n, out).
  std::vector<T> Multiply(const ProductCase& c, const std::vector<double>& weight, const std::vector<T>& x,
                          const std::vector<T>& y, bool accumulate) {
    const Product<T> product(c.in, c.out, weight, &constants_);
    const int64_t columns = RoundUpTo(kColumns, c.n);
    const T* from = ToDevice(x, columns * c.in);
    T* to = ToDevice(y, columns * c.out);
    Run([&] { product.Run(&queue_, c.n, from, to, accumulate); });
    return FromDevice(to, c.n * c.out);
  }
};
TYPED_TEST_SUITE(ProductTest, Numbers);

template <typename T>
std::vector<T> Rounded(const std::vector<double>& values) {
  return std::vector<T>(values.begin(), values.end());
}

TYPED_TEST(ProductTest, IsTheSumOfProducts) {
  using T = TypeParam;
  RandomNumbers random(2);
  for (const ProductCase& c :
       {ProductCase{1, 1, 1}, {3, 7, 5}, {255, 2, 3}, {256, 5, 1}, {257, 33, 9}, {600, 1, 2}}) {
    const std::vector<T> weight = Rounded<T>(random.Normals(c.out * c.in, 0, 1));
    const std::vector<T> x = Rounded<T>(random.Normals(c.n * c.in, 0, 1));
    const std::vector<T> y = Rounded<T>(random.Normals(c.n * c.out, 0, 1));
    for (const bool accumulate : {false, true}) {
      const std::vector<double> w(weight.begin(), weight.end());
      const std::vector<T> got = this->Multiply(c, w, x, accumulate ? y : std::vector<T>(), accumulate);
      for (int64_t i = 0; i < c.n * c.out; ++i) {
        long double sum = accumulate ? y[i] : 0, magnitude = std::abs(sum);
        for (int64_t j = 0; j < c.in; ++j) {
          const long double term =
              static_cast<long double>(x[i / c.out * c.in + j]) * weight[i % c.out * c.in + j];
          sum += term;
          magnitude += std::abs(term);
        }
        // A rounding each of the products and of the sums.
        const auto tolerance = static_cast<double>(magnitude) * static_cast<double>(c.in + 1) *
                               std::numeric_limits<T>::epsilon();
        ASSERT_NEAR(static_cast<double>(got[i]), static_cast<double>(sum), tolerance) << "of " << c.n;
      }
    }
  }
}

TYPED_TEST(ProductTest, BitsOfARowDoNotDependOnItsPlaceOrOnTheRows) {
  using T = TypeParam;
  RandomNumbers random(3);
  const int64_t in = 37, out = 11;
  const std::vector<double> weight = random.Normals(out * in, 0, 1);
  const std::vector<T> row = Rounded<T>(random.Normals(in, 0, 1));
  const std::vector<T> alone = this->Multiply({1, in, out}, weight, row, {}, false);
  for (const int64_t n : {2, 31, 256, 257}) {
    for (const int64_t place : {int64_t{0}, n - 1}) {
      std::vector<T> x = Rounded<T>(random.Normals(n * in, 0, 1));
      std::copy(row.begin(), row.end(), x.begin() + place * in);
      const std::vector<T> got = this->Multiply({n, in, out}, weight, x, {}, false);
      EXPECT_EQ(std::vector<T>(got.begin() + place * out, got.begin() + (place + 1) * out), alone)
          << place << " of " << n;
    }
  }
}

TYPED_TEST(ProductTest, PutsNothingIntoAQueueThatFailed) {
  using T = TypeParam;
  const Product<T> product(1, 1, {2}, &this->constants_);
  this->Run([] {});  // uploads the weight
  const T* x = this->ToDevice(std::vector<T>{3}, kColumns);
  T* y = this->ToDevice(std::vector<T>{-1}, kColumns);
  this->queue_.error = cudaErrorMemoryAllocation;
  product.Run(&this->queue_, 1, x, y, false);
  EXPECT_EQ(this->FromDevice(y, 1)[0], -1);
}

}  // namespace
}  // namespace glowworm::cuda
