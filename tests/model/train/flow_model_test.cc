// Tests of model/train/flow_model.h: the whole flow's log p against the serving library and against the gold
// standard, its gradients, the move of scales, the guards, and what it refuses.

#include "model/train/flow_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "model/flow.h"
#include "model/flow_file.h"
#include "tests/model/train/central_difference.h"
#include "tests/model/train/train_testing.h"

namespace glowworm {
namespace train {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr int64_t kRows = 40;

FlowConfig With(FlowConfig config, LinearKind kind, DiagonalMap map = DiagonalMap::kExp) {
  config.linear.kind = kind;
  config.linear.diagonal_map = map;
  return config;
}

FlowConfig Scaled(FlowConfig config) {
  config.preprocessing = Preprocessing::kScale;
  return config;
}

FlowConfig BothWays(FlowConfig config) {
  config.scale_map = ScaleMap::kAtanExp;
  return config;
}

struct Form {
  std::string name;
  FlowConfig config;
  std::function<DataSet()> data;
};

std::vector<Form> AllForms() {
  const auto table = [] { return Table(kRows, 5); };
  const auto pair = [] { return Table(kRows, 2); };
  const auto context = [] { return WithContext(Table(kRows, 5), 2); };
  const auto labels = [] { return WithLabels(Table(kRows, 5), 3); };
  const auto both = [] { return WithLabels(WithContext(Table(kRows, 4), 3), 2); };
  const auto images = [] { return Images(6, 1, 8, 4); };
  const auto colours = [] { return Images(6, 3, 4, 4); };
  const auto labelled_images = [] { return WithLabels(Images(6, 1, 4, 4), 2); };
  return {{"TableAffine", SmallTabular(), table},
          {"TableAffineBothWays", BothWays(SmallTabular()), table},
          {"TableOfTwoAffine", SmallTabular(), pair},
          {"TableSpline", SmallSpline(), table},
          {"TableQrSoftplus", With(SmallTabular(), LinearKind::kQr, DiagonalMap::kSoftplus), table},
          {"TableFull", With(SmallTabular(), LinearKind::kFull), table},
          {"TableLearnedPermutation", With(SmallTabular(), LinearKind::kLearnedPermutation), table},
          {"TableAffineWithContext", SmallTabular(), context},
          {"TableSplineWithContext", SmallSpline(), context},
          {"TableAffineWithLabels", SmallTabular(), labels},
          {"TableSplineWithContextAndLabels", SmallSpline(), both},
          {"ImageLogit", SmallImage(), images},
          {"ImageScale", Scaled(SmallImage()), images},
          {"ImageLogitOfColours", BothWays(SmallImage()), colours},
          {"ImageScaleQr", Scaled(With(SmallImage(), LinearKind::kQr)), colours},
          {"ImageLogitWithLabels", SmallImage(), labelled_images}};
}

// The serving library's answers in float64, to a file that is written and read, (n).
torch::Tensor Served(const FlowSpec& spec, const DataSet& data) {
  absl::StatusOr<FlowFile> file = ParseFlowFile(SerializeFlow(spec));
  EXPECT_TRUE(file.ok()) << file.status();
  FlowOptions options;
  options.precision = Precision::kFloat64;
  const std::unique_ptr<const Flow> flow = Flow::Create(file->spec, options).value();
  const auto n = static_cast<size_t>(data.rows());
  std::vector<double> log_prob(n);
  std::vector<RowStatus> status(n);
  std::vector<EncodeRow> rows(n);
  std::vector<std::vector<double>> x(n), context(n);
  for (size_t i = 0; i < n; ++i) {
    const auto row = static_cast<int64_t>(i);
    x[i] = ToVector(data.x[row]);
    rows[i].x.data = x[i].data();
    if (data.context.defined()) {
      context[i] = ToVector(data.context[row]);
      rows[i].context.data = context[i].data();
    }
    if (data.label.defined()) rows[i].class_label = static_cast<int>(data.label[row].item<int64_t>());
    rows[i].log_likelihood = &log_prob[i];
    rows[i].status = &status[i];
  }
  EXPECT_TRUE(flow->Encode(rows).ok());
  EXPECT_THAT(status, testing::Each(RowStatus::kOk));
  return torch::tensor(log_prob, torch::kFloat64);
}

class Models : public testing::TestWithParam<Form> {
 protected:
  Models() {
    torch::manual_seed(21);
    data_ = GetParam().data();
    model_ = ShakenModel(GetParam().config, data_);
    model_->to(torch::kFloat64);
  }
  torch::Tensor LogProb() {
    const torch::NoGradGuard no_grad;
    return LogProbOfAll(model_.get(), data_);
  }

