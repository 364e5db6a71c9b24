// Rows to train on (model/train/data_set.h): tables, images, what stands beside them, every refusal.

#include "model/train/data_set.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/model/train/data_files.h"

namespace glowworm {
namespace train {
namespace {

using testing::ElementsAre;
using testing::Eq;
using testing::HasSubstr;
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

}  // namespace
}  // namespace train
}  // namespace glowworm
