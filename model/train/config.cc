#include "model/train/config.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace glowworm {
namespace train {
namespace {

constexpr int64_t kMaxLevels = 8, kMaxSteps = 256, kMaxHidden = 8192, kMaxBlocks = 64, kMaxBins = 256;
constexpr int64_t kMaxEpochs = 1000000, kMaxBatch = 1 << 20, kMaxPad = 64;

absl::Status Outside(absl::string_view flag, absl::string_view expected, double value) {
  return absl::InvalidArgumentError(absl::StrFormat("--%s: expected %s, got %.12g", flag, expected, value));
}

absl::Status Within(absl::string_view flag, double value, double low, double high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return Outside(flag, absl::StrFormat("%.12g to %.12g", low, high), value);
}

absl::Status CheckFlow(const FlowConfig& flow) {
  for (const absl::Status& status :
       {Within("levels", static_cast<double>(flow.levels), 1, kMaxLevels),
        Within("steps", static_cast<double>(flow.steps), 1, kMaxSteps),
        Within("hidden", static_cast<double>(flow.hidden), 1, kMaxHidden),
        Within("blocks", static_cast<double>(flow.blocks), 0, kMaxBlocks),
        Within("dropout", flow.dropout, 0, 0.9), Within("bins", static_cast<double>(flow.bins), 2, kMaxBins),
        Within("tail_bound", flow.tail_bound, 0.1, 1000),
        Within("logit_alpha", flow.logit_alpha, 1e-6, 0.49)}) {
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

absl::Status CheckTraining(const TrainConfig& train) {
  for (const absl::Status& status :
       {Within("epochs", static_cast<double>(train.epochs), 1, kMaxEpochs),
        Within("batch", static_cast<double>(train.batch), 2, kMaxBatch),
        Within("learning_rate", train.learning_rate, 1e-9, 1),
        Within("warmup_epochs", train.warmup_epochs, 0, kMaxEpochs),
        Within("weight_decay", train.weight_decay, 0, 1), Within("clip", train.clip, 0, 1e12),
        Within("noise", train.noise, 0, 10),
        Within("patience", static_cast<double>(train.patience), 0, kMaxEpochs),
        Within("max_minutes", train.max_minutes, 0, 1e6),
        Within("normalize_s_every", static_cast<double>(train.normalize_s_every), 0, 1e9),
        Within("max_condition_number", train.max_condition_number, 1, 1e6),
        Within("validation_fraction", train.validation_fraction, 1e-6, 0.9),
        Within("test_fraction", train.test_fraction, 1e-6, 0.9), Within("threads", train.threads, 0, 1024)}) {
    if (!status.ok()) return status;
  }
  if (train.validation_fraction + train.test_fraction > 0.95) {
    return Outside("validation_fraction", "it and --test_fraction together at most 0.95",
                   train.validation_fraction + train.test_fraction);
  }
  return absl::OkStatus();
}

const char* LinearName(LinearKind kind) {
  switch (kind) {
    case LinearKind::kPlu:
      return "plu";
    case LinearKind::kQr:
      return "qr";
    case LinearKind::kFull:
      return "full";
    case LinearKind::kLearnedPermutation:
      return "learned-permutation";
  }
  return "";
}

const char* PreprocessingName(Preprocessing preprocessing) {
  switch (preprocessing) {
    case Preprocessing::kStandardize:
      return "standardize";
    case Preprocessing::kLogit:
      return "logit";
    case Preprocessing::kScale:
      return "scale";
  }
  return "";
}

void ImageDefaults(Config* config) {
  config->flow.preprocessing = Preprocessing::kLogit;
  config->flow.levels = 3;
  config->flow.scale_map = ScaleMap::kAtanExp;
  config->train.batch = 64;
  config->train.clip = 50;
}

}  // namespace

absl::StatusOr<Config> Preset(absl::string_view name) {
  Config config;
  config.preset = std::string(name);
  if (name == "tabular-glow") return config;
  if (name == "tabular-nsf") {
    config.flow.coupling = CouplingKind::kSpline;
    config.flow.steps = 5;
    return config;
  }
  if (name == "image-glow") {
    ImageDefaults(&config);
    config.flow.steps = 16;
    config.flow.hidden = 256;
    return config;
  }
  if (name == "image-glow-small") {
    ImageDefaults(&config);
    config.flow.steps = 8;
    config.flow.hidden = 64;
    // Sized for an hour on two cores and sixty thousand images of 32x32: small batches make the most of few
    // epochs.
    config.train.epochs = 10;
    config.train.batch = 32;
    config.train.learning_rate = 1.5e-3;
    config.train.warmup_epochs = 0.3;
    return config;
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "--preset: expected tabular-glow, tabular-nsf, image-glow or image-glow-small, got \"", name, "\""));
}

absl::Status Check(const Config& config) {
  if (config.source.data.empty()) return absl::InvalidArgumentError("--data: expected a file to train on");
  if (config.out.empty()) {
    return absl::InvalidArgumentError("--out: expected the folder of a version, for example models/mine/1");
  }
  if (config.source.pad < 0 || config.source.pad > kMaxPad) {
    return Outside("pad", absl::StrCat("0 to ", kMaxPad), static_cast<double>(config.source.pad));
  }
  absl::Status status = CheckFlow(config.flow);
  if (status.ok()) status = CheckTraining(config.train);
  return status;
}

std::string Describe(const Config& config) {
  const FlowConfig& f = config.flow;
  const TrainConfig& t = config.train;
  std::string text = absl::StrFormat(
      "preset=%s preprocessing=%s levels=%d steps=%d linear=%s scale=%s init=%s coupling=%s scale_map=%s "
      "hidden=%d blocks=%d dropout=%.15g",
      config.preset, PreprocessingName(f.preprocessing), f.levels, f.steps, LinearName(f.linear.kind),
      f.linear.diagonal_map == DiagonalMap::kExp ? "exp" : "softplus",
      f.linear.init == LinearInit::kRotation ? "rotation" : "identity",
      f.coupling == CouplingKind::kAffine ? "affine" : "spline",
      f.scale_map == ScaleMap::kSigmoid ? "sigmoid" : "atan", f.hidden, f.blocks, f.dropout);
  if (f.preprocessing == Preprocessing::kLogit) {
    absl::StrAppendFormat(&text, " logit_alpha=%.15g", f.logit_alpha);
  }
  if (f.coupling == CouplingKind::kSpline) {
    absl::StrAppendFormat(&text, " bins=%d tail_bound=%.15g", f.bins, f.tail_bound);
  }
  absl::StrAppendFormat(
      &text,
      " epochs=%d batch=%d learning_rate=%.15g warmup_epochs=%.15g weight_decay=%.15g clip=%.15g noise=%.15g "
      "patience=%d max_minutes=%.15g normalize_s_every=%d max_condition_number=%.15g "
      "validation_fraction=%.15g test_fraction=%.15g seed=%d pad=%d",
      t.epochs, t.batch, t.learning_rate, t.warmup_epochs, t.weight_decay, t.clip, t.noise, t.patience,
      t.max_minutes, t.normalize_s_every, t.max_condition_number, t.validation_fraction, t.test_fraction,
      t.seed, config.source.pad);
  if (config.source.header != TableHeader::kDetect) {
    absl::StrAppend(&text, " header=", config.source.header == TableHeader::kYes ? "yes" : "no");
  }
  for (const auto& [name, columns] : {std::make_pair("columns", &config.source.columns),
                                      std::make_pair("context_columns", &config.source.context_columns),
                                      std::make_pair("label_column", &config.source.label_column)}) {
    if (!columns->empty()) absl::StrAppend(&text, " ", name, "=", *columns);
  }
  return text;
}

}  // namespace train
}  // namespace glowworm
