// Implements tests/model/train/train_testing.h.

#include "tests/model/train/train_testing.h"

#include <algorithm>
#include <utility>

#include "model/train/evaluation.h"
#include "tests/testing/reference_flow.h"

namespace glowworm {
namespace train {
namespace {

constexpr int64_t kInitializationRows = 64;

torch::Tensor DoublesOf(const std::vector<double>& values) { return torch::tensor(values, torch::kFloat64); }

}  // namespace

DataSet Table(int64_t rows, int64_t features) {
  DataSet data;
  data.name = "table.npy";
  data.event.channels = features;
  const torch::Tensor mix = torch::randn({features, features}, torch::kFloat64);
  const torch::Tensor mean = 10 * torch::randn({features}, torch::kFloat64);
  data.x = torch::matmul(torch::randn({rows, features}, torch::kFloat64), mix) + mean;
  data.pixels = features;
  return data;
}

DataSet Images(int64_t rows, int64_t channels, int64_t height, int64_t width) {
  DataSet data;
  data.name = "images-idx3-ubyte";
  data.event = {channels, height, width, true};
  data.x = torch::randint(0, 256, {rows, channels, height, width}, torch::kUInt8);
  data.pixels = data.event.size();
  return data;
}

DataSet WithContext(DataSet data, int64_t size) {
  data.context = 40 + 3 * torch::randn({data.rows(), size}, torch::kFloat64);
  return data;
}

DataSet WithLabels(DataSet data, int64_t classes) {
  data.label = torch::arange(data.rows(), torch::kInt64).remainder(classes);
  data.num_classes = classes;
  return data;
}

FlowConfig SmallTabular() {
  FlowConfig config;
  config.steps = 3;
  config.hidden = 6;
  config.blocks = 2;
  return config;
}

FlowConfig SmallSpline() {
  FlowConfig config = SmallTabular();
  config.coupling = CouplingKind::kSpline;
  config.bins = 4;
  return config;
}

FlowConfig SmallImage() {
  FlowConfig config;
  config.preprocessing = Preprocessing::kLogit;
  config.levels = 2;
  config.steps = 2;
  config.hidden = 5;
  return config;
}

void Shake(torch::nn::Module* module, double deviation) {
  const torch::NoGradGuard no_grad;
  for (torch::Tensor& p : module->parameters()) p.add_(torch::randn_like(p), deviation);
}

std::shared_ptr<FlowModel> ShakenModel(const FlowConfig& config, const DataSet& data) {
  std::shared_ptr<FlowModel> model = FlowModel::Create(config, data).value();
  const torch::Tensor some = torch::arange(std::min(data.rows(), kInitializationRows), torch::kInt64);
  model->Initialize(model->Preprocess(data.x.index_select(0, some)).y, ConditionsOf(data, some));
  Shake(model.get(), 0.15);
  model->eval();
  return model;
}

Conditions ConditionsOfAll(const DataSet& data) {
  return ConditionsOf(data, torch::arange(data.rows(), torch::kInt64));
}

torch::Tensor LogProbOfAll(FlowModel* model, const DataSet& data) {
  return model->LogProb(data.x, ConditionsOfAll(data));
}

double Largest(const torch::Tensor& t) { return t.numel() == 0 ? 0 : t.abs().max().item<double>(); }

double RelativeError(const torch::Tensor& a, const torch::Tensor& b) {
  const torch::Tensor expected = b.to(torch::kFloat64);
  return Largest((a.to(torch::kFloat64) - expected) / expected.abs().clamp_min(1));
}

ReferenceAnswers AskReference(const FlowSpec& spec, const torch::Tensor& x, const Conditions& conditions) {
  const ReferenceFlow reference(spec);
  std::vector<torch::Tensor> latents;
  std::vector<double> log_prob, first_log_det, magnitude;
  for (int64_t row = 0; row < x.size(0); ++row) {
    const std::vector<double> context =
        conditions.context.defined() ? ToVector(conditions.context[row]) : std::vector<double>();
    const int label =
        conditions.label.defined() ? static_cast<int>(conditions.label[row].item<int64_t>()) : -1;
    const ReferenceEncoding encoding = reference.Encode(ToVector(x[row]), context, label);
    latents.push_back(DoublesOf(encoding.latent));
    log_prob.push_back(encoding.log_prob);
    first_log_det.push_back(encoding.per_layer_log_det.at(0));
    magnitude.push_back(encoding.magnitude);
  }
  return {torch::stack(latents), DoublesOf(log_prob), DoublesOf(first_log_det), DoublesOf(magnitude)};
}

FlowSpec SpecOf(const Layer& layer, const EventShape& event, int64_t context_size) {
  FlowSpec spec;
  spec.event = event;
  spec.context_size = context_size;
  spec.layers = {layer};
  spec.base = StandardNormal{};
  return spec;
}

}  // namespace train
}  // namespace glowworm
