#include "model/train/flow_model.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "model/train/conditioner.h"
#include "model/train/coupling_layer.h"
#include "model/train/image_layers.h"

namespace glowworm {
namespace train {
namespace {

constexpr double kPixelLevels = 256;
// As in nflows: splines that train well.
constexpr double kSmallestBin = 1e-3, kSmallestDerivative = 1e-3;

// The data as a whole may vary where the rows to train on do not.
absl::Status CheckFeatures(const DataSet& train) {
  const torch::Tensor constant = train.x.amin(0) == train.x.amax(0);
  const torch::Tensor finite = train.x.to(torch::kFloat64).std(0, /*unbiased=*/false).isfinite();
  for (int64_t feature = 0; feature < train.event.channels; ++feature) {
    const bool still = constant[feature].item<bool>();
    if (!still && finite[feature].item<bool>()) continue;
    const auto at = static_cast<size_t>(feature);
    const std::string name =
        at < train.columns.size() ? absl::StrCat("\"", train.columns[at], "\"") : absl::StrCat(feature + 1);
    return absl::InvalidArgumentError(absl::StrFormat(
        "feature %s of %s is %s", name, train.name,
        still ? "constant in the rows to train on" : "too large: its variance is no float64 number"));
  }
  return absl::OkStatus();
}

absl::Status CheckFits(const FlowConfig& config, const DataSet& train) {
  const EventShape& event = train.event;
  if (!event.image) {
    if (config.preprocessing != Preprocessing::kStandardize || config.levels != 1) {
      return absl::InvalidArgumentError(absl::StrFormat(
          "%s is a table, and this flow is one for images; choose a preset that begins with tabular",
          train.name));
    }
    if (event.channels < 2) {
      return absl::InvalidArgumentError("a flow of couplings needs at least 2 features, the data has 1");
    }
    return CheckFeatures(train);
  }
  if (config.preprocessing == Preprocessing::kStandardize) {
    return absl::InvalidArgumentError(absl::StrFormat(
        "%s holds images, and this flow is one for tables; choose a preset that begins with image",
        train.name));
  }
  if (config.coupling == CouplingKind::kSpline) {
    return absl::InvalidArgumentError("spline couplings are trained on tables only, the data holds images");
  }
  if (train.context.defined()) {
    return absl::InvalidArgumentError("context is for tables, the data holds images; use labels instead");
  }
  const int64_t factor = int64_t{1} << config.levels;
  if (event.height % factor != 0 || event.width % factor != 0) {
    return absl::InvalidArgumentError(
        absl::StrFormat("%d levels halve height and width %d times: expected multiples of %d, got %dx%d; pad "
                        "the images or take fewer levels",
                        config.levels, config.levels, factor, event.height, event.width));
  }
  return absl::OkStatus();
}

ContextScale ScaleOf(const torch::Tensor& context) {
  if (!context.defined()) return {};
  const torch::Tensor deviation = context.std(0, /*unbiased=*/false);
  // A constant context says nothing; it is left where it is. Its deviation may come out as a rounding error.
  const torch::Tensor constant = context.amax(0) == context.amin(0);
  return {context.mean(0), torch::where(constant, torch::ones_like(deviation), deviation)};
}

std::vector<int64_t> RowsOfClasses(const DataSet& data) {
  if (data.num_classes == 0) return {};
  const torch::Tensor counts = torch::bincount(data.label, {}, data.num_classes);
  return {counts.data_ptr<int64_t>(), counts.data_ptr<int64_t>() + counts.numel()};
}

}  // namespace

template <typename LayerType>
std::shared_ptr<LayerType> FlowModel::Add(const std::string& kind, std::shared_ptr<LayerType> layer) {
  Step step{absl::StrFormat("%02d.%s", steps_.size(), kind), layer, nullptr, nullptr};
  step.actnorm = std::dynamic_pointer_cast<ActNorm>(step.layer);
  step.linear = std::dynamic_pointer_cast<LinearLayer>(step.layer);
  register_module(absl::StrCat("layer_", steps_.size()), layer);
  steps_.push_back(std::move(step));
  return layer;
}

absl::StatusOr<std::shared_ptr<FlowModel>> FlowModel::Create(const FlowConfig& config, const DataSet& train) {
  const absl::Status fits = CheckFits(config, train);
  if (!fits.ok()) return fits;
  return std::shared_ptr<FlowModel>(new FlowModel(config, train));
}

FlowModel::FlowModel(const FlowConfig& config, const DataSet& train)
    : event_(train.event),
      context_size_(train.context.defined() ? train.context.size(1) : 0),
      latent_(train.event) {
  torch::NoGradGuard no_grad;
  AddPreprocessing(config, train);
  AddSteps(config, ScaleOf(train.context));
  base_ = register_module("base", std::make_shared<NormalBase>(latent_, RowsOfClasses(train)));
  for (torch::Tensor& parameter : parameters()) parameter.set_requires_grad(true);
}

void FlowModel::AddPreprocessing(const FlowConfig& config, const DataSet& train) {
  if (config.preprocessing == Preprocessing::kStandardize) {
    const torch::Tensor x = train.x.to(torch::kFloat64);
    const torch::Tensor mean = x.mean(0), deviation = x.std(0, /*unbiased=*/false);
    affine_.scale = ToVector(1 / deviation);
    affine_.shift = ToVector(-mean / deviation);
    return;
  }
  const bool logit = config.preprocessing == Preprocessing::kLogit;
  if (logit) logit_alpha_ = config.logit_alpha;
  const auto channels = static_cast<size_t>(event_.channels);
  affine_.scale.assign(channels, 1 / kPixelLevels);
  affine_.shift.assign(channels, 0.5 / kPixelLevels - (logit ? 0 : 0.5));
}

void FlowModel::AddSteps(const FlowConfig& config, const ContextScale& context) {
  SplineTransform spline;
  spline.bins = config.bins;
  spline.tail_bound = config.tail_bound;
  spline.min_bin_width = spline.min_bin_height = kSmallestBin;
  spline.min_derivative = kSmallestDerivative;
  spline.width_height_scale = 1 / std::sqrt(static_cast<double>(config.hidden));
  const ConditionerFactory conditioner = [&](int64_t in, int64_t out) {
    return event_.image ? MakeConvNet(in, out, config.hidden)
                        : MakeResidualMlp(in, context, out, config.hidden, config.blocks, config.dropout);
  };
  for (int64_t level = 0; level < config.levels; ++level) {
    if (event_.image) {
      Add("squeeze", std::make_shared<SqueezeLayer>());
      latent_ = {4 * latent_.channels, latent_.height / 2, latent_.width / 2, true};
    }
    for (int64_t step = 0; step < config.steps; ++step) {
      Add("actnorm", std::make_shared<ActNorm>(latent_.channels));
      Add("linear", MakeLinear(latent_.channels, config.linear));
      Add("coupling", config.coupling == CouplingKind::kSpline
                          ? MakeSplineCoupling(latent_.channels, spline, conditioner)
                          : MakeAffineCoupling(latent_.channels, config.scale_map, conditioner));
    }
    if (level + 1 < config.levels) {
      Add("split", std::make_shared<SplitLayer>(latent_.channels));
      latent_.channels /= 2;
    }
  }
}

LayerOutput FlowModel::Preprocess(const torch::Tensor& x) const {
  const torch::ScalarType dtype = base_->parameters()[0].scalar_type();
  // Pixels are small numbers, exact in float32; a table's raw numbers may be large beside their deviation.
  const torch::ScalarType wide = event_.image ? dtype : torch::kFloat64;
  const std::vector<int64_t> per_channel =
      event_.image ? std::vector<int64_t>{-1, 1, 1} : std::vector<int64_t>{-1};
  const auto as_tensor = [&](const std::vector<double>& values) {
    return torch::tensor(values, torch::kFloat64).view(per_channel).to(x.device(), wide);
  };
  torch::Tensor y = x.to(wide) * as_tensor(affine_.scale) + as_tensor(affine_.shift);
  double log_scale = 0;
  for (double scale : affine_.scale) log_scale += std::log(std::abs(scale));
  torch::Tensor log_det = torch::full({}, log_scale * static_cast<double>(event_.positions()), y.options());
  if (logit_alpha_ >= 0) {
    const torch::Tensor u = logit_alpha_ + (1 - 2 * logit_alpha_) * y;
    const torch::Tensor log_u = u.log(), log_rest = (1 - u).log();
    y = log_u - log_rest;
    log_det = log_det + (std::log(1 - 2 * logit_alpha_) - log_u - log_rest).flatten(1).sum(1);
  }
  return {y.to(dtype), log_det.to(dtype)};
}

torch::Tensor FlowModel::LogProbOfFeatures(const torch::Tensor& features, const Conditions& conditions) {
  torch::Tensor x = features;
  torch::Tensor log_det = torch::zeros({}, features.options());
  for (const Step& step : steps_) {
    LayerOutput out = step.layer->Forward(x, conditions);
    x = out.y;
    log_det = log_det + out.log_det;
  }
  return log_det + base_->LogProb(x, conditions);
}

torch::Tensor FlowModel::LogProb(const torch::Tensor& x, const Conditions& conditions) {
  const LayerOutput features = Preprocess(x);
  return features.log_det + LogProbOfFeatures(features.y, conditions);
}

void FlowModel::Initialize(const torch::Tensor& features, const Conditions& conditions) {
  torch::NoGradGuard no_grad;
  torch::Tensor x = features;
  for (const Step& step : steps_) {
    step.layer->Initialize(x);
    x = step.layer->Forward(x, conditions).y;
  }
}

void FlowModel::NormalizeScales() {
  for (size_t i = 1; i < steps_.size(); ++i) {
    if (steps_[i].linear == nullptr || steps_[i - 1].actnorm == nullptr) continue;
    steps_[i - 1].actnorm->Multiply(steps_[i].linear->NormalizeScale());
  }
}

void FlowModel::SetProgress(double fraction) {
  for (const Step& step : steps_) {
    if (step.linear != nullptr) step.linear->SetProgress(fraction);
  }
}

absl::StatusOr<Conditioning> FlowModel::CheckConditioning(double limit) const {
  torch::NoGradGuard no_grad;
  Conditioning result;
  bool first_scales = true;
  const auto finite = [](const torch::nn::Module& module) {
    for (const torch::Tensor& parameter : module.parameters()) {
      if (!torch::isfinite(parameter).all().item<bool>()) return false;
    }
    return true;
  };
  for (const Step& step : steps_) {
    if (!finite(*step.layer)) {
      return absl::InvalidArgumentError(
          absl::StrFormat("layer %s has a parameter that is not finite", step.name));
    }
    if (step.linear == nullptr) continue;
    const torch::Tensor sigma = torch::linalg_svdvals(step.linear->Weight());
    const double condition = (sigma.max() / sigma.min()).item<double>();
    if (!(condition <= limit)) {
      return absl::InvalidArgumentError(absl::StrFormat(
          "layer %s has condition number %g, at most %g is allowed", step.name, condition, limit));
    }
    if (condition > result.max_condition_number) {
      result.max_condition_number = condition;
      result.worst_layer = step.name;
    }
    const torch::Tensor scales = step.linear->Scales();
    if (!scales.defined()) continue;
    const double low = scales.min().item<double>(), high = scales.max().item<double>();
    result.min_s = first_scales ? low : std::min(result.min_s, low);
    result.max_s = first_scales ? high : std::max(result.max_s, high);
    first_scales = false;
  }
  if (!finite(*base_)) return absl::InvalidArgumentError("the base has a parameter that is not finite");
  return result;
}

std::string FlowModel::FirstNonFinite(const torch::Tensor& features, const Conditions& conditions) {
  torch::NoGradGuard no_grad;
  const auto finite = [](const torch::Tensor& t) { return torch::isfinite(t).all().item<bool>(); };
  torch::Tensor x = features;
  for (const Step& step : steps_) {
    const LayerOutput out = step.layer->Forward(x, conditions);
    if (!finite(out.y) || !finite(out.log_det)) return absl::StrCat("layer ", step.name);
    x = out.y;
  }
  return finite(base_->LogProb(x, conditions)) ? "" : "the base";
}

std::string FlowModel::FirstNonFiniteGradient() const {
  const auto finite = [](const torch::nn::Module& module) {
    for (const torch::Tensor& parameter : module.parameters()) {
      if (parameter.grad().defined() && !torch::isfinite(parameter.grad()).all().item<bool>()) return false;
    }
    return true;
  };
  for (const Step& step : steps_) {
    if (!finite(*step.layer)) return absl::StrCat("layer ", step.name);
  }
  return finite(*base_) ? "" : "the base";
}

FlowSpec FlowModel::Export() const {
  torch::NoGradGuard no_grad;
  FlowSpec spec;
  spec.event = event_;
  spec.context_size = context_size_;
  spec.layers.push_back({"preprocess", affine_});
  if (logit_alpha_ >= 0) spec.layers.push_back({"logit", Logit{logit_alpha_}});
  for (const Step& step : steps_) spec.layers.push_back(step.layer->Export(step.name));
  spec.base = base_->Export();
  return spec;
}

int64_t FlowModel::ParameterCount() const {
  int64_t count = 0;
  for (const torch::Tensor& parameter : parameters()) count += parameter.numel();
  return count;
}

torch::Device FlowModel::device() const { return base_->parameters()[0].device(); }

}  // namespace train
}  // namespace glowworm