  DataSet data_;
  std::shared_ptr<FlowModel> model_;
};

TEST_P(Models, ServingLibraryAgrees) {
  EXPECT_LE(RelativeError(LogProb(), Served(model_->Export(), data_)), 1e-8);
}

TEST_P(Models, GoldStandardAgrees) {
  const ReferenceAnswers expected = AskReference(model_->Export(), data_.x, ConditionsOfAll(data_));
  const torch::Tensor error = (LogProb() - expected.log_prob).abs() / expected.magnitude.clamp_min(1);
  EXPECT_LE(Largest(error), 1e-10);
}

TEST_P(Models, ConditionsMatterWhereThereAreAny) {
  const torch::Tensor before = LogProb();
  if (data_.context.defined()) data_.context = data_.context + 1;
  if (data_.label.defined()) data_.label = data_.num_classes - 1 - data_.label;
  const bool any = data_.context.defined() || data_.label.defined();
  EXPECT_EQ(torch::equal(LogProb(), before), !any);
}

TEST_P(Models, MixtureOfTheClassesIsTheGoldStandards) {
  data_.label = torch::Tensor();
  const ReferenceAnswers expected = AskReference(model_->Export(), data_.x, ConditionsOfAll(data_));
  EXPECT_LE(Largest((LogProb() - expected.log_prob) / expected.magnitude.clamp_min(1)), 1e-10);
}

INSTANTIATE_TEST_SUITE_P(All, Models, testing::ValuesIn(AllForms()),
                         [](const testing::TestParamInfo<Form>& form) { return form.param.name; });

class Scales : public testing::TestWithParam<LinearOptions> {
 protected:
  // A flow whose s have drifted to e^2 and more, and whose actnorms have made up for it.
  Scales() {
    torch::manual_seed(31);
    data_ = Table(200, 5);
    FlowConfig config = SmallTabular();
    config.linear = GetParam();
    model_ = ShakenModel(config, data_);
    const double drift = GetParam().diagonal_map == DiagonalMap::kExp ? 2 : 7;
    const torch::NoGradGuard no_grad;
    for (const auto& parameter : model_->named_parameters()) {
      if (absl::EndsWith(parameter.key(), "raw_s")) parameter.value().add_(drift);
      if (absl::EndsWith(parameter.key(), "log_scale") && !absl::StartsWith(parameter.key(), "base")) {
        parameter.value().sub_(2);
      }
    }
  }
  torch::Tensor LogProb() {
    const torch::NoGradGuard no_grad;
    return LogProbOfAll(model_.get(), data_);
  }

