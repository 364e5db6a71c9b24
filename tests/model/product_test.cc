// Tests of model/cpu/product.h: right numbers, and a row's bits the same at every size and place.

#include "model/cpu/product.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <map>
#include <memory>
#include <random>

#include "absl/types/span.h"
#include "model/cpu/bfloat16.h"
#include "model/cpu/float_mode.h"

namespace glowworm {
namespace {

struct Case {
  int64_t in, out, positions;
};

std::ostream& operator<<(std::ostream& out, const Case& c) {
  return out << c.in << " to " << c.out << " at " << c.positions;
}

std::vector<double> Normals(int64_t n, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  std::vector<double> v(n);
  for (double& x : v) {
    const auto number = static_cast<float>(normal(random));
    uint32_t bits;
    std::memcpy(&bits, &number, sizeof(bits));
    bits &= 0xffff0000;
    float exact;  // in all three types
    std::memcpy(&exact, &bits, sizeof(exact));
    x = exact;
  }
  return v;
}

// One product with everything it needs around it.
template <typename T>
class Bench {
 public:
  Bench(const Case& c, std::optional<Activation> activation, bool accumulate, int64_t max_rows,
        ProductType type = ProductType::kFloat32, int64_t min_call = 1)
      : shape_{c.in, c.out, c.positions, activation, accumulate, 0, 0, 0, type, min_call},
        weight_(Normals(c.in * c.out, 1)),
        bias_(Normals(c.out, 2)),
        product_(Product<T>::Create(shape_, weight_, bias_, max_rows, &set_)) {
    EXPECT_TRUE(product_.ok()) << product_.status();
    runner_ = std::make_unique<PrimitiveRunner>(&set_);
  }

  // Runs `rows` rows whose inputs are rows first, first + 1, ... of one endless table.
  std::vector<T> Run(int64_t rows, int64_t first) {
    const FloatMode mode;
    const Arena::Mark mark = arena_.mark();
    const int64_t m = rows * shape_.positions;
    T* x = arena_.Take<T>(m * shape_.in);
    T* y = arena_.Take<T>(m * shape_.out);
    for (int64_t r = 0; r < rows; ++r) {
      const std::vector<double>& row = Input(first + r);
      std::copy(row.begin(), row.end(), x + r * shape_.positions * shape_.in);
    }
    std::fill_n(y, m * shape_.out, T(0.25));
    ProductScratch scratch = {&arena_, runner_.get()};
    if (companion_ != nullptr) {
      scratch.companion = companion_.get();
      scratch.companion_primitives = companion_runner_.get();
    }
    const Companion::Lease lease(companion_.get());
    product_->Run(rows, x, y, scratch);
    std::vector<T> out(y, y + m * shape_.out);
    arena_.Release(mark);
    return out;
  }

  // From here on a row alone is shared with a second thread.
  void GetCompanion() {
    EXPECT_TRUE(set_.shares()) << "no product of this shape is worth sharing";
    companion_ = std::make_unique<Companion>();
    companion_runner_ = std::make_unique<PrimitiveRunner>(&set_);
  }

  const std::vector<double>& Input(int64_t row) {
    std::vector<double>& input = inputs_[row];
    if (input.empty()) input = Normals(shape_.positions * shape_.in, 100 + row);
    return input;
  }

  // The plain sum, before any activation.
  double Expected(const std::vector<double>& input, int64_t position, int64_t o) const {
    double sum = bias_[o] + (shape_.accumulate ? 0.25 : 0);
    for (int64_t i = 0; i < shape_.in; ++i)
      sum += weight_[o * shape_.in + i] * input[position * shape_.in + i];
    return sum;
  }

