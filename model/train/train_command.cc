#include "model/train/train_command.h"

#include <ATen/Parallel.h>
#include <sys/stat.h>
#include <torch/cuda.h>
#include <torch/version.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "model/flow_file.h"
#include "model/train/atomic_file.h"
#include "model/train/evaluation.h"
#include "model/train/histogram.h"
#include "model/train/progress.h"
#include "model/train/publish.h"
#include "model/train/training.h"
#include "model/train/training_log.h"
#include "model/train/training_plot.h"

namespace glowworm {
namespace train {
namespace {

constexpr int64_t kMaxTrainRowsEvaluated = 10000;
constexpr size_t kMaxName = 256, kMaxDescription = 16 * 1024, kMaxEntry = 4096;  // bytes, of a flow file

// The files of one training.
struct Files {
  std::string flow, log, plot, checkpoint;
};

Files FilesIn(const std::string& folder) {
  return {folder + "/flow.safetensors", folder + "/training.jsonl", folder + "/training.svg",
          folder + "/training.checkpoint"};
}

// "name" of ".../name/1".
std::string NameOf(const Config& config) {
  if (!config.name.empty()) return config.name;
  const std::string whole = std::filesystem::absolute(config.out).lexically_normal().string();
  const std::vector<std::string> parts = absl::StrSplit(whole, '/', absl::SkipEmpty());
  return parts.size() >= 2 ? parts[parts.size() - 2] : "flow";
}

// What a flow file cannot hold is refused before the training, not after it.
absl::Status CheckTexts(const Config& config) {
  for (const auto& [flag, text, most] :
       {std::make_tuple("--name", NameOf(config), kMaxName),
        std::make_tuple("--description", config.description, kMaxDescription)}) {
    const bool control = std::any_of(text.begin(), text.end(), [](char c) { return absl::ascii_iscntrl(c); });
    if (!control && text.size() <= most) continue;
    return absl::InvalidArgumentError(
        absl::StrFormat("%s: expected at most %d bytes and no control characters", flag, most));
  }
  return absl::OkStatus();
}

// A failure of the output's, whatever the system calls it: not one of the training.
absl::Status OfOutput(const absl::Status& status) {
  if (status.ok()) return status;
  return absl::InvalidArgumentError(absl::StrCat("--out: ", status.message()));
}

// What an earlier training left is not written over.
absl::Status RefuseTaken(const Files& files, bool resume) {
  struct stat info;
  if (stat(files.flow.c_str(), &info) == 0) {
    return absl::AlreadyExistsError(
        "--out already has a flow.safetensors: a version is written once; expected the number of a new one");
  }
  if (!resume && stat(files.checkpoint.c_str(), &info) == 0) {
    return absl::AlreadyExistsError(
        "--out has the training.checkpoint of a training that did not finish: go on with --resume, or remove "
        "it to begin anew");
  }
  return absl::OkStatus();
}

absl::Status PrepareFolder(const std::string& folder) {
  const absl::Status made = MakeFolders(folder);
  return OfOutput(made.ok() ? CheckWritable(folder) : made);
}

absl::StatusOr<DataSplit> LoadData(const Config& config) {
  absl::StatusOr<DataSet> data = LoadDataSet(config.source);
  if (!data.ok()) return data.status();
  const auto load_other = [&](const std::string& path, DataSet* other) {
    DataSource source = config.source;
    source.data = path;
    source.context.clear();
    source.labels.clear();
    source.only_evaluated = true;
    absl::StatusOr<DataSet> loaded = LoadDataSet(source);
    if (!loaded.ok()) return loaded.status();
    *other = *std::move(loaded);
    return CheckSameKind(*data, *other);
  };
  // A part that has a file of its own is not cut from the data.
  absl::StatusOr<DataSplit> split =
      SplitRows(*data, config.validation.empty() ? config.train.validation_fraction : 0,
                config.test.empty() ? config.train.test_fraction : 0, config.train.seed);
  if (!split.ok()) return split.status();
  for (const auto& [path, part] :
       {std::make_pair(&config.validation, &split->validation), std::make_pair(&config.test, &split->test)}) {
    if (path->empty()) continue;
    const absl::Status status = load_other(*path, part);
    if (!status.ok()) return status;
  }
  return split;
}

const char* EndingText(Ending ending) {
  switch (ending) {
    case Ending::kAllEpochs:
      return "all epochs done";
    case Ending::kNoBetterValidation:
      return "no better validation";
    case Ending::kTimeIsUp:
      return "time is up";
    case Ending::kInterrupted:
      return "interrupted";
  }
  return "";
}

// Mean -log p and its standard error.
std::pair<double, double> MeanNats(FlowModel* model, const DataSet& data) {
  const torch::Tensor nats = -LogProbs(model, data, PixelNoise::kUniform);
  const double error =
      data.rows() > 1 ? nats.std().item<double>() / std::sqrt(static_cast<double>(data.rows())) : 0;
  return {nats.mean().item<double>(), error};
}

// As much of it as a flow file holds in an entry of its provenance.
std::string EntryText(std::string text) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return absl::ascii_iscntrl(c); }, ' ');
  if (text.size() <= kMaxEntry) return text;
  return absl::StrCat(text.substr(0, kMaxEntry - 3), "...");
}

