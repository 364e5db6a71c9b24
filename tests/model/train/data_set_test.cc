// Rows to train on (model/train/data_set.h): tables, images, what stands beside them, every refusal.

#include "model/train/data_set.h"

#include <cmath>
#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/model/train/data_files.h"

namespace glowworm {
namespace train {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

std::vector<double> Values(const torch::Tensor& tensor) {
  const torch::Tensor flat = tensor.to(torch::kFloat64).contiguous();
  return {flat.data_ptr<double>(), flat.data_ptr<double>() + flat.numel()};
}

std::vector<int64_t> Shape(const torch::Tensor& tensor) { return tensor.sizes().vec(); }

class DataSetTest : public testing::Test {
 protected:
  DataSource Write(const std::string& name, const std::string& content) {
    DataSource source;
    source.data = folder_.Write(name, content);
    return source;
  }
  DataSet Load(const DataSource& source) {
    absl::StatusOr<DataSet> set = LoadDataSet(source);
    EXPECT_TRUE(set.ok()) << set.status();
    return set.ok() ? *set : DataSet();
  }
  std::string Refusal(const DataSource& source) {
    const absl::Status status = LoadDataSet(source).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_THAT(std::string(status.message()), Not(HasSubstr(folder_.Path("")))) << "folders are named";
    return std::string(status.message());
  }

