// The small CUDA ops on the fake device: each is its equation, at sizes that no pack, segment or product
// divides.

#include "model/cuda/pointwise.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "tests/model/cuda/layer_fixture.h"
#include "tests/testing/random_flow.h"
#include "tests/testing/random_numbers.h"
#include "tests/testing/reference_layers.h"

namespace glowworm::cuda {
namespace {

template <typename T>
class PointwiseTest : public LayerTest<T> {};
using Numbers = testing::Types<float, double>;
TYPED_TEST_SUITE(PointwiseTest, Numbers);

std::vector<EventShape> RaggedShapes() {
  return {RowShape(1), RowShape(3), RowShape(33), ImageShape(3, 3, 1), ImageShape(5, 2, 3)};
}

// --- affine ---

TYPED_TEST(PointwiseTest, AffineScalesAndShifts) {
  RandomNumbers random(1);
  for (const EventShape& shape : RaggedShapes()) {
    for (const bool per_element : {false, true}) {
      const int64_t n = shape.size(), given = per_element ? n : shape.channels;
      const ElementwiseAffine affine{this->Exact(random.Uniforms(given, 0.5, 2)),
                                     this->Exact(random.Normals(given, 0, 1))};
      const AffineOp<TypeParam> op(affine, shape, &this->constants_);
      for (const int64_t rows : kRaggedRows) {
        const std::vector<TypeParam> x = this->Rounded(random.Normals(rows * n, 0, 1));
        const auto forward = this->Forward(op, shape, x), inverse = this->Inverse(op, shape, x);
        for (int64_t i = 0; i < rows * n; ++i) {
          const double scale = affine.scale[i % given], shift = affine.shift[i % given];
          // Two roundings.
          const double tolerance = this->kEpsilon * (std::abs(scale * x[i]) + std::abs(shift));
          ASSERT_NEAR(forward.numbers[i], scale * x[i] + shift, tolerance) << "of " << rows << " rows";
          ASSERT_NEAR(inverse.numbers[i], (x[i] - shift) / scale,
                      this->kEpsilon * (std::abs(x[i]) + std::abs(shift)) / scale);
        }
      }
    }
  }
}

// --- mix ---

// Number `out` of W v + bias, v the numbers of one position, and the sum of its terms' absolute values.
struct MixedNumber {
  double value, magnitude;
};
template <typename T>
MixedNumber Mixed(const std::vector<double>& weight, const std::vector<double>& bias, const T* v,
                  int64_t out) {
  const auto n = static_cast<int64_t>(bias.size());
  long double sum = bias[out], magnitude = std::abs(bias[out]);
  for (int64_t i = 0; i < n; ++i) {
    const long double term = static_cast<long double>(weight[out * n + i]) * v[i];
    sum += term;
    magnitude += std::abs(term);
  }
  return {static_cast<double>(sum), static_cast<double>(magnitude)};
}

template <typename T>
class MixTest : public LayerTest<T> {
 protected:
  ChannelMix RandomMix(int64_t n, bool with_bias, RandomNumbers& random) {
    ChannelMix mix;
    mix.channels = n;
    mix.weight = this->Exact(random.Normals(n * n, 0, 1));
    mix.inverse = this->Exact(random.Normals(n * n, 0, 1));
    mix.bias = with_bias ? this->Exact(random.Normals(n, 0, 1)) : std::vector<double>(n);
    mix.inverse_bias = with_bias ? this->Exact(random.Normals(n, 0, 1)) : std::vector<double>(n);
    return mix;
  }
  // epsilon: of the type that the sums are made in.
  void ExpectMix(const ChannelMix& mix, const EventShape& shape, int64_t rows, double epsilon,
                 RandomNumbers& random) {
    const int64_t n = mix.channels;
    const MixOp<T> op(mix, shape, &this->constants_);
    const std::vector<T> x = this->Rounded(random.Normals(rows * shape.size(), 0, 1));
    const auto forward = this->Apply(shape, x, {}, [&](Tile<T>* tile) { op.Forward(tile); });
    const auto inverse = this->Apply(shape, x, {}, [&](Tile<T>* tile) { op.Inverse(tile); });
    for (int64_t i = 0; i < rows * shape.size(); ++i) {
      const T* v = x.data() + i / n * n;
      const MixedNumber y = Mixed(mix.weight, mix.bias, v, i % n);
      const MixedNumber back = Mixed(mix.inverse, mix.inverse_bias, v, i % n);
      // A rounding each of the products and of the sums, and of the result.
      const double roundings = epsilon * static_cast<double>(n + 2);
      ASSERT_NEAR(forward.numbers[i], y.value, roundings * y.magnitude + this->kEpsilon * std::abs(y.value))
          << "of " << rows << " rows";
      ASSERT_NEAR(inverse.numbers[i], back.value,
                  roundings * back.magnitude + this->kEpsilon * std::abs(back.value));
    }
  }
};
TYPED_TEST_SUITE(MixTest, Numbers);

TYPED_TEST(MixTest, MultipliesAtEachPosition) {
  RandomNumbers random(2);
  for (const EventShape& shape : RaggedShapes()) {
    for (const int64_t rows : kRaggedRows) {
      this->ExpectMix(this->RandomMix(shape.channels, /*with_bias=*/true, random), shape, rows,
                      this->kEpsilon, random);
    }
    this->ExpectMix(this->RandomMix(shape.channels, /*with_bias=*/false, random), shape, 5, this->kEpsilon,
                    random);
  }
}

TYPED_TEST(MixTest, WideSumsAreOfFloat64) {
  RandomNumbers random(3);
  for (const int64_t rows : kRaggedRows) {
    // What float32 loses of a sum is more than a rounding of it, where its terms cancel.
    ChannelMix mix = this->RandomMix(7, /*with_bias=*/true, random);
    mix.wide = true;
    this->ExpectMix(mix, ImageShape(7, 1, 3), rows, std::numeric_limits<double>::epsilon(), random);
  }
}

// --- squeeze ---

TYPED_TEST(PointwiseTest, SqueezeMovesAsTheGoldStandard) {
  RandomNumbers random(4);
  for (const EventShape& shape : {ImageShape(1, 2, 2), ImageShape(3, 4, 2), ImageShape(5, 2, 6)}) {
    for (const SqueezeOrder order : {SqueezeOrder::kChannelMajor, SqueezeOrder::kSpatialMajor}) {
      const SqueezeOp<TypeParam> op({shape.channels, shape.height, shape.width, order}, &this->constants_);
      const EventShape after = ImageShape(4 * shape.channels, shape.height / 2, shape.width / 2);
      const PreparedLayer layer = PrepareLayer({"squeeze", Squeeze{order}}, shape.channels);
      for (const int64_t rows : kRaggedRows) {
        const std::vector<TypeParam> x = this->Rounded(random.Normals(rows * shape.size(), 0, 1));
        const auto forward = this->Apply(shape, x, {}, [&](auto* tile) { op.Forward(tile); });
        for (int64_t r = 0; r < rows; ++r) {
          ASSERT_EQ(EventOf(forward.numbers, r, after).values,
                    ForwardLayer(layer, EventOf(x, r, shape), {}).event.values);
        }
        const auto back = this->Apply(after, forward.numbers, {}, [&](auto* tile) { op.Inverse(tile); });
        EXPECT_EQ(back.numbers, x);
      }
    }
  }
}

// --- logit ---

TYPED_TEST(PointwiseTest, LogitIsTheLogOfTheOdds) {
  RandomNumbers random(5);
  for (const double alpha : {0.0, 0.03125}) {
    for (const EventShape& shape : RaggedShapes()) {
      const LogitOp<TypeParam> op({alpha}, shape);
      for (const int64_t rows : kRaggedRows) {
        const std::vector<TypeParam> x = this->Rounded(random.Uniforms(rows * shape.size(), 0.01, 0.99));
        const auto got = this->Forward(op, shape, x);
        for (int64_t r = 0; r < rows; ++r) {
          double log_density = 0, tolerance = 0;
          for (int64_t i = r * shape.size(); i < (r + 1) * shape.size(); ++i) {
            const double u = alpha + (1 - 2 * alpha) * x[i], log_u = std::log(u), log1m = std::log1p(-u);
            log_density -= log_u + log1m;
            // Three roundings of u, which the slope 1 / (u (1 - u)) carries over, and two last digits each of
            // the logarithms.
            const double share =
                this->kEpsilon * (3 / (1 - u) + 2 * std::abs(log_u) + 2 * std::abs(log1m) + 1);
            tolerance += share;
            ASSERT_NEAR(got.numbers[i], log_u - log1m, share);
          }
          ASSERT_NEAR(got.log_density[r], log_density, tolerance);
        }
        EXPECT_EQ(got.outside, std::vector<unsigned char>(rows));
      }
    }
  }
}

TYPED_TEST(PointwiseTest, LogitMarksRowsWithANumberOutside) {
  using T = TypeParam;
  const T inf = std::numeric_limits<T>::infinity(), least = std::numeric_limits<T>::min();
  const std::vector<T> hard = {least,       std::nextafter(T(1), T(0)),
                               0,           -least,
                               1,           std::nextafter(T(1), T(2)),
                               -5,          T(1e30),
                               inf,         -inf,
                               std::nan("")};
  const std::vector<unsigned char> marked = {0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1};
  const auto rows = static_cast<int64_t>(hard.size());
  for (const int64_t n : {1, 33, 70}) {
    for (const int64_t place : {int64_t{0}, n - 1}) {
      const LogitOp<T> op({0}, RowShape(n));
      std::vector<T> x(rows * n, T(0.5));
      for (int64_t r = 0; r < rows; ++r) x[r * n + place] = hard[r];
      EXPECT_EQ(this->Forward(op, RowShape(n), x).outside, marked) << place << " of " << n;
    }
  }
}

TYPED_TEST(PointwiseTest, LogitsInverseIsTheSigmoid) {
  RandomNumbers random(6);
  for (const double alpha : {0.0, 0.03125}) {
    const EventShape shape = ImageShape(5, 2, 3);
    const LogitOp<TypeParam> op({alpha}, shape);
    for (const int64_t rows : kRaggedRows) {
      std::vector<TypeParam> y = this->Rounded(random.Normals(rows * shape.size(), 0, 5));
      y[0] = TypeParam(1e30);
      y.back() = TypeParam(-1e30);
      const auto got = this->Inverse(op, shape, y);
      for (size_t i = 0; i < y.size(); ++i) {
        const double u = 1 / (1 + std::exp(-static_cast<double>(y[i])));
        // Two last digits of exp, which a sigmoid never enlarges, and a rounding of each step.
        ASSERT_NEAR(got.numbers[i], (u - alpha) / (1 - 2 * alpha), 6 * this->kEpsilon);
      }
    }
  }
}

}  // namespace
}  // namespace glowworm::cuda