std::map<std::string, std::string> Provenance(const Config& config, const DataSplit& data,
                                              const TrainingSummary& summary, const Console& console) {
  return {
      {"data", EntryText(data.train.name)},
      {"data_sha256", data.train.sha256},
      {"date", console.now_date()},
      {"flags", EntryText(Describe(config))},
      {"glowworm_version", GLOWWORM_VERSION},
      {"libtorch_version", TORCH_VERSION},
      {"test_log_likelihood", absl::StrFormat("%.6f", -summary.test_nats)},
      {"test_standard_error", absl::StrFormat("%.6f", summary.test_standard_error)},
      {"test_bits_per_dim", absl::StrFormat("%.6f", summary.test_bits_per_dim)},
      {"train_rows", absl::StrCat(data.train.rows())},
      {"validation_rows", absl::StrCat(data.validation.rows())},
      {"test_rows", absl::StrCat(data.test.rows())},
      {"columns", EntryText(absl::StrJoin(data.train.columns, ","))},
  };
}

// What the file's format cannot hold is found before the training, not after it.
absl::Status CheckServable(const Config& config, const DataSplit& data, const Console& console,
                           const FlowModel& model) {
  FlowSpec spec = model.Export();
  spec.name = NameOf(config);
  spec.description = config.description;
  spec.provenance = Provenance(config, data, TrainingSummary(), console);
  const absl::Status read = ParseFlowFile(SerializeFlow(spec)).status();
  if (read.ok()) return read;
  return absl::InvalidArgumentError(
      absl::StrCat("a file of this flow could not be served: ", read.message()));
}

// Begins or resumes. Nothing is drawn from the generator before.
absl::StatusOr<TrainingState> BeginOrResume(const Config& config, const DataSet& train,
                                            const std::string& checkpoint) {
  torch::manual_seed(config.train.seed);
  const torch::Device device = torch::cuda::is_available() ? torch::kCUDA : torch::kCPU;
  absl::StatusOr<TrainingState> state = Training::Begin(config, train, device);
  if (!state.ok() || !config.resume) return state;
  const absl::Status loaded = LoadCheckpoint(checkpoint, DescribeTraining(config, train), &*state);
  if (!loaded.ok()) return loaded;
  return state;
}

absl::Status Finish(const Config& config, const DataSplit& data, const Console& console, const Files& files,
                    TrainingSummary summary, FlowModel* model, TrainingLog* log) {
  const DataSet some =
      Rows(data.train, torch::arange(std::min(data.train.rows(), kMaxTrainRowsEvaluated), torch::kInt64));
  summary.train_nats = MeanNats(model, some).first;
  summary.validation_nats = MeanNats(model, data.validation).first;
  std::tie(summary.test_nats, summary.test_standard_error) = MeanNats(model, data.test);
  summary.test_bits_per_dim = summary.test_nats / std::log(2.0) / static_cast<double>(data.train.pixels);
  absl::StatusOr<Conditioning> conditioning = model->CheckConditioning(config.train.max_condition_number);
  if (!conditioning.ok()) return conditioning.status();
  summary.conditioning = *std::move(conditioning);
  summary.name = NameOf(config);
  summary.out = files.flow;
  summary.parameters = model->ParameterCount();
  model->to(torch::kCPU);
  absl::StatusOr<Published> published =
      Publish(model, {&data.validation, &data.test}, summary.name, config.description,
              Provenance(config, data, summary, console), files.flow);
  if (!published.ok()) return published.status();
  summary.test_disagreement = published->disagreement;
  const absl::Status logged = log->Write(summary);
  if (!logged.ok()) return logged;
  unlink(files.checkpoint.c_str());
  std::fputs(SummaryText(summary).c_str(), console.out);
  std::vector<double> shown = published->log_likelihood;
  shown.resize(static_cast<size_t>(published->rows[0]));  // those of validation
  std::fputs(HistogramText(shown, "log p of validation rows, nats").c_str(), console.out);
  std::fflush(console.out);
  return absl::OkStatus();
}

