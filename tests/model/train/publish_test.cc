// Tests of model/train/publish.h: the file that is written serves the same density, and none is written where
// it would not.

#include "model/train/publish.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>

#include <cmath>
#include <functional>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "model/flow.h"
#include "model/flow_file.h"
#include "model/train/evaluation.h"
#include "tests/model/train/temporary_folder.h"
#include "tests/model/train/train_testing.h"

namespace glowworm {
namespace train {
namespace {

using testing::AllOf;
using testing::Each;
using testing::ElementsAre;
using testing::Gt;
using testing::HasSubstr;
using testing::Lt;
using testing::Not;

constexpr char kName[] = "flow.safetensors";

class Publishing : public testing::Test {
 protected:
  void Make(const FlowConfig& config, const DataSet& data) {
    data_ = data;
    model_ = ShakenModel(config, data_);
  }
  void MakeTable(int64_t rows = 200) {
    torch::manual_seed(61);
    Make(SmallTabular(), Table(rows, 4));
  }
  std::string path() const { return folder_.File(kName); }
  absl::StatusOr<Published> TryPublish() {
    return Publish(model_.get(), {&data_}, "mine", "of the tests", {{"date", "2026-01-31"}}, path());
  }
  FlowSpec PublishedSpec() {
    const absl::StatusOr<Published> published = TryPublish();
    EXPECT_TRUE(published.ok()) << published.status();
    const absl::StatusOr<FlowFile> file = ReadFlowFile(path());
    EXPECT_TRUE(file.ok()) << file.status();
    return file->spec;
  }
  // The refusal of a flow whose file would say something else than the model computes.
  absl::Status Tampered(const std::function<void(FlowSpec*)>& change) {
    model_->to(torch::kFloat64);
    FlowSpec spec = model_->Export();
    change(&spec);
    return PublishAs(spec, model_.get(), {&data_}, path()).status();
  }

  TemporaryFolder folder_;
  DataSet data_;
  std::shared_ptr<FlowModel> model_;
};

struct Form {
  std::string name;
  FlowConfig config;
  std::function<DataSet()> data;
};

class PublishedForms : public Publishing, public testing::WithParamInterface<Form> {};

TEST_P(PublishedForms, FileServesTheSameDensity) {
  torch::manual_seed(62);
  Make(GetParam().config, GetParam().data());
  const absl::StatusOr<Published> published = TryPublish();
  ASSERT_TRUE(published.ok()) << published.status();
  EXPECT_LE(published->disagreement, kAgreement);
  EXPECT_EQ(folder_.Names(), std::set<std::string>{kName});
  const torch::Tensor served = torch::tensor(published->log_likelihood, torch::kFloat64);
  EXPECT_LE(RelativeError(served, LogProbs(model_.get(), data_, PixelNoise::kNone)), kAgreement);
  // As a server loads it.
  const absl::StatusOr<std::unique_ptr<const Flow>> flow = Flow::Load(path(), {});
  ASSERT_TRUE(flow.ok()) << flow.status();
  EXPECT_EQ((*flow)->info().name, "mine");
  EXPECT_EQ((*flow)->info().num_classes, data_.num_classes);
  EXPECT_TRUE((*flow)->info().has_calibration);
  EXPECT_EQ((*flow)->info().provenance.at("date"), "2026-01-31");
}

INSTANTIATE_TEST_SUITE_P(All, PublishedForms,
                         testing::Values(Form{"Table", SmallTabular(), [] { return Table(100, 4); }},
                                         Form{"Spline", SmallSpline(), [] { return Table(100, 4); }},
                                         Form{"ContextAndLabels", SmallTabular(),
                                              [] { return WithLabels(WithContext(Table(100, 4), 2), 3); }},
                                         Form{"Images", SmallImage(), [] { return Images(20, 1, 8, 8); }},
                                         Form{"ImagesWithLabels", SmallImage(),
                                              [] { return WithLabels(Images(20, 1, 4, 4), 2); }}),
                         [](const testing::TestParamInfo<Form>& form) { return form.param.name; });

TEST_F(Publishing, RowsOfAllPartsAreCompared) {
  MakeTable();
  const DataSet more = Table(30, 4);
  const absl::StatusOr<Published> published = Publish(model_.get(), {&data_, &more}, "mine", "", {}, path());
  ASSERT_TRUE(published.ok()) << published.status();
  EXPECT_EQ(published->log_likelihood.size(), 230u);
}

TEST_F(Publishing, OfManyRowsEachPartGivesItsShareEvenlySpaced) {
  MakeTable(6000);
  const DataSet more = Table(2000, 4);
  const absl::StatusOr<Published> published = Publish(model_.get(), {&data_, &more}, "mine", "", {}, path());
  ASSERT_TRUE(published.ok()) << published.status();
  EXPECT_THAT(published->rows, ElementsAre(3072, 1024));
  ASSERT_EQ(published->log_likelihood.size(), 4096u);
  const torch::Tensor all = LogProbs(model_.get(), data_, PixelNoise::kNone);
  const torch::Tensor others = LogProbs(model_.get(), more, PixelNoise::kNone);
  for (int64_t i : {int64_t{0}, int64_t{1}, int64_t{1535}, int64_t{3071}}) {
    const double expected = all[i * 6000 / 3072].item<double>();
    EXPECT_NEAR(published->log_likelihood[static_cast<size_t>(i)], expected, 1e-8 * std::abs(expected));
  }
  const double last = others[1023 * 2000 / 1024].item<double>();
  EXPECT_NEAR(published->log_likelihood.back(), last, 1e-8 * std::abs(last));
}

TEST_F(Publishing, LayerThatIsExportedWronglyIsRefusedAndNothingIsWritten) {
  MakeTable();
  const absl::Status status = Tampered([](FlowSpec* spec) {
    for (Layer& layer : spec->layers) {
      if (auto* linear = std::get_if<Linear>(&layer.op)) {
        std::get<PluFactors>(linear->matrix).upper[0] += 1e-5;
        return;
      }
    }
  });
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("the serving library and libtorch disagree on held-out row 1: expected log p"),
                    HasSubstr("no flow is written")));
  EXPECT_TRUE(folder_.Names().empty());
}

TEST_F(Publishing, DensityThatIsExportedWronglyIsRefused) {
  MakeTable();
  const absl::Status status = Tampered([](FlowSpec* spec) {
    for (double& log_scale : std::get<DiagNormal>(spec->base).log_scale) log_scale += 1e-6;
  });
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_TRUE(folder_.Names().empty());
}

TEST_F(Publishing, FlowThatTheFileCannotHoldIsRefused) {
  MakeTable();
  const absl::Status status =
      Tampered([](FlowSpec* spec) { std::get<Affine>(spec->layers[0].op).scale[1] = std::nan(""); });
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(status.message()), HasSubstr("the flow cannot be read back: "));
  EXPECT_TRUE(folder_.Names().empty());
}