 private:
  const ProductShape shape_;
  const std::vector<double> weight_, bias_;
  PrimitiveSet set_{/*may_share=*/true};
  absl::StatusOr<Product<T>> product_;
  std::unique_ptr<PrimitiveRunner> runner_, companion_runner_;
  std::unique_ptr<Companion> companion_;
  Arena arena_;
  std::map<int64_t, std::vector<double>> inputs_;
};

constexpr Case kCases[] = {{1, 1, 1},   {2, 3, 1},    {3, 1, 1},  {5, 12, 1},   {48, 192, 1}, {192, 48, 1},
                           {128, 7, 1}, {17, 128, 1}, {4, 4, 16}, {36, 32, 16}, {12, 6, 1},   {1, 5, 4}};

template <typename T>
void ExpectRightNumbers(bool accumulate, ProductType type = ProductType::kFloat32) {
  for (const Case& c : kCases) {
    Bench<T> bench(c, std::nullopt, accumulate, 16, type);
    const std::vector<T> y = bench.Run(2, 0);
    for (int64_t r = 0; r < 2; ++r) {
      const std::vector<double> input = bench.Input(r);
      for (int64_t p = 0; p < c.positions; ++p) {
        for (int64_t o = 0; o < c.out; ++o) {
          // n eps times terms of size up to ~10 (products of two normals).
          const double bound = 10.0 * static_cast<double>(c.in + 2) * std::numeric_limits<T>::epsilon();
          ASSERT_NEAR(y[(r * c.positions + p) * c.out + o], bench.Expected(input, p, o), bound) << c;
        }
      }
    }
  }
}

TEST(Product, Float32IsWeightTimesInputPlusBias) { ExpectRightNumbers<float>(false); }
TEST(Product, Float64IsWeightTimesInputPlusBias) { ExpectRightNumbers<double>(false); }
TEST(Product, Float32AddsToWhatIsThere) { ExpectRightNumbers<float>(true); }
TEST(Product, Float64AddsToWhatIsThere) { ExpectRightNumbers<double>(true); }

// Skips the test where there are none.
#define GLOWWORM_NEEDS_BFLOAT16() \
  if (!HasBfloat16Products()) GTEST_SKIP() << "this processor has no bfloat16 products"

// Factors that bfloat16 holds are multiplied and added as float32 does.
TEST(Product, Bfloat16IsWeightTimesInputPlusBias) {
  GLOWWORM_NEEDS_BFLOAT16();
  ExpectRightNumbers<float>(false, ProductType::kBfloat16);
}
TEST(Product, Bfloat16AddsToWhatIsThere) {
  GLOWWORM_NEEDS_BFLOAT16();
  ExpectRightNumbers<float>(true, ProductType::kBfloat16);
}

template <typename T>
void ExpectOneAnswerPerRow(std::optional<Activation> activation, absl::Span<const Case> cases = kCases,
                           ProductType type = ProductType::kFloat32, int64_t min_call = 1) {
  for (const Case& c : cases) {
    constexpr int64_t kMaxRows = 64;
    Bench<T> bench(c, activation, false, kMaxRows, type, min_call);
    const int64_t per_row = c.positions * c.out;
    for (int64_t row : {0, 5, 11}) {
      const std::vector<T> alone = bench.Run(1, row);
      for (int64_t rows : {2, 4, 8, 16, 24, 32, 48, 64}) {
        for (int64_t place : {int64_t{0}, rows / 2, rows - 1}) {
          const std::vector<T> y = bench.Run(rows, row - place);
          const std::vector<T> there(y.begin() + place * per_row, y.begin() + (place + 1) * per_row);
          ASSERT_EQ(there, alone) << c << ": row " << place << " of " << rows;
        }
      }
    }
  }
}

TEST(Product, Float32GivesARowTheSameBitsAtEverySizeAndPlace) { ExpectOneAnswerPerRow<float>(std::nullopt); }
TEST(Product, Float64GivesARowTheSameBitsAtEverySizeAndPlace) { ExpectOneAnswerPerRow<double>(std::nullopt); }

TEST(Product, Bfloat16GivesARowTheSameBitsAtEverySizeAndPlace) {
  GLOWWORM_NEEDS_BFLOAT16();
  const Activation relu{ActivationKind::kRelu, 0};
  const Case long_sums[] = {{300, 300, 1}, {1000, 37, 1}, {2304, 64, 1}, {576, 65, 6}, {513, 31, 3}};
  for (const int64_t min_call : {MinBfloat16Call(), int64_t{16}}) {  // 16: what AMX needs
    ExpectOneAnswerPerRow<float>(std::nullopt, kCases, ProductType::kBfloat16, min_call);
    ExpectOneAnswerPerRow<float>(relu, long_sums, ProductType::kBfloat16, min_call);
  }
}

TEST(Product, FusedActivationsKeepThat) {
  for (const ActivationKind kind :
       {ActivationKind::kRelu, ActivationKind::kLeakyRelu, ActivationKind::kTanh, ActivationKind::kElu,
        ActivationKind::kSilu, ActivationKind::kGelu, ActivationKind::kSigmoid, ActivationKind::kSoftplus}) {
    ExpectOneAnswerPerRow<float>(Activation{kind, 0.1});
    ExpectOneAnswerPerRow<double>(Activation{kind, 0.1});
  }
}

TEST(Product, LadderRoundsUp) {
  EXPECT_EQ(RoundUpOnLadder(1), 1);
  EXPECT_EQ(RoundUpOnLadder(3), 4);
  EXPECT_EQ(RoundUpOnLadder(17), 24);
  EXPECT_EQ(RoundUpOnLadder(129), 192);
  EXPECT_EQ(RoundUpOnLadder(256), 256);
}

TEST(ProductTest, SharingARowWithACompanionKeepsItsBits) {
  if (!__builtin_cpu_supports("avx512f") || std::getenv("DNNL_MAX_CPU_ISA") != nullptr) {
    GTEST_SKIP() << "on this processor oneDNN's rows depend on each other, and products are not shared";
  }
  for (const ProductType type : {ProductType::kFloat32, ProductType::kBfloat16}) {
    if (type == ProductType::kBfloat16 && !HasBfloat16Products()) continue;
    for (const Case& c : {Case{54, 256, 64}, Case{256, 108, 256}, Case{256, 256, 16}}) {
      Bench<float> bench(c, Activation{ActivationKind::kRelu, 0}, false, 4, type);
      std::vector<std::vector<float>> alone;
      for (int64_t row = 0; row < 50; ++row) alone.push_back(bench.Run(1, row));
      bench.GetCompanion();
      for (int64_t row = 0; row < 50; ++row) EXPECT_EQ(bench.Run(1, row), alone[row]) << c << ", row " << row;
    }
  }
}

}  // namespace
}  // namespace glowworm