  DataSet data_;
  std::shared_ptr<FlowModel> model_;
};

TEST_P(Scales, NormalizationLeavesLogPTheSameInFloat32) {
  const torch::Tensor before = LogProb();
  model_->NormalizeScales();
  const torch::Tensor after = LogProb();
  EXPECT_FALSE(torch::equal(before, after)) << "nothing was moved";
  // log p is a sum: of its terms' rounding, not of its own.
  const torch::Tensor magnitude = AskReference(model_->Export(), data_.x, {}).magnitude;
  EXPECT_LE(Largest((after - before) / magnitude), 1e-6);
}

TEST_P(Scales, NormalizationLeavesLogPTheSameInFloat64) {
  model_->to(torch::kFloat64);
  const torch::Tensor before = LogProb();
  model_->NormalizeScales();
  EXPECT_LE(RelativeError(LogProb(), before), 1e-12);
}

TEST_P(Scales, NormalizationBringsEachLayersGeometricMeanToOne) {
  model_->to(torch::kFloat64);
  const Conditioning before = model_->CheckConditioning(1e6).value();
  model_->NormalizeScales();
  const Conditioning after = model_->CheckConditioning(1e6).value();
  EXPECT_GT(before.min_s, 3);
  EXPECT_LT(after.min_s, 1);
  EXPECT_GT(after.max_s, 1);
  EXPECT_NEAR(after.max_condition_number / before.max_condition_number, 1, 1e-12);
}

INSTANTIATE_TEST_SUITE_P(
    All, Scales,
    testing::Values(LinearOptions{LinearKind::kPlu, DiagonalMap::kExp, LinearInit::kRotation},
                    LinearOptions{LinearKind::kPlu, DiagonalMap::kSoftplus, LinearInit::kRotation},
                    LinearOptions{LinearKind::kQr, DiagonalMap::kExp, LinearInit::kRotation},
                    LinearOptions{LinearKind::kQr, DiagonalMap::kSoftplus, LinearInit::kRotation}));

// With respect to all parameters: s, L and U of each layer among them.
void ExpectGradients(FlowConfig config, const DataSet& data) {
  config.steps = 2;
  config.hidden = 3;
  config.blocks = 1;
  const std::shared_ptr<FlowModel> model = ShakenModel(config, data);
  model->to(torch::kFloat64);
  ExpectGradientsOfFiniteDifferences(model.get(), [&] { return LogProbOfAll(model.get(), data).mean(); });
}

TEST(FlowModel, GradientsOfATablesLogPAreThoseOfFiniteDifferences) {
  torch::manual_seed(41);
  ExpectGradients(SmallTabular(), Table(4, 3));
  ExpectGradients(With(SmallTabular(), LinearKind::kQr, DiagonalMap::kSoftplus), Table(4, 3));
  ExpectGradients(With(SmallTabular(), LinearKind::kPlu, DiagonalMap::kSoftplus),
                  WithLabels(WithContext(Table(4, 3), 1), 2));
}

TEST(FlowModel, GradientsOfASplinesLogPAreThoseOfFiniteDifferences) {
  torch::manual_seed(42);
  ExpectGradients(SmallSpline(), Table(4, 3));
}

TEST(FlowModel, GradientsOfAnImagesLogPAreThoseOfFiniteDifferences) {
  torch::manual_seed(43);
  ExpectGradients(SmallImage(), Images(2, 1, 4, 4));
}

TEST(FlowModel, StandardisesByTheTrainingRows) {
  torch::manual_seed(1);
  const DataSet data = Table(500, 4);
  const std::shared_ptr<FlowModel> model = FlowModel::Create(SmallTabular(), data).value();
  model->to(torch::kFloat64);
  const torch::Tensor features = model->Preprocess(data.x).y;
  // Means are up to some hundred deviations from 0.
  EXPECT_LE(Largest(features.mean(0)), 1e3 * kEps * 500);
  EXPECT_LE(Largest(features.std(0, /*unbiased=*/false) - 1), 1e3 * kEps * 500);
}

TEST(FlowModel, StandardisesFarNumbersInFloat64) {
  torch::manual_seed(1);
  DataSet data = Table(100, 2);
  data.x = data.x + 1e9;  // float32 is 64 apart here
  const std::shared_ptr<FlowModel> model = FlowModel::Create(SmallTabular(), data).value();
  const LayerOutput features = model->Preprocess(data.x);
  EXPECT_EQ(features.y.scalar_type(), torch::kFloat32);
  EXPECT_LE(Largest(features.y.std(0, /*unbiased=*/false) - 1), 1e-5);
}

TEST(FlowModel, ConstantContextIsLeftWhereItIs) {
  torch::manual_seed(1);
  DataSet data = WithContext(Table(30, 3), 2);
  data.context.select(1, 0).fill_(8);
  const std::shared_ptr<FlowModel> model = ShakenModel(SmallTabular(), data);
  EXPECT_TRUE(LogProbOfAll(model.get(), data).isfinite().all().item<bool>());
}

TEST(FlowModel, InitializationGivesEveryActnormRowsOfMeanZeroAndVarianceOne) {
  torch::manual_seed(2);
  const DataSet data = Table(300, 4);
  const std::shared_ptr<FlowModel> model = FlowModel::Create(SmallTabular(), data).value();
  const torch::Tensor features = model->Preprocess(data.x).y;
  model->Initialize(features, {});
  const torch::NoGradGuard no_grad;
  torch::Tensor x = features;
  int actnorms = 0;
  for (const auto& child : model->children()) {
    auto* layer = dynamic_cast<FlowLayer*>(child.get());
    if (layer == nullptr) continue;
    x = layer->Forward(x, {}).y;
    if (dynamic_cast<ActNorm*>(layer) == nullptr) continue;
    ++actnorms;
    EXPECT_LE(Largest(x.mean(0)), 1e-5);
    EXPECT_LE(Largest(x.std(0, /*unbiased=*/false) - 1), 1e-5);
  }
  EXPECT_EQ(actnorms, SmallTabular().steps);
}

// Sets a parameter of layer `index` (of a table's flow: actnorm, linear, coupling, and again).
void SetParameter(FlowModel* model, int index, const std::string& name, double value) {
  const torch::NoGradGuard no_grad;
  model->named_parameters()["layer_" + std::to_string(index) + "." + name].fill_(value);
}

class Guards : public testing::Test {
 protected:
  Guards() {
    torch::manual_seed(51);
    data_ = Table(20, 4);
    model_ = ShakenModel(SmallTabular(), data_);
  }
  std::string Refusal(double limit) {
    return std::string(model_->CheckConditioning(limit).status().message());
  }
  std::string FirstNonFinite() { return model_->FirstNonFinite(model_->Preprocess(data_.x).y, {}); }