  const DataFolder folder_;
};

TEST_F(DataSetTest, AnArrayOfFloatsIsATable) {
  const DataSet set = Load(Write("rows.npy", Npy<float>({3, 2}, {1, 2, 3, 4, 5, 6.5})));
  EXPECT_EQ(set.x.scalar_type(), torch::kFloat64);
  EXPECT_THAT(Shape(set.x), ElementsAre(3, 2));
  EXPECT_THAT(Values(set.x), ElementsAre(1, 2, 3, 4, 5, 6.5));
  EXPECT_EQ(set.event, (EventShape{2}));
  EXPECT_EQ(set.pixels, 2);
  EXPECT_FALSE(set.context.defined() || set.label.defined());
  EXPECT_EQ(set.name, "rows.npy");
}

TEST_F(DataSetTest, ANumberARowIsATableOfOneColumn) {
  EXPECT_THAT(Shape(Load(Write("rows.npy", Npy<double>({3}, {1, 2, 3}))).x), ElementsAre(3, 1));
}

TEST_F(DataSetTest, BytesInTwoDimensionsAreATable) {
  const DataSet set = Load(Write("rows.npy", Npy<uint8_t>({2, 2}, {0, 1, 255, 3})));
  EXPECT_EQ(set.x.scalar_type(), torch::kFloat64);
  EXPECT_THAT(Values(set.x), ElementsAre(0, 1, 255, 3));
}

TEST_F(DataSetTest, ACsvFileIsATableWithNames) {
  const DataSet set = Load(Write("rows.csv.gz", Gzip("age,height\n1,2.5\n3,4\n")));
  EXPECT_THAT(Values(set.x), ElementsAre(1, 2.5, 3, 4));
  EXPECT_THAT(set.columns, ElementsAre("age", "height"));
}

TEST_F(DataSetTest, ColumnsBecomeFeaturesContextAndLabels) {
  DataSource source = Write("rows.csv", "name,a,b,c,class\nann,1,2,3,0\nbob,4,5,6,2\n");
  source.columns = "c,2";
  source.context_columns = "b";
  source.label_column = "class";
  const DataSet set = Load(source);
  EXPECT_THAT(Values(set.x), ElementsAre(3, 1, 6, 4));
  EXPECT_THAT(set.columns, ElementsAre("c", "a"));
  EXPECT_THAT(Shape(set.context), ElementsAre(2, 1));
  EXPECT_THAT(Values(set.context), ElementsAre(2, 5));
  EXPECT_EQ(set.label.scalar_type(), torch::kInt64);
  EXPECT_THAT(Values(set.label), ElementsAre(0, 2));
  EXPECT_EQ(set.num_classes, 3);
}

TEST_F(DataSetTest, ColumnsOfAnArrayAreChosenByNumber) {
  DataSource source = Write("rows.npy", Npy<double>({2, 3}, {1, 2, 0, 3, 4, 1}));
  source.label_column = "3";
  const DataSet set = Load(source);
  EXPECT_THAT(Values(set.x), ElementsAre(1, 2, 3, 4));
  EXPECT_THAT(Values(set.label), ElementsAre(0, 1));
  EXPECT_THAT(set.columns, IsEmpty());
}

TEST_F(DataSetTest, AnIdxFileOfBytesIsAnImageSetAndPadAddsBlack) {
  DataSource source = Write("train-idx3-ubyte.gz", Gzip(Idx({2, 1, 2}, "\x01\x02\x03\xff")));
  source.pad = 1;
  const DataSet set = Load(source);
  EXPECT_EQ(set.x.scalar_type(), torch::kUInt8);
  EXPECT_THAT(Shape(set.x), ElementsAre(2, 1, 3, 4));
  EXPECT_THAT(Values(set.x[1]), ElementsAre(0, 0, 0, 0, 0, 3, 255, 0, 0, 0, 0, 0));
  EXPECT_EQ(set.event, (EventShape{1, 3, 4, true}));
  EXPECT_EQ(set.pixels, 2);
}

TEST_F(DataSetTest, AnArrayOfBytesWithChannelsIsAnImageSet) {
  const DataSet set = Load(Write("images.npy", Npy<uint8_t>({2, 3, 1, 2}, std::vector<uint8_t>(12, 7))));
  EXPECT_THAT(Shape(set.x), ElementsAre(2, 3, 1, 2));
  EXPECT_EQ(set.event, (EventShape{3, 1, 2, true}));
  EXPECT_EQ(set.pixels, 6);
}

TEST_F(DataSetTest, LabelsComeFromBytesIntegersACsvColumnOrIdx) {
  DataSource source = Write("rows.npy", Npy<double>({3}, {1, 2, 3}));
  for (const std::string& labels :
       {folder_.Write("u1.npy", Npy<uint8_t>({3}, {2, 0, 1})), folder_.Write("y.csv", "class\n2\n0\n1\n"),
        folder_.Write("i8.npy", NpyOfType("<i8", {3}, {2, 0, 1})),
        folder_.Write("labels-idx1-ubyte", Idx({3}, std::string("\2\0\1", 3)))}) {
    source.labels = labels;
    const DataSet set = Load(source);
    EXPECT_THAT(Values(set.label), ElementsAre(2, 0, 1)) << labels;
    EXPECT_EQ(set.num_classes, 3) << labels;
  }
}

TEST_F(DataSetTest, AContextFileStandsBesideTheRows) {
  DataSource source = Write("images.npy", Npy<uint8_t>({2, 1, 1}, {1, 2}));
  source.context = folder_.Write("context.npy", Npy<float>({2, 3}, {1, 2, 3, 4, 5, 6}));
  const DataSet set = Load(source);
  EXPECT_EQ(set.context.scalar_type(), torch::kFloat64);
  EXPECT_THAT(Shape(set.context), ElementsAre(2, 3));
}

TEST_F(DataSetTest, FashionMnistIsReadWholeWithItsLabels) {
  const std::string folder = "/usr/share/datasets/fashion-mnist/";
  DataSource source;
  source.data = folder + "t10k-images-idx3-ubyte.gz";
  source.labels = folder + "t10k-labels-idx1-ubyte.gz";
  source.pad = 2;
  if (!std::filesystem::exists(source.data))
    GTEST_SKIP() << "the package dataset-fashion-mnist is not installed";
  const DataSet set = Load(source);
  EXPECT_THAT(Shape(set.x), ElementsAre(10000, 1, 32, 32));
  EXPECT_EQ(set.pixels, 784);
  EXPECT_EQ(set.num_classes, 10);
  EXPECT_TRUE(torch::equal(set.label.bincount(), torch::full({10}, 1000, torch::kInt64)));
}

TEST_F(DataSetTest, RaggedRowsAreRefused) {
  EXPECT_EQ(Refusal(Write("rows.csv", "1,2\n3\n")),
            "rows.csv: row 2, column 1: the row ends here; expected 2 columns");
  EXPECT_EQ(Refusal(Write("rows.csv", "1,2\n3,4,5\n")),
            "rows.csv: row 2, column 3: expected 2 columns, got more");
}

TEST_F(DataSetTest, MissingValuesAreRefusedByRowAndColumn) {
  EXPECT_EQ(Refusal(Write("rows.csv", "a,b\n1,2\n3,\n")),
            "rows.csv: row 3, column 2: expected a number, got \"\"");
  EXPECT_EQ(Refusal(Write("rows.csv", "a,b\n1,2\n3,nan\n")),
            "rows.csv: row 3, column 2 \"b\": expected a finite number, got nan");
  EXPECT_EQ(Refusal(Write("rows.csv", "1,2\n-inf,4\n")),
            "rows.csv: row 2, column 1: expected a finite number, got -inf");
  EXPECT_EQ(Refusal(Write("rows.npy", Npy<float>({2, 2}, {1, 2, 3, NAN}))),
            "rows.npy: row 2, column 2: expected a finite number, got nan");
}

TEST_F(DataSetTest, MissingValuesOfAnUnusedColumnDoNotMatter) {
  DataSource source = Write("rows.npy", Npy<float>({2, 2}, {1, 2, 3, NAN}));
  source.columns = "1";
  EXPECT_THAT(Values(Load(source).x), ElementsAre(1, 3));
}

TEST_F(DataSetTest, AMissingValueOfTheContextIsRefused) {
  DataSource source = Write("rows.npy", Npy<float>({2, 2}, {1, 2, 3, NAN}));
  source.context_columns = "2";
  EXPECT_EQ(Refusal(source), "rows.npy: row 2, column 2: expected a finite number, got nan");
  source = Write("rows.npy", Npy<float>({2, 1}, {1, 2}));
  source.context = folder_.Write("context.csv", "1\ninf\n");
  EXPECT_EQ(Refusal(source), "context.csv: row 2, column 1: expected a finite number, got inf");
}

TEST_F(DataSetTest, TextInAFeatureIsRefused) {
  EXPECT_EQ(Refusal(Write("rows.csv", "a,b\n1,2\n3,ann\n")),
            "rows.csv: row 3, column 2: expected a number, got \"ann\"");
}

TEST_F(DataSetTest, AConstantColumnIsRefused) {
  EXPECT_EQ(Refusal(Write("rows.csv", "a,b\n1,7\n2,7\n3,7\n")),
            "rows.csv: column 2 \"b\" is 7 in every row; a constant has no density, leave it out");
  EXPECT_EQ(Refusal(Write("rows.npy", Npy<double>({2, 2}, {0.5, 1, 0.5, 2}))),
            "rows.npy: column 1 is 0.5 in every row; a constant has no density, leave it out");
}

TEST_F(DataSetTest, OneRowIsRefused) {
  EXPECT_EQ(Refusal(Write("rows.npy", Npy<double>({1, 2}, {1, 2}))),
            "rows.npy: expected at least 2 rows, got 1");
  EXPECT_EQ(Refusal(Write("rows.csv", "a,b\n")), "rows.csv: expected at least 2 rows, got 0");
  EXPECT_EQ(Refusal(Write("image.npy", Npy<uint8_t>({1, 1, 2}, {1, 2}))),
            "image.npy: expected at least 2 rows, got 1");
}

TEST_F(DataSetTest, OtherTypesAreRefused) {
  const struct {
    const char* descr;
    const char* message;
  } types[] = {{"<i4", "'<i4' are not taken"},   {"<i8", "'<i8' are not taken"},
               {"|O8", "'|O8' are not taken"},   {">f8", "'>f8' are not taken"},
               {"<c16", "'<c16' are not taken"}, {"|b1", "'|b1' are not taken"}};
  for (const auto& type : types) {
    EXPECT_THAT(Refusal(Write("rows.npy", NpyOfType(type.descr, {2, 1}, {1, 2}))),
                AllOf(HasSubstr("rows.npy: npy header: values of type"), HasSubstr(type.message)));
  }
}

TEST_F(DataSetTest, AnArrayInFortranOrderIsReadRowByRow) {
  std::string fortran = Npy<double>({2, 2}, {1, 2, 3, 5});
  fortran.replace(fortran.find("False"), 5, "True ");
  EXPECT_THAT(Values(Load(Write("rows.npy", fortran)).x), ElementsAre(1, 3, 2, 5));
}

TEST_F(DataSetTest, FloatsInTheShapeOfImagesAreRefused) {
  EXPECT_EQ(Refusal(Write("images.npy", Npy<float>({2, 1, 2}, {0, 0.5, 1, 1}))),
            "images.npy: an array of 3 dimensions holds images, which are read as uint8; got floating-point "
            "numbers");
}

TEST_F(DataSetTest, ShapesThatAreNeitherImagesNorATableAreRefused) {
  EXPECT_EQ(Refusal(Write("x.npy", Npy<uint8_t>({2, 1, 1, 1, 1}, {1, 2}))),
            "x.npy: an array of 5 dimensions; expected images (n, h, w) or (n, c, h, w), or a table (n, d)");
  EXPECT_EQ(Refusal(Write("y.npy", Npy<uint8_t>({2}, {1, 2}))),
            "y.npy: one unsigned byte a row: these are labels; expected images or a table");
  EXPECT_EQ(Refusal(Write("empty-idx3-ubyte", Idx({2, 0, 5}, ""))),
            "empty-idx3-ubyte: images without pixels");
  EXPECT_EQ(Refusal(Write("wide.npy", Npy<uint8_t>({2, 8193}, std::vector<uint8_t>(2 * 8193, 1)))),
            "wide.npy: 8193 features; a flow has at most 8192");
}

TEST_F(DataSetTest, FilesThatCannotBeReadAreRefused) {
  DataSource source;
  source.data = folder_.Path("none.npy");
  EXPECT_EQ(Refusal(source), "none.npy: the file does not exist");
  source.data = folder_.Path("");
  EXPECT_THAT(Refusal(source), HasSubstr("a folder, expected a file"));
  EXPECT_EQ(Refusal(Write("empty.csv", "")), "empty.csv: the file is empty");
  EXPECT_EQ(Refusal(Write("rows.csv.gz", Gzip("1\n2\n").substr(0, 12))),
            "rows.csv.gz: its gzip data are cut short");
  EXPECT_EQ(Refusal(Write("rows.npy.gz", Gzip(Npy<double>({2}, {1, 2}).substr(0, 140)))),
            "rows.npy.gz: an array of shape (2,) has 16 bytes, the file has 12 after its header");
}

TEST_F(DataSetTest, ColumnsThatAreNotThereOrUsedTwiceAreRefused) {
  DataSource source = Write("rows.csv", "a,b\n1,2\n3,4\n");
  source.columns = "a,c";
  EXPECT_EQ(Refusal(source), "rows.csv: no column is named \"c\"");
  source.columns = "a,1";
  EXPECT_EQ(Refusal(source), "rows.csv: column 1 \"a\" is used twice");
  source = Write("rows.npy", Npy<double>({2, 1}, {1, 2}));
  source.columns = "a";
  EXPECT_EQ(Refusal(source), "rows.npy: no column is named \"a\"");
}

TEST_F(DataSetTest, ColumnsOfImagesAndPaddedTablesAreRefused) {
  DataSource source = Write("images.npy", Npy<uint8_t>({2, 1, 2}, {1, 2, 3, 4}));
  source.columns = "1";
  EXPECT_EQ(Refusal(source), "images.npy: columns are chosen from a table, the rows are images");
  source = Write("rows.npy", Npy<double>({2, 1}, {1, 2}));
  source.pad = 2;
  EXPECT_EQ(Refusal(source), "rows.npy: padding is for images, the rows are those of a table");
}

TEST_F(DataSetTest, PaddingBeyondWhatAFlowHoldsIsRefused) {
  DataSource source = Write("images.npy", Npy<uint8_t>({2, 1, 2}, {1, 2, 3, 4}));
  for (const int64_t pad : {int64_t{-1}, std::numeric_limits<int64_t>::max()}) {
    source.pad = pad;
    EXPECT_THAT(Refusal(source), HasSubstr("pixels; expected 0 to 16777216"));
  }
  source.pad = 3000;
  EXPECT_EQ(Refusal(source),
            "images.npy: images of 1x6001x6002 values; a flow has at most 8192 channels and 16777216 values");
}

TEST_F(DataSetTest, AsManyLabelsAndContextsAsRowsAreExpected) {
  DataSource source = Write("rows.npy", Npy<double>({3}, {1, 2, 3}));
  source.labels = folder_.Write("y.npy", Npy<uint8_t>({2}, {0, 1}));
  EXPECT_EQ(Refusal(source), "y.npy: 2 rows of labels; expected 3, as many as rows.npy has");
  source.labels = "";
  source.context = folder_.Write("c.npy", Npy<double>({4, 1}, {0, 1, 2, 3}));
  EXPECT_EQ(Refusal(source), "c.npy: 4 rows of context; expected 3, as many as rows.npy has");
}

TEST_F(DataSetTest, LabelsThatAreNoClassesAreRefused) {
  DataSource source = Write("rows.npy", Npy<double>({2}, {1, 2}));
  source.labels = folder_.Write("y.csv", "0\n1.5\n");
  EXPECT_EQ(Refusal(source), "y.csv: row 2, column 1: expected a class, an integer from 0 to 65535, got 1.5");
  source.labels = folder_.Write("y.npy", NpyOfType("<i8", {2}, {-1, 0}));
  EXPECT_EQ(Refusal(source), "y.npy: row 1, column 1: expected a class, an integer from 0 to 65535, got -1");
  source.labels = folder_.Write("y.csv", "0\n65536\n");
  EXPECT_THAT(Refusal(source), HasSubstr("got 65536"));
  source.labels = folder_.Write("y.csv", "0\nnan\n");
  EXPECT_THAT(Refusal(source), HasSubstr("got nan"));
  source.labels = folder_.Write("y.csv", "0,1\n0,1\n");
  EXPECT_EQ(Refusal(source), "y.csv: expected one label a row, got 2 columns");
}

TEST_F(DataSetTest, TwoSourcesOfTheSameThingAreRefused) {
  DataSource source = Write("rows.csv", "1,2\n3,4\n");
  source.label_column = "1";
  source.labels = source.data;
  EXPECT_EQ(Refusal(source), "labels come from a file or from a column, not from both");
  source = Write("rows.csv", "1,2\n3,4\n");
  source.context_columns = "1";
  source.context = source.data;
  EXPECT_EQ(Refusal(source), "context comes from a file or from columns, not from both");
}

TEST_F(DataSetTest, RowsAreTakenInTheOrderAsked) {
  DataSource source = Write("rows.csv", "a,c,y\n1,10,0\n2,20,1\n3,30,0\n");
  source.context_columns = "c";
  source.label_column = "y";
  const DataSet rows = Rows(Load(source), torch::tensor({2, 0}, torch::kInt64));
  EXPECT_THAT(Values(rows.x), ElementsAre(3, 1));
  EXPECT_THAT(Values(rows.context), ElementsAre(30, 10));
  EXPECT_THAT(Values(rows.label), ElementsAre(0, 0));
  EXPECT_EQ(rows.num_classes, 2);
  EXPECT_THAT(rows.columns, ElementsAre("a"));
}

DataSet OfKind(const std::string& name, EventShape event, int64_t context_size = 0, int64_t num_classes = 0) {
  DataSet set;
  set.name = name;
  set.event = event;
  if (context_size > 0) set.context = torch::zeros({2, context_size}, torch::kFloat64);
  if (num_classes > 0) set.label = torch::zeros({2}, torch::kInt64);
  set.num_classes = num_classes;
  return set;
}

std::string Difference(const DataSet& data, const DataSet& other) {
  return std::string(CheckSameKind(data, other).message());
}

TEST(CheckSameKind, TheSameKindIsFineAndSoAreFewerClasses) {
  EXPECT_TRUE(CheckSameKind(OfKind("a", {4}, 2, 3), OfKind("b", {4}, 2, 3)).ok());
  EXPECT_TRUE(CheckSameKind(OfKind("a", {4}, 2, 3), OfKind("b", {4}, 2, 1)).ok());
}

TEST(CheckSameKind, EveryDifferenceIsNamed) {
  EXPECT_EQ(Difference(OfKind("a", {4}), OfKind("b", {5})),
            "b: rows of 5 values; expected rows of 4 values as in a");
  EXPECT_EQ(Difference(OfKind("a", {4}), OfKind("b", {4, 1, 1, true})),
            "b: images of 4x1x1; expected rows of 4 values as in a");
  EXPECT_EQ(Difference(OfKind("a", {4}, 2), OfKind("b", {4})),
            "b: 0 values of context a row; expected 2 as in a");
  EXPECT_EQ(Difference(OfKind("a", {4}, 0, 2), OfKind("b", {4})), "b: no labels; expected labels as in a");
  EXPECT_EQ(Difference(OfKind("a", {4}), OfKind("b", {4}, 0, 2)), "b: labels; expected none as in a");
  EXPECT_EQ(Difference(OfKind("a", {4}, 0, 2), OfKind("b", {4}, 0, 3)),
            "b: label 2; expected labels below 2 as in a");
}

DataSet WithNames(const std::string& name, const std::vector<std::string>& columns) {
  DataSet set = OfKind(name, {static_cast<int64_t>(columns.size())});
  set.columns = columns;
  return set;
}

TEST(CheckSameKind, FeaturesInAnotherOrderAreRefusedByName) {
  const DataSet data = WithNames("a", {"age", "dose"});
  EXPECT_EQ(Difference(data, WithNames("b", {"dose", "age"})),
            "b: feature 1 is named \"dose\"; expected \"age\" as in a");
  EXPECT_EQ(Difference(data, WithNames("b", {"Age", "Dose"})), "");
  EXPECT_EQ(Difference(data, OfKind("b", {2})), "");
}

TEST_F(DataSetTest, ARowOnlyEvaluatedMayHaveAConstantFeature) {
  DataSource source = Write("test.csv", "1,2\n1,3\n");
  source.only_evaluated = true;
  EXPECT_EQ(Load(source).rows(), 2);
}

}  // namespace
}  // namespace train
}  // namespace glowworm
