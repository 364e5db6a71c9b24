// Tests of model/lu.h and model/linear_map.h: W from its factors, its inverse, its log-det and its condition
// number.

#include "model/lu.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include "model/linear_map.h"

namespace glowworm {
namespace {

constexpr double kEps = std::numeric_limits<double>::epsilon();

PluFactors RandomFactors(int64_t c, Side side, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  PluFactors f;
  f.side = side;
  f.permutation.resize(c);
  std::iota(f.permutation.begin(), f.permutation.end(), int64_t{0});
  std::shuffle(f.permutation.begin(), f.permutation.end(), random);
  const double spread = 0.5 / std::sqrt(static_cast<double>(c));
  for (int64_t i = 0; i < c * (c - 1) / 2; ++i) {
    f.lower.push_back(spread * normal(random));
    f.upper.push_back(spread * normal(random));
  }
  for (int64_t i = 0; i < c; ++i) {
    f.log_abs_s.push_back(0.3 * normal(random));
    f.sign_s.push_back(random() % 2 == 0 ? 1 : -1);
  }
  return f;
}

std::vector<double> Multiply(const std::vector<double>& a, const std::vector<double>& b, int64_t c) {
  std::vector<double> out(c * c, 0.0);
  for (int64_t i = 0; i < c; ++i) {
    for (int64_t k = 0; k < c; ++k) {
      for (int64_t j = 0; j < c; ++j) out[i * c + j] += a[i * c + k] * b[k * c + j];
    }
  }
  return out;
}

double DistanceFromIdentity(const std::vector<double>& a, int64_t c) {
  double worst = 0;
  for (int64_t i = 0; i < c; ++i) {
    for (int64_t j = 0; j < c; ++j) worst = std::max(worst, std::abs(a[i * c + j] - (i == j ? 1 : 0)));
  }
  return worst;
}

class LuTest : public testing::TestWithParam<std::tuple<int64_t, Side>> {};

TEST_P(LuTest, InverseTimesWeightIsTheIdentity) {
  const auto [c, side] = GetParam();
  const PackedLu lu(RandomFactors(c, side, c));
  const std::vector<double> w = lu.Compose(), v = lu.ComposeInverse();
  const double cond = ConditionNumber(w, v, c);
  EXPECT_LE(DistanceFromIdentity(Multiply(v, w, c), c), 8 * static_cast<double>(c) * kEps * cond);
}

TEST_P(LuTest, SolveUndoesTheProduct) {
  const auto [c, side] = GetParam();
  const PackedLu lu(RandomFactors(c, side, c + 1));
  const std::vector<double> w = lu.Compose();
  std::vector<double> x(c), y(c, 0.0);
  for (int64_t i = 0; i < c; ++i) x[i] = std::sin(static_cast<double>(i));
  for (int64_t i = 0; i < c; ++i) {
    for (int64_t j = 0; j < c; ++j) y[i] += w[i * c + j] * x[j];
  }
  const std::vector<double> solved = lu.Solve(y);
  const double bound = 8 * static_cast<double>(c) * kEps * ConditionNumber(w, lu.ComposeInverse(), c) *
                       std::sqrt(static_cast<double>(c));
  for (int64_t i = 0; i < c; ++i) EXPECT_NEAR(solved[i], x[i], bound);
}

TEST_P(LuTest, CachedLogDetIsThatOfTheComposedWeight) {
  const auto [c, side] = GetParam();
  const PackedLu lu(RandomFactors(c, side, c + 2));
  const auto factored = PackedLu::Factor(lu.Compose(), c);
  ASSERT_TRUE(factored.ok());
  const double cond = ConditionNumber(lu.Compose(), lu.ComposeInverse(), c);
  EXPECT_NEAR(factored->LogAbsDet(), lu.LogAbsDet(), 8 * static_cast<double>(c * c) * kEps * cond);
}

INSTANTIATE_TEST_SUITE_P(Sizes, LuTest,
                         testing::Combine(testing::Values(1, 2, 3, 5, 12, 48, 192),
                                          testing::Values(Side::kOutput, Side::kInput)));

TEST(Lu, OutputSidePermutesRowsAndInputSidePermutesColumns) {
  PluFactors f;
  f.permutation = {2, 0, 1};
  f.lower = {0, 0, 0};
  f.upper = {0, 0, 0};
  f.log_abs_s = {std::log(2.0), std::log(3.0), std::log(5.0)};
  f.sign_s = {1, 1, -1};
  const std::vector<double> output = PackedLu(f).Compose();
  const double s[] = {std::exp(f.log_abs_s[0]), std::exp(f.log_abs_s[1]), -std::exp(f.log_abs_s[2])};
  EXPECT_EQ(output, (std::vector<double>{0, 0, s[2], s[0], 0, 0, 0, s[1], 0}));
  f.side = Side::kInput;
  EXPECT_EQ(PackedLu(f).Compose(), (std::vector<double>{0, 0, s[0], s[1], 0, 0, 0, s[2], 0}));
}

TEST(Lu, RefusesASingularMatrix) {
  EXPECT_EQ(PackedLu::Factor({1, 2, 2, 4}, 2).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST(ConditionNumber, OfADiagonalIsTheRatioOfItsEnds) {
  const std::vector<double> w = {100, 0, 0, 0, 1, 0, 0, 0, 0.5}, v = {0.01, 0, 0, 0, 1, 0, 0, 0, 2};
  EXPECT_NEAR(ConditionNumber(w, v, 3), 200, 200 * 1e-3);
}

TEST(ConditionNumber, OfARotationIsOne) {
  const double c = std::cos(0.3), s = std::sin(0.3);
  EXPECT_NEAR(ConditionNumber({c, -s, s, c}, {c, s, -s, c}, 2), 1, 1e-3);
}

TEST(ComposeLinear, QrIsOrthogonalTimesTriangular) {
  QrFactors qr;
  qr.num_reflectors = 2;
  qr.reflectors = {1, 2, -1, 0.5, 0, 1};
  qr.upper = {0.3, -0.2, 0.7};
  qr.log_abs_s = {0.1, -0.4, 0.2};
  qr.sign_s = {1, -1, 1};
  const auto map = ComposeLinear(Linear{qr, {}}, 3);
  ASSERT_TRUE(map.ok());
  EXPECT_LE(DistanceFromIdentity(Multiply(map->weight, map->inverse, 3), 3),
            24 * kEps * map->condition_number);
  EXPECT_DOUBLE_EQ(map->log_abs_det, 0.1 - 0.4 + 0.2);
  // W^T W = R^T R whatever Q is: the first column's length is |s_0|.
  const double length = std::hypot(map->weight[0], map->weight[3], map->weight[6]);
  EXPECT_NEAR(length, std::exp(0.1), 8 * kEps);
}

TEST(ComposeLinear, ReportsTheEndsOfS) {
  const auto map = ComposeLinear(Linear{RandomFactors(5, Side::kOutput, 9), {}}, 5);
  ASSERT_TRUE(map.ok());
  const PluFactors f = RandomFactors(5, Side::kOutput, 9);
  EXPECT_DOUBLE_EQ(map->min_abs_s, std::exp(*std::min_element(f.log_abs_s.begin(), f.log_abs_s.end())));
  EXPECT_DOUBLE_EQ(map->max_abs_s, std::exp(*std::max_element(f.log_abs_s.begin(), f.log_abs_s.end())));
}

}  // namespace
}  // namespace glowworm
