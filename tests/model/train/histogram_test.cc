// Histograms in text: what is counted where, and that far-out rows do not hide the others.

#include "model/train/histogram.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"

namespace glowworm {
namespace train {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

std::vector<double> Normals(int n, double mean, double deviation) {
  std::mt19937 random(5);
  std::normal_distribution<double> normal(mean, deviation);
  std::vector<double> values(static_cast<size_t>(n));
  for (double& value : values) value = normal(random);
  return values;
}

std::vector<std::string> BarLines(const std::string& text) {
  std::vector<std::string> bars;
  for (const auto& line : absl::StrSplit(text, '\n')) {
    if (line.find('|') != absl::string_view::npos) bars.emplace_back(line);
  }
  return bars;
}

int Count(const std::string& bar) {
  const std::vector<std::string> parts = absl::StrSplit(bar, absl::ByAnyChar(" |"));
  int count = -1;
  EXPECT_TRUE(absl::SimpleAtoi(parts.back(), &count)) << bar;
  return count;
}

int Counted(const std::string& text) {
  int sum = 0;
  for (const std::string& bar : BarLines(text)) sum += Count(bar);
  return sum;
}

TEST(Histogram, CountsValuesBetweenRoundBounds) {
  EXPECT_EQ(HistogramText({0, 0.5, 1, 1, 1.5, 12}, "six values"),
            "six values\n"
            "    0 to 1 |########################### 2\n"
            "    1 to 2 |######################################## 3\n"
            "    2 to 3 |0\n"
            "    3 to 4 |0\n"
            "    4 to 5 |0\n"
            "    5 to 6 |0\n"
            "    6 to 7 |0\n"
            "    7 to 8 |0\n"
            "    8 to 9 |0\n"
            "   9 to 10 |0\n"
            "  10 to 11 |0\n"
            "  11 to 12 |0\n"
            "  12 to 13 |############## 1\n"
            "  least 0, 1 % 0, 25 % 0.5, median 1, 75 % 1.5, 99 % 12, most 12\n");
}

TEST(Histogram, CountsEveryValueOnce) {
  for (double deviation : {1e-12, 1e-3, 1.0, 1e5}) {
    for (double mean : {0.0, -7.0, 1e6}) {
      EXPECT_EQ(Counted(HistogramText(Normals(1000, mean, deviation), "")), 1000);
    }
  }
}

TEST(Histogram, IsAboutTwentyLines) {
  for (double deviation : {0.7, 1.0, 1.3, 2.0, 3.0, 5.0, 7.0}) {
    const size_t bars = BarLines(HistogramText(Normals(1000, 3, deviation), "")).size();
    EXPECT_GE(bars, 7u);
    EXPECT_LE(bars, 19u);
  }
}

TEST(Histogram, ARowFarOutDoesNotHideTheOthers) {
  std::vector<double> values = Normals(1000, -20, 2);
  values.push_back(-1e9);
  values.push_back(1e9);
  const std::vector<std::string> bars = BarLines(HistogramText(values, ""));
  EXPECT_THAT(bars.front(), HasSubstr("below -"));
  EXPECT_EQ(Count(bars.front()), 1);
  EXPECT_THAT(bars.back(), HasSubstr("from -"));
  int filled = 0;
  for (const std::string& bar : bars) filled += Count(bar) > 10;
  EXPECT_GE(filled, 7);
}

TEST(Histogram, AValueIsSeenBesideMany) {
  std::vector<double> values(100000, 0.5);
  values.push_back(1.5);
  for (const std::string& bar : BarLines(HistogramText(values, ""))) {
    if (Count(bar) > 0) {
      EXPECT_THAT(bar, HasSubstr("#"));
    }
  }
}

TEST(Histogram, EqualValuesAreOneBar) {
  for (double value : {0.0, 5.0, -1e20}) {
    EXPECT_EQ(BarLines(HistogramText({value, value, value}, "")).size(), 1u) << value;
  }
}

TEST(Histogram, ValuesThatAreNotFiniteAreCountedApart) {
  const double nan = std::numeric_limits<double>::quiet_NaN(),
               infinity = std::numeric_limits<double>::infinity();
  const std::string text = HistogramText({nan, 1, 2, -infinity, infinity}, "caption");
  EXPECT_THAT(text, HasSubstr("  3 not finite\n"));
  EXPECT_EQ(Counted(text), 2);
  EXPECT_EQ(HistogramText({nan}, "caption"), "caption\n  1 not finite\n");
  EXPECT_EQ(HistogramText({}, "caption"), "caption\n  0 not finite\n");
  EXPECT_THAT(HistogramText({1, 2}, ""), Not(HasSubstr("finite")));
}

}  // namespace
}  // namespace train
}  // namespace glowworm