  DataSet data_;
  std::shared_ptr<FlowModel> model_;
};

TEST_F(Guards, HealthyFlowPassesAndNamesItsWorstLayer) {
  SetParameter(model_.get(), 4, "scaled_upper.upper", 5);
  const absl::StatusOr<Conditioning> conditioning = model_->CheckConditioning(1e6);
  ASSERT_TRUE(conditioning.ok()) << conditioning.status();
  EXPECT_EQ(conditioning->worst_layer, "04.linear");
  EXPECT_GT(conditioning->max_condition_number, 100);
  EXPECT_GT(conditioning->min_s, 0);
  EXPECT_GT(conditioning->max_s, conditioning->min_s);
  EXPECT_EQ(FirstNonFinite(), "");
  EXPECT_EQ(model_->FirstNonFiniteGradient(), "");
}

TEST_F(Guards, ParameterThatIsNotFiniteNamesItsLayer) {
  SetParameter(model_.get(), 5, "conditioner.last.bias", std::nan(""));
  EXPECT_EQ(Refusal(1e6), "layer 05.coupling has a parameter that is not finite");
  EXPECT_EQ(FirstNonFinite(), "layer 05.coupling");
}

TEST_F(Guards, InfiniteScaleNamesItsLayer) {
  SetParameter(model_.get(), 3, "log_scale", std::numeric_limits<double>::infinity());
  EXPECT_EQ(Refusal(1e6), "layer 03.actnorm has a parameter that is not finite");
  EXPECT_EQ(FirstNonFinite(), "layer 03.actnorm");
}

TEST_F(Guards, BaseThatIsNotFiniteIsNamed) {
  const torch::NoGradGuard no_grad;
  model_->named_parameters()["base.mean"].fill_(std::nan(""));
  EXPECT_EQ(Refusal(1e6), "the base has a parameter that is not finite");
  EXPECT_EQ(FirstNonFinite(), "the base");
}

TEST_F(Guards, ConditionNumberAboveTheLimitNamesItsLayer) {
  SetParameter(model_.get(), 4, "scaled_upper.upper", 1e4);
  EXPECT_THAT(Refusal(1e6), AllOf(HasSubstr("layer 04.linear has condition number"),
                                  HasSubstr("at most 1e+06 is allowed")));
  EXPECT_EQ(Refusal(std::numeric_limits<double>::infinity()), "");
}

TEST_F(Guards, ScaleThatUnderflowsNamesItsLayer) {
  SetParameter(model_.get(), 1, "scaled_upper.raw_s", -1e4);
  EXPECT_THAT(Refusal(1e6), HasSubstr("layer 01.linear"));
}

TEST_F(Guards, GradientThatIsNotFiniteNamesItsLayer) {
  LogProbOfAll(model_.get(), data_).sum().backward();
  EXPECT_EQ(model_->FirstNonFiniteGradient(), "");
  model_->named_parameters()["base.mean"].mutable_grad().fill_(std::nan(""));
  EXPECT_EQ(model_->FirstNonFiniteGradient(), "the base");
  model_->named_parameters()["layer_4.lower"].mutable_grad().fill_(std::nan(""));
  EXPECT_EQ(model_->FirstNonFiniteGradient(), "layer 04.linear");
}

std::string RefusalOf(const FlowConfig& config, const DataSet& data) {
  const absl::StatusOr<std::shared_ptr<FlowModel>> model = FlowModel::Create(config, data);
  EXPECT_EQ(model.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(model.status().message());
}

TEST(Create, RefusesOneFeature) {
  EXPECT_EQ(RefusalOf(SmallTabular(), Table(9, 1)),
            "a flow of couplings needs at least 2 features, the data has 1");
}

TEST(Create, RefusesATableForImagesAndTheReverse) {
  EXPECT_EQ(
      RefusalOf(SmallImage(), Table(9, 3)),
      "table.npy is a table, and this flow is one for images; choose a preset that begins with tabular");
  EXPECT_EQ(RefusalOf(SmallTabular(), Images(9, 1, 4, 4)),
            "images-idx3-ubyte holds images, and this flow is one for tables; choose a preset that begins "
            "with image");
}

TEST(Create, RefusesSplinesForImages) {
  FlowConfig config = SmallImage();
  config.coupling = CouplingKind::kSpline;
  EXPECT_EQ(RefusalOf(config, Images(9, 1, 4, 4)),
            "spline couplings are trained on tables only, the data holds images");
}

TEST(Create, RefusesContextWithImages) {
  EXPECT_EQ(RefusalOf(SmallImage(), WithContext(Images(9, 1, 4, 4), 2)),
            "context is for tables, the data holds images; use labels instead");
}

TEST(Create, RefusesSidesThatTheLevelsDoNotDivide) {
  EXPECT_EQ(RefusalOf(SmallImage(), Images(9, 1, 8, 6)),
            "2 levels halve height and width 2 times: expected multiples of 4, got 8x6; pad the images or "
            "take fewer levels");
}

// The split may leave a column constant that varies in the whole data.
TEST(Create, RefusesAFeatureThatIsConstantInTheTrainingRows) {
  DataSet data = Table(9, 3);
  data.x.select(1, 1).fill_(0.1);
  EXPECT_EQ(RefusalOf(SmallTabular(), data), "feature 2 of table.npy is constant in the rows to train on");
  data.columns = {"age", "height", "weight"};
  EXPECT_EQ(RefusalOf(SmallTabular(), data),
            "feature \"height\" of table.npy is constant in the rows to train on");
}

TEST(Create, RefusesNumbersWhoseVarianceOverflows) {
  DataSet data = Table(9, 3);
  data.x.select(1, 2).mul_(1e200);
  EXPECT_THAT(RefusalOf(SmallTabular(), data), HasSubstr("feature 3 of table.npy is too large"));
}

}  // namespace
}  // namespace train
}  // namespace glowworm
