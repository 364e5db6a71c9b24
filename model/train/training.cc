#include "model/train/training.h"

#include <torch/nn/utils/clip_grad.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "model/train/evaluation.h"

namespace glowworm {
namespace train {
namespace {

constexpr double kPi = 3.14159265358979323846;
constexpr int64_t kInitializationRows = 1024;
constexpr double kNoClip = 1e30;  // a float32 number: libtorch refuses larger ones

// A batch as the flow's layers take it.
struct Batch {
  torch::Tensor features, log_det;
  Conditions conditions;
};

Batch MakeBatch(const FlowModel& model, const DataSet& data, const torch::Tensor& index) {
  const torch::Tensor x = Dequantize(data, data.x.index_select(0, index));
  const LayerOutput features = model.Preprocess(x.to(model.device()));
  return {features.y, features.log_det, ConditionsOf(data, index, model.device())};
}

}  // namespace

double LearningRateShare(double fraction, double warmup, double risen) {
  const double fallen = (fraction - warmup) / std::max(1e-12, 1 - warmup);
  return std::min(1.0, risen) * 0.5 * (1 + std::cos(kPi * std::min(1.0, std::max(0.0, fallen))));
}

std::string DescribeTraining(const Config& config, const DataSet& train) {
  return absl::StrCat(Describe(config), " rows=", train.rows(), " data_sha256=", train.sha256);
}

absl::StatusOr<TrainingState> Training::Begin(const Config& config, const DataSet& train,
                                              torch::Device device) {
  TrainingState state;
  absl::StatusOr<std::shared_ptr<FlowModel>> model = FlowModel::Create(config.flow, train);
  if (!model.ok()) return model.status();
  state.model = *std::move(model);
  state.model->to(device);
  state.optimizer = MakeOptimizer(*state.model, config.train);
  return state;
}

Training::Training(const Config& config, const DataSplit* data, const Surroundings& surroundings,
                   TrainingState* state)
    : config_(config), data_(data), surroundings_(surroundings), state_(state) {}

bool Training::TimeIsUp() const {
  return config_.train.max_minutes > 0 && Seconds() >= 60 * config_.train.max_minutes;
}

double Training::StepsAnEpoch() const {
  return static_cast<double>((rows() + config_.train.batch - 1) / config_.train.batch);
}

double Training::Risen() const {
  const double steps = config_.train.warmup_epochs * StepsAnEpoch();
  return std::min(1.0, static_cast<double>(state_->step + 1) / std::max(1.0, steps));
}

double Training::Fraction() const {
  const double by_steps =
      static_cast<double>(state_->step) / (static_cast<double>(config_.train.epochs) * StepsAnEpoch());
  const double by_time = config_.train.max_minutes > 0 ? Seconds() / (60 * config_.train.max_minutes) : 0;
  return std::min(1.0, std::max(by_steps, by_time));
}

bool Training::PatienceIsOver() const {
  return config_.train.patience > 0 && state_->epoch - state_->best_epoch >= config_.train.patience;
}

void Training::InitializeLayers() {
  const torch::Tensor index =
      torch::randperm(rows(), torch::kInt64).narrow(0, 0, std::min(rows(), kInitializationRows));
  const Batch batch = MakeBatch(*state_->model, data_->train, index);
  state_->model->Initialize(batch.features, batch.conditions);
}

void Training::BeginEpoch() {
  if (state_->epoch == 0) InitializeLayers();
  ++state_->epoch;
  state_->order = torch::randperm(rows(), torch::kInt64);
  state_->position = state_->epoch_steps = 0;
  state_->sum_nats = state_->sum_gradient_norm = 0;
}

absl::Status Training::BlownUp(const std::string& what) const {
  const char* const left =
      state_->best.empty() ? "no epoch was complete" : "the checkpoint of the last good epoch is kept";
  return absl::FailedPreconditionError(
      absl::StrFormat("training blew up in epoch %d, step %d: %s; %s, and a smaller --learning_rate may help",
                      state_->epoch, state_->step + 1, what, left));
}

absl::Status Training::Step() {
  FlowModel& model = *state_->model;
  const int64_t count = std::min(config_.train.batch, rows() - state_->position);
  Batch batch = MakeBatch(model, data_->train, state_->order.narrow(0, state_->position, count));
  if (config_.train.noise > 0) {
    batch.features = batch.features + config_.train.noise * torch::randn_like(batch.features);
  }
  const double fraction = Fraction();
  const double warmup = config_.train.warmup_epochs / static_cast<double>(config_.train.epochs);
  const double rate = config_.train.learning_rate * LearningRateShare(fraction, warmup, Risen());
  for (torch::optim::OptimizerParamGroup& group : state_->optimizer->param_groups()) {
    group.options().set_lr(rate);
  }
  model.SetProgress(fraction);

  state_->optimizer->zero_grad();
  const torch::Tensor log_prob = batch.log_det + model.LogProbOfFeatures(batch.features, batch.conditions);
  const torch::Tensor loss = -log_prob.mean();
  const double nats = loss.item<double>();
  if (!std::isfinite(nats)) {
    const std::string layer = model.FirstNonFinite(batch.features, batch.conditions);
    return BlownUp(
        absl::StrCat("the answer of ", layer.empty() ? "the preprocessing" : layer, " is not finite"));
  }
  loss.backward();
  const double norm = torch::nn::utils::clip_grad_norm_(
      model.parameters(), config_.train.clip > 0 ? config_.train.clip : kNoClip);
  if (!std::isfinite(norm)) {
    return BlownUp(absl::StrCat("the gradient of ", model.FirstNonFiniteGradient(), " is not finite"));
  }
  state_->optimizer->step();
  ++state_->step;
  if (config_.train.normalize_s_every > 0 && state_->step % config_.train.normalize_s_every == 0) {
    model.NormalizeScales();
  }
  state_->position += count;
  state_->sum_nats += nats * static_cast<double>(count);
  state_->sum_gradient_norm += norm;
  ++state_->epoch_steps;
  return absl::OkStatus();
}

std::string Training::WhyNotFinite(const torch::Tensor& log_probs) const {
  const int64_t row = torch::isfinite(log_probs).to(torch::kInt64).argmin().item<int64_t>();
  torch::NoGradGuard no_grad;
  state_->model->eval();
  const Batch batch = MakeBatch(*state_->model, data_->validation, torch::tensor({row}, torch::kInt64));
  const std::string where = state_->model->FirstNonFinite(batch.features, batch.conditions);
  state_->model->train();
  return absl::StrCat("log p of validation row ", row + 1, " is not finite",
                      where.empty() ? "" : absl::StrCat(", nor is the answer of ", where));
}

absl::Status Training::EndEpoch() {
  absl::StatusOr<Conditioning> conditioning =
      state_->model->CheckConditioning(config_.train.max_condition_number);
  if (!conditioning.ok()) return BlownUp(std::string(conditioning.status().message()));
  EpochRecord record;
  record.conditioning = *std::move(conditioning);
  record.epoch = state_->epoch;
  record.step = state_->step;
  record.train_nats =
      state_->sum_nats / static_cast<double>(state_->position);  // time may be up before rows()
  const torch::Tensor log_probs = LogProbs(state_->model.get(), data_->validation, PixelNoise::kUniform);
  record.validation_nats = -log_probs.mean().item<double>();
  if (!std::isfinite(record.validation_nats)) return BlownUp(WhyNotFinite(log_probs));
  record.validation_bits_per_dim =
      record.validation_nats / std::log(2.0) / static_cast<double>(data_->train.pixels);
  record.learning_rate =
      static_cast<const torch::optim::AdamWOptions&>(state_->optimizer->param_groups()[0].options()).lr();
  record.gradient_norm = state_->sum_gradient_norm / static_cast<double>(state_->epoch_steps);
  record.best = state_->best.empty() || record.validation_nats < state_->best_nats;
  record.rows_per_second = static_cast<double>(state_->position - epoch_first_row_) /
                           std::max(1e-9, surroundings_.now_seconds() - epoch_begun_);
  record.seconds = Seconds();
  if (record.best) {
    state_->best_nats = record.validation_nats;
    state_->best_epoch = state_->epoch;
    state_->best.clear();
    for (const torch::Tensor& tensor : StateTensors(*state_->model)) {
      state_->best.push_back(tensor.detach().clone());
    }
  }
  const absl::Status told = surroundings_.on_epoch(record);
  if (!told.ok()) return told;
  return Save();
}

absl::Status Training::Save() {
  if (surroundings_.checkpoint.empty()) return absl::OkStatus();
  const double now = surroundings_.now_seconds();
  state_->seconds += now - begun_;
  begun_ = now;
  return SaveCheckpoint(surroundings_.checkpoint, DescribeTraining(config_, data_->train), *state_);
}

absl::StatusOr<Ending> Training::Run() {
  begun_ = surroundings_.now_seconds();
  state_->model->train();
  while (true) {
    const bool between = state_->epoch == 0 || state_->position == rows();
    if (between && state_->epoch > 0) {
      if (state_->epoch >= config_.train.epochs) return Ending::kAllEpochs;
      if (PatienceIsOver()) return Ending::kNoBetterValidation;
      if (TimeIsUp()) return Ending::kTimeIsUp;
    }
    if (between) BeginEpoch();
    epoch_begun_ = surroundings_.now_seconds();
    epoch_first_row_ = state_->position;
    // At least one step an epoch, however little time there is: its means are over what was done.
    while (state_->position < rows() && (state_->epoch_steps == 0 || !TimeIsUp())) {
      const absl::Status status = Step();
      if (!status.ok()) return status;
      const double elapsed = std::max(1e-9, surroundings_.now_seconds() - epoch_begun_);
      const double fraction = Fraction();
      surroundings_.on_step(state_->position, rows(),
                            state_->sum_nats / static_cast<double>(state_->position),
                            static_cast<double>(state_->position - epoch_first_row_) / elapsed,
                            fraction > 0 ? Seconds() * (1 - fraction) / fraction : -1);
      if (state_->position < rows() && surroundings_.stop_requested()) {
        const absl::Status saved = Save();
        if (!saved.ok()) return saved;
        return Ending::kInterrupted;
      }
    }
    const absl::Status status = EndEpoch();
    if (!status.ok()) return status;
    if (surroundings_.stop_requested()) return Ending::kInterrupted;
    if (TimeIsUp()) return Ending::kTimeIsUp;
  }
}

void Training::RestoreBest() {
  torch::NoGradGuard no_grad;
  const std::vector<torch::Tensor> tensors = StateTensors(*state_->model);
  for (size_t i = 0; i < tensors.size(); ++i) torch::Tensor(tensors[i]).copy_(state_->best[i]);
}

}  // namespace train
}  // namespace glowworm
