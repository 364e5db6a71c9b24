// SplitRows() (model/train/data_set.h): the parts, their sizes, the same shuffle everywhere.

#include <algorithm>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "model/train/data_set.h"

namespace glowworm {
namespace train {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Row i holds i, its context -i, its label i % classes.
DataSet Counting(int64_t rows, int64_t classes = 2) {
  DataSet set;
  set.name = "rows.npy";
  set.event = {1};
  set.x = torch::arange(rows, torch::kFloat64).unsqueeze(1);
  set.context = -set.x;
  set.label = torch::arange(rows, torch::kInt64).remainder(classes);
  set.num_classes = classes;
  return set;
}

DataSplit Split(const DataSet& set, double validation, double test, uint64_t seed = 1) {
  absl::StatusOr<DataSplit> split = SplitRows(set, validation, test, seed);
  EXPECT_TRUE(split.ok()) << split.status();
  return split.ok() ? *split : DataSplit();
}

std::string Refusal(const DataSet& set, double validation, double test) {
  return std::string(SplitRows(set, validation, test, 1).status().message());
}

std::vector<double> RowsOf(const DataSet& set) {
  return {set.x.data_ptr<double>(), set.x.data_ptr<double>() + set.x.numel()};
}

std::vector<double> RowsOf(const DataSplit& split) {
  std::vector<double> all;
  for (const DataSet* part : {&split.train, &split.validation, &split.test}) {
    const std::vector<double> rows = RowsOf(*part);
    all.insert(all.end(), rows.begin(), rows.end());
  }
  return all;
}

// By another implementation of mt19937_64 and of the shuffle, in Python.
TEST(SplitRows, TheOrderIsTheSameOnEveryMachine) {
  EXPECT_THAT(RowsOf(Split(Counting(10), 0.2, 0.2)), ElementsAre(1, 7, 3, 9, 4, 0, 5, 2, 6, 8));
  EXPECT_THAT(RowsOf(Split(Counting(20), 0.2, 0.2, 42)),
              ElementsAre(7, 1, 11, 13, 2, 19, 16, 14, 0, 15, 9, 12, 10, 17, 8, 18, 3, 4, 5, 6));
}

TEST(SplitRows, EveryRowIsInOnePart) {
  std::vector<double> rows = RowsOf(Split(Counting(1000), 0.1, 0.25));
  std::sort(rows.begin(), rows.end());
  EXPECT_EQ(rows, RowsOf(Counting(1000)));
}

TEST(SplitRows, PartsHaveTheirShareOfTheRows) {
  const DataSplit split = Split(Counting(1000), 0.1, 0.25);
  EXPECT_EQ(split.validation.rows(), 100);
  EXPECT_EQ(split.test.rows(), 250);
  EXPECT_EQ(split.train.rows(), 650);
}

TEST(SplitRows, ContextAndLabelsStayWithTheirRows) {
  const DataSplit split = Split(Counting(50), 0.1, 0.2);
  for (const DataSet* part : {&split.train, &split.validation, &split.test}) {
    EXPECT_TRUE(torch::equal(part->context, -part->x));
    EXPECT_TRUE(torch::equal(part->label, part->x.squeeze(1).to(torch::kInt64).remainder(2)));
    EXPECT_EQ(part->num_classes, 2);
  }
}

TEST(SplitRows, AnotherSeedGivesAnotherOrder) {
  EXPECT_NE(RowsOf(Split(Counting(100), 0.1, 0.1, 1)), RowsOf(Split(Counting(100), 0.1, 0.1, 2)));
}

TEST(SplitRows, TooFewRowsAreRefusedWithTheNumberNeeded) {
  EXPECT_EQ(Refusal(Counting(9), 0.1, 0.2),
            "rows.npy: 9 rows are too few to train, validate and test on; expected at least 10");
  EXPECT_TRUE(SplitRows(Counting(10), 0.1, 0.2, 1).ok());
  EXPECT_THAT(Refusal(Counting(2), 0.49, 0.49), HasSubstr("at least 3"));
  EXPECT_TRUE(SplitRows(Counting(3), 0.49, 0.49, 1).ok());
}

TEST(SplitRows, ATinyFractionIsNoReasonToCountForever) {
  EXPECT_THAT(Refusal(Counting(9), 1e-300, 0.5), HasSubstr("too few"));
}

TEST(SplitRows, AClassWithoutRowsIsRefused) {
  DataSet set = Counting(10);
  set.label = set.label + 1;
  set.num_classes = 3;
  EXPECT_EQ(Refusal(set, 0.2, 0.2),
            "rows.npy: class 0 has no row; expected all classes from 0 to the largest label, 2");
}

}  // namespace
}  // namespace train
}  // namespace glowworm
