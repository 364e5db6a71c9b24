// Lists of columns (model/train/columns.h): names, numbers, ranges, what is left, every refusal.

#include "model/train/columns.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace glowworm {
namespace train {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

const std::vector<std::string> kNames = {"age", "height", "7", "sex", "sex", "net-worth"};

DataSource Lists(const std::string& features, const std::string& context = "",
                 const std::string& label = "") {
  DataSource source;
  source.columns = features;
  source.context_columns = context;
  source.label_column = label;
  return source;
}

TableColumns Choose(const DataSource& source, const std::vector<std::string>& names = {}) {
  absl::StatusOr<TableColumns> columns = ChooseColumns(source, names, 6);
  EXPECT_TRUE(columns.ok()) << columns.status();
  return columns.ok() ? *columns : TableColumns();
}

std::string Refusal(const DataSource& source, const std::vector<std::string>& names = {}) {
  return std::string(ChooseColumns(source, names, 6).status().message());
}

TEST(Columns, NumbersCountFromOneAndKeepTheirOrder) {
  EXPECT_THAT(Choose(Lists("3,1")).features, ElementsAre(2, 0));
  EXPECT_THAT(Choose(Lists(" 6 , 2-4")).features, ElementsAre(5, 1, 2, 3));
}

TEST(Columns, NamesComeBeforeNumbersAndRanges) {
  EXPECT_THAT(Choose(Lists("height,7,net-worth,1"), kNames).features, ElementsAre(1, 2, 5, 0));
}

TEST(Columns, FeaturesAreAllThatNothingElseTakes) {
  const TableColumns columns = Choose(Lists("", "age,6", "4"), kNames);
  EXPECT_THAT(columns.features, ElementsAre(1, 2, 4));
  EXPECT_THAT(columns.context, ElementsAre(0, 5));
  EXPECT_EQ(columns.label, 3);
  EXPECT_EQ(Choose(Lists("")).label, -1);
  EXPECT_THAT(Choose(Lists("")).context, IsEmpty());
}

TEST(Columns, WhatNothingTakesIsIgnored) {
  EXPECT_THAT(Choose(Lists("1", "2", "6")).Ignored(6), ElementsAre(false, false, true, true, true, false));
}

TEST(Columns, ColumnsThatAreNotThereAreRefused) {
  EXPECT_EQ(Refusal(Lists("weight"), kNames), "no column is named \"weight\"");
  EXPECT_EQ(Refusal(Lists("7")), "there is no column 7; the columns are 1 to 6");
  EXPECT_EQ(Refusal(Lists("0")), "there is no column 0; the columns are 1 to 6");
  EXPECT_EQ(Refusal(Lists("2-9")), "there is no column 9; the columns are 1 to 6");
  EXPECT_EQ(Refusal(Lists("99999999999999999999")),
            "there is no column 99999999999999999999; the columns are 1 to 6");
  EXPECT_EQ(Refusal(Lists("", "\x1b[31m")), "no column is named \"\\x1b[31m\"");
}

TEST(Columns, AColumnUsedTwiceIsRefused) {
  EXPECT_EQ(Refusal(Lists("1,2,1")), "column 1 is used twice");
  EXPECT_EQ(Refusal(Lists("1-3,3-5")), "column 3 is used twice");
  EXPECT_EQ(Refusal(Lists("1-3", "age"), kNames), "column 1 \"age\" is used twice");
  EXPECT_EQ(Refusal(Lists("1-3", "4", "4")), "column 4 is used twice");
}

TEST(Columns, RangesThatPileUpAreRefusedAtOnce) {
  std::string list = "1-6";
  for (int i = 0; i < 100000; ++i) list += ",1-6";
  EXPECT_EQ(Refusal(Lists(list)), "column 1 is used twice");
}

TEST(Columns, ANameThatTwoColumnsHaveIsRefused) {
  EXPECT_EQ(Refusal(Lists("sex"), kNames), "two columns are named \"sex\"; choose one by its number");
}

TEST(Columns, ListsThatCannotBeReadAreRefused) {
  EXPECT_EQ(Refusal(Lists("1,,2")),
            "a list of columns has an empty item; expected names or numbers, \"age,3,7-9\"");
  EXPECT_EQ(Refusal(Lists("5-2")), "the range 5-2 runs backwards");
  EXPECT_EQ(Refusal(Lists("1-2-3")), "no column is named \"1-2-3\"");
  EXPECT_EQ(Refusal(Lists("-3")), "no column is named \"-3\"");
}

TEST(Columns, OneLabelColumnIsOneColumn) {
  EXPECT_EQ(Refusal(Lists("", "", "1,2")), "2 label columns; expected one");
}

TEST(Columns, WithoutFeaturesThereIsNothingToLearn) {
  EXPECT_EQ(Refusal(Lists("", "1-5", "6")), "no column is left for the features");
}

}  // namespace
}  // namespace train
}  // namespace glowworm