TEST_F(Publishing, UnchangedSpecIsAccepted) {
  MakeTable();
  EXPECT_TRUE(Tampered([](FlowSpec*) {}).ok());
  EXPECT_EQ(folder_.Names(), std::set<std::string>{kName});
}

TEST_F(Publishing, ModelThatIsNotFiniteIsRefused) {
  MakeTable();
  {
    const torch::NoGradGuard no_grad;
    model_->named_parameters()["base.mean"][0] = std::nan("");
  }
  EXPECT_EQ(TryPublish().status().code(), absl::StatusCode::kInternal);
  EXPECT_TRUE(folder_.Names().empty());
}

void ExpectAscending(const Calibration& calibration) {
  const std::vector<double>& value = calibration.log_likelihood;
  const std::vector<double>& probability = calibration.probability;
  ASSERT_EQ(value.size(), probability.size());
  EXPECT_THAT(probability, Each(AllOf(Gt(0.0), Lt(1.0))));
  for (size_t i = 1; i < value.size(); ++i) {
    EXPECT_GT(value[i], value[i - 1]);
    EXPECT_GT(probability[i], probability[i - 1]);
  }
}

TEST_F(Publishing, QuantilesAscendWithProbabilitiesBetweenZeroAndOne) {
  MakeTable(700);
  const FlowSpec spec = PublishedSpec();
  ExpectAscending(*spec.calibration);
  EXPECT_EQ(spec.calibration->log_likelihood.size(), 512u);
  EXPECT_NEAR(spec.calibration->probability.front(), 1.0 / 701, kEps);
  EXPECT_NEAR(spec.calibration->probability.back(), 700.0 / 701, kEps);
}

TEST_F(Publishing, EqualRowsAreOneQuantile) {
  MakeTable(10);
  data_.x = data_.x.repeat({3, 1});
  const FlowSpec spec = PublishedSpec();
  ExpectAscending(*spec.calibration);
  ASSERT_EQ(spec.calibration->log_likelihood.size(), 10u);
  // A third of the rows, and each of these three times.
  for (size_t i = 0; i < 10; ++i) {
    EXPECT_NEAR(spec.calibration->probability[i], 3 * (static_cast<double>(i) + 1) / 31, 4 * kEps);
  }
}

TEST_F(Publishing, OneHeldOutRowIsEnough) {
  MakeTable(10);
  data_.x = data_.x.narrow(0, 0, 1);
  const FlowSpec spec = PublishedSpec();
  EXPECT_EQ(spec.calibration->probability, std::vector<double>{0.5});
}

TEST_F(Publishing, PathThatCannotBeWrittenLeavesNothing) {
  MakeTable(10);
  const absl::Status status =
      Publish(model_.get(), {&data_}, "mine", "", {}, folder_.File("none/" + std::string(kName))).status();
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr(kName), Not(HasSubstr("/"))));
  EXPECT_TRUE(folder_.Names().empty());
}

TEST_F(Publishing, FullDiskLeavesNothing) {
  MakeTable(10);
  const FileSizeLimit full(1000);
  EXPECT_FALSE(TryPublish().ok());
  EXPECT_TRUE(folder_.Names().empty());
}

}  // namespace
}  // namespace train
}  // namespace glowworm