absl::Status Run(const Config& config, const Console& console) {
  const Files files = FilesIn(config.out);
  absl::Status status = CheckTexts(config);
  if (status.ok()) status = RefuseTaken(files, config.resume);
  if (!status.ok()) return status;
  absl::StatusOr<DataSplit> data = LoadData(config);
  if (!data.ok()) return data.status();
  if (config.train.threads > 0) at::set_num_threads(config.train.threads);

  absl::StatusOr<TrainingState> state = BeginOrResume(config, data->train, files.checkpoint);
  if (!state.ok()) return state.status();
  status = CheckServable(config, *data, console, *state->model);
  if (!status.ok()) return status;
  status = PrepareFolder(config.out);  // not before all else is known to be good: nothing is left behind
  if (!status.ok()) return status;
  status = RefuseTaken(files, config.resume);  // by a training that ended while the data were read
  if (!status.ok()) return status;
  absl::StatusOr<std::unique_ptr<TrainingLog>> log = TrainingLog::Open(files.log, config.resume);
  if (!log.ok()) return OfOutput(log.status());
  std::vector<EpochRecord> epochs;
  if (config.resume) epochs = ReadEpochs(files.log);
  absl::FPrintF(console.out,
                "%s: %d rows to train on, %d to validate, %d to test; %d features, %d parameters\n",
                data->train.name, data->train.rows(), data->validation.rows(), data->test.rows(),
                data->train.event.size(), state->model->ParameterCount());
  std::fflush(console.out);

  Progress progress(console.out, console.terminal);
  Surroundings surroundings;
  surroundings.now_seconds = console.now_seconds;
  surroundings.stop_requested = console.stop_requested;
  surroundings.checkpoint = files.checkpoint;
  surroundings.on_step = [&](int64_t rows_done, int64_t rows, double mean_nats, double rows_per_second,
                             double seconds_left) {
    progress.OnStep(
        {state->epoch, config.train.epochs, rows_done, rows, mean_nats, rows_per_second, seconds_left},
        console.now_seconds());
  };
  surroundings.on_epoch = [&](const EpochRecord& record) {
    epochs.push_back(record);
    progress.OnEpoch(record, config.train.epochs);
    const absl::Status logged = (*log)->Write(record);
    if (!logged.ok()) return logged;
    return WriteWhole(files.plot, TrainingCurvesSvg(NameOf(config), epochs));
  };
  Training training(config, &*data, surroundings, &*state);
  absl::StatusOr<Ending> ending = training.Run();
  if (!ending.ok()) return ending.status();
  if (*ending == Ending::kInterrupted) {
    return absl::CancelledError(
        absl::StrFormat("stopped in epoch %d, step %d; the checkpoint is saved, go on with --resume",
                        state->epoch, state->step));
  }
  training.RestoreBest();
  TrainingSummary summary;
  summary.stopped_because = EndingText(*ending);
  summary.epochs = state->epoch;
  summary.best_epoch = state->best_epoch;
  summary.steps = state->step;
  summary.seconds = state->seconds;
  return Finish(config, *data, console, files, std::move(summary), state->model.get(), log->get());
}

}  // namespace

absl::Status TrainCommand(const Config& config, const Console& console) {
  try {
    return Run(config, console);
  } catch (const std::bad_alloc&) {
    return absl::ResourceExhaustedError("not enough memory for these rows and this flow");
  } catch (const std::exception& error) {  // libtorch's, of which every operation may throw
    const std::string text = error.what();
    return absl::InternalError(absl::StrCat("libtorch: ", text.substr(0, text.find('\n'))));
  }
}

}  // namespace train
}  // namespace glowworm
