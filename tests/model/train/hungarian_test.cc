// Tests of model/train/hungarian.h, against all permutations where they are few.

#include "model/train/hungarian.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <vector>

#include "tests/testing/random_numbers.h"

namespace glowworm {
namespace train {
namespace {

std::vector<int64_t> Identity(int64_t n) {
  std::vector<int64_t> p(n);
  std::iota(p.begin(), p.end(), int64_t{0});
  return p;
}

double Sum(const std::vector<double>& value, const std::vector<int64_t>& p) {
  double sum = 0;
  for (size_t i = 0; i < p.size(); ++i) sum += value[i * p.size() + p[i]];
  return sum;
}

double LargestSumOfAll(const std::vector<double>& value, int64_t n) {
  std::vector<int64_t> p = Identity(n);
  double largest = -std::numeric_limits<double>::infinity();
  do {
    largest = std::max(largest, Sum(value, p));
  } while (std::next_permutation(p.begin(), p.end()));
  return largest;
}

bool IsPermutation(std::vector<int64_t> p) {
  std::sort(p.begin(), p.end());
  return p == Identity(static_cast<int64_t>(p.size()));
}

TEST(BestAssignment, HasTheLargestSumOfAllPermutations) {
  RandomNumbers random(1);
  for (int64_t n = 1; n <= 7; ++n) {
    for (int trial = 0; trial < 40; ++trial) {
      const std::vector<double> value = random.Normals(n * n, 0, 10);
      const std::vector<int64_t> p = BestAssignment(value, n);
      ASSERT_TRUE(IsPermutation(p));
      // Another permutation may be taken only if sums differ by their rounding: n additions of numbers < 100.
      EXPECT_NEAR(Sum(value, p), LargestSumOfAll(value, n),
                  100.0 * n * n * std::numeric_limits<double>::epsilon());
    }
  }
}

TEST(BestAssignment, HasTheLargestSumAmongTies) {
  RandomNumbers random(2);
  for (int trial = 0; trial < 100; ++trial) {
    std::vector<double> value(36);
    for (double& v : value) v = static_cast<double>(random.Below(3));
    const std::vector<int64_t> p = BestAssignment(value, 6);
    ASSERT_TRUE(IsPermutation(p));
    EXPECT_EQ(Sum(value, p), LargestSumOfAll(value, 6));
  }
}

TEST(BestAssignment, EqualValuesGiveAPermutation) {
  EXPECT_TRUE(IsPermutation(BestAssignment(std::vector<double>(25, -3.0), 5)));
}

TEST(BestAssignment, GreedyChoicesAreTakenBack) {
  // Each row's largest value stands in column 0.
  const std::vector<double> value = {9, 8, 0,  //
                                     9, 1, 0,  //
                                     7, 6, 5};
  EXPECT_EQ(BestAssignment(value, 3), (std::vector<int64_t>{1, 0, 2}));
}

TEST(BestAssignment, FindsAPlantedPermutationOfManyColumns) {
  RandomNumbers random(3);
  const int64_t n = 200;
  const std::vector<int64_t> planted = random.Shuffled(n);
  std::vector<double> value = random.Uniforms(n * n, 0, 1);
  for (int64_t i = 0; i < n; ++i) value[i * n + planted[i]] = 1.5;
  // Prices of rows and columns change every sum alike.
  const std::vector<double> row = random.Normals(n, 0, 50), column = random.Normals(n, 0, 50);
  for (int64_t i = 0; i < n * n; ++i) value[i] += row[i / n] + column[i % n];
  EXPECT_EQ(BestAssignment(value, n), planted);
}

}  // namespace
}  // namespace train
}  // namespace glowworm
