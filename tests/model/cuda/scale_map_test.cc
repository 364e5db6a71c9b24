// The CUDA scale maps: each is the formula of flow_spec.proto and its logarithm, to rounding, from raw scales
// so small that exp underflows to ones so large that it overflows.

#include "model/cuda/scale_map.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "tests/model/cuda/kernel_fixture.h"
#include "tests/testing/reference_pointwise.h"

namespace glowworm::cuda {
namespace {

template <typename T>
struct MapScales {
  ScaleOf<T> scale_of;
  const T* raw;
  T* value;
  T* log;

  GLOWWORM_BODY void operator()(int64_t i) const {
    const Scale<T> s = scale_of(raw[i]);
    value[i] = s.value;
    log[i] = s.log;
  }
};

std::vector<AffineTransform> AllTransforms() {
  std::vector<AffineTransform> all;
  const auto add = [&](ScaleMap map, double offset, double epsilon, double clamp) {
    all.push_back({map, AffineOrder::kScaleThenShift, offset, epsilon, clamp});
  };
  add(ScaleMap::kExp, 0, 0, 0);
  for (const double offset : {0.0, 2.0}) {
    add(ScaleMap::kSigmoid, offset, 0, 0);
    add(ScaleMap::kSigmoid, offset, 0.0078125, 0);
    add(ScaleMap::kInverseSigmoid, offset, 0, 0);
  }
  for (const double epsilon : {0.0, 0.0078125}) {
    add(ScaleMap::kSoftplus, 0, epsilon, 0);
    add(ScaleMap::kSoftplus, 0, epsilon, 3);
  }
  for (const double clamp : {0.5, 2.0}) {
    add(ScaleMap::kTanhExp, 0, 0, clamp);
    add(ScaleMap::kAtanExp, 0, 0, clamp);
    add(ScaleMap::kSoftclipExp, 0, 0, clamp);
  }
  return all;
}

template <typename T>
class ScaleMapTest : public KernelTest {
 protected:
  static constexpr double kEpsilon = std::numeric_limits<T>::epsilon();

  std::vector<Scale<T>> Map(const AffineTransform& transform, const std::vector<T>& raw) {
    const auto n = static_cast<int64_t>(raw.size());
    const T* from = ToDevice(raw);
    T* value = ToDevice(std::vector<T>(), n);
    T* log = ToDevice(std::vector<T>(), n);
    Run([&] { Launch(&queue_, n, MapScales<T>{ScaleOf<T>(transform), from, value, log}); });
    const std::vector<T> values = FromDevice(value, n), logs = FromDevice(log, n);
    std::vector<Scale<T>> out;
    for (int64_t i = 0; i < n; ++i) out.push_back({values[i], logs[i]});
    return out;
  }
};
using Numbers = testing::Types<float, double>;
TYPED_TEST_SUITE(ScaleMapTest, Numbers);

// Raw scales from -range to range, denser about 0.
template <typename T>
std::vector<T> RawScales(double range) {
  std::vector<T> raw;
  for (int i = -200; i <= 200; ++i) raw.push_back(static_cast<T>(range * std::pow(i / 200.0, 3)));
  return raw;
}

TYPED_TEST(ScaleMapTest, LogScalesAreTheGoldStandardsToRounding) {
  using T = TypeParam;
  const std::vector<T> raw = RawScales<T>(300);
  for (const AffineTransform& transform : AllTransforms()) {
    const std::vector<Scale<T>> got = this->Map(transform, raw);
    for (size_t i = 0; i < raw.size(); ++i) {
      const double log_scale = ForwardPoint(transform, {0, raw[i]}, 0).log_derivative;
      // A handful of roundings of numbers no larger than the raw scale with its offset or the result.
      const double largest =
          std::max({1.0, std::abs(log_scale), std::min(std::abs(raw[i] + transform.offset), 30.0)});
      ASSERT_NEAR(got[i].log, log_scale, 8 * this->kEpsilon * largest)
          << "map " << static_cast<int>(transform.scale_map) << " of " << raw[i];
    }
  }
}

TYPED_TEST(ScaleMapTest, ScalesAreTheExponentialsOfTheirLogarithms) {
  using T = TypeParam;
  const double most = std::log(std::numeric_limits<T>::max()),
               least = std::log(std::numeric_limits<T>::min());
  const std::vector<T> raw = RawScales<T>(80);  // within float32's range
  for (const AffineTransform& transform : AllTransforms()) {
    const std::vector<Scale<T>> got = this->Map(transform, raw);
    for (size_t i = 0; i < raw.size(); ++i) {
      ASSERT_GT(got[i].log, least);
      ASSERT_LT(got[i].log, most);
      const double scale = std::exp(ForwardPoint(transform, {0, raw[i]}, 0).log_derivative);
      // The argument's roundings, which exp makes relative ones, and a handful more.
      const double relative = this->kEpsilon * (8 + 2 * std::abs(raw[i] + transform.offset));
      ASSERT_NEAR(got[i].value, scale, relative * scale)
          << "map " << static_cast<int>(transform.scale_map) << " of " << raw[i];
    }
  }
}

TYPED_TEST(ScaleMapTest, ScalesBeyondTheTypesRangeAreZeroOrInfinite) {
  using T = TypeParam;
  const T inf = std::numeric_limits<T>::infinity();
  const T most = std::log(std::numeric_limits<T>::max()), least = std::log(std::numeric_limits<T>::min());
  const std::vector<T> raw = {most * T(1.001), least * T(1.001), T(1e30),
                              T(-1e30),        most * T(0.999),  least * T(0.999)};
  const AffineTransform exp{ScaleMap::kExp, AffineOrder::kScaleThenShift, 0, 0, 0};
  const std::vector<Scale<T>> got = this->Map(exp, raw);
  EXPECT_EQ(got[0].value, inf);
  EXPECT_EQ(got[1].value, 0);
  EXPECT_EQ(got[2].value, inf);
  EXPECT_EQ(got[3].value, 0);
  EXPECT_TRUE(std::isnormal(got[4].value));
  EXPECT_TRUE(std::isnormal(got[5].value));
  for (size_t i = 0; i < raw.size(); ++i) EXPECT_EQ(got[i].log, raw[i]);

  const AffineTransform sigmoid{ScaleMap::kSigmoid, AffineOrder::kScaleThenShift, 0, 0, 0};
  const std::vector<Scale<T>> small = this->Map(sigmoid, {least * 2, T(-1e30), T(1e30)});
  EXPECT_EQ(small[0].value, 0);
  EXPECT_EQ(small[0].log, least * 2);
  EXPECT_EQ(small[1].value, 0);
  EXPECT_EQ(small[1].log, T(-1e30));
  EXPECT_EQ(small[2].value, 1);
  EXPECT_EQ(small[2].log, 0);
}

TYPED_TEST(ScaleMapTest, NoNumberHasNoScale) {
  for (const AffineTransform& transform : AllTransforms()) {
    const Scale<TypeParam> got = this->Map(transform, {TypeParam(std::nan(""))})[0];
    EXPECT_TRUE(std::isnan(got.value)) << "map " << static_cast<int>(transform.scale_map);
    EXPECT_TRUE(std::isnan(got.log)) << "map " << static_cast<int>(transform.scale_map);
  }
}

}  // namespace
}  // namespace glowworm::cuda
