#include "model/train/flags.h"

#include <algorithm>
#include <fstream>
#include <functional>
#include <limits>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "client/command/flags.h"

namespace glowworm {
namespace train {
namespace {

using client::FlagKind;
using client::Flags;
using client::FlagSpec;

// The names that a flag's value may have; the position is the value.
const std::vector<std::string> kHeaders = {"auto", "yes", "no"};
const std::vector<std::string> kLinears = {"plu", "qr", "full", "learned-permutation"};
const std::vector<std::string> kScales = {"exp", "softplus"};
const std::vector<std::string> kInits = {"rotation", "identity"};
const std::vector<std::string> kCouplings = {"affine", "spline"};
const std::vector<std::string> kPreprocessings = {"standardize", "logit", "scale"};

// One flag: how it is written, and where it goes.
struct Option {
  FlagSpec spec;
  std::function<absl::Status(const Flags&, Config*)> apply;
};

template <typename T>
Option Text(const char* name, const char* value, const char* help, T field) {
  return {{name, FlagKind::kText, value, help}, [=](const Flags& flags, Config* config) {
            field(config) = flags.Text(name);
            return absl::OkStatus();
          }};
}

template <typename T>
Option Integer(const char* name, const char* help, T field) {
  return {{name, FlagKind::kIndex, "N", help}, [=](const Flags& flags, Config* config) {
            auto& value = field(config);
            using Value = std::decay_t<decltype(value)>;
            // Check() refuses what was too large for the field: no range ends at its largest number.
            constexpr auto kLargest = static_cast<uint64_t>(std::numeric_limits<Value>::max());
            value = static_cast<Value>(std::min(*flags.Index(name), kLargest));
            return absl::OkStatus();
          }};
}

template <typename T>
Option Number(const char* name, const char* help, T field) {
  return {{name, FlagKind::kNumber, "X", help}, [=](const Flags& flags, Config* config) {
            field(config) = *flags.Number(name);
            return absl::OkStatus();
          }};
}

template <typename T>
Option Choice(const char* name, const char* value, const char* help, const std::vector<std::string>* names,
              T field) {
  return {{name, FlagKind::kText, value, help}, [=](const Flags& flags, Config* config) {
            const std::string text = flags.Text(name);
            const auto at = std::find(names->begin(), names->end(), text);
            if (at == names->end()) {
              return absl::InvalidArgumentError(
                  absl::StrFormat("--%s: expected %s, got \"%s\"", name, value, text));
            }
            auto& choice = field(config);
            choice = static_cast<std::decay_t<decltype(choice)>>(at - names->begin());
            return absl::OkStatus();
          }};
}

#define FIELD(member) \
  [](Config * config) -> auto& { return config->member; }

const std::vector<Option>& Options() {
  static const auto* options = new std::vector<Option>{
      Text("data", "FILE", "rows to train on: .npy, .csv or IDX, each also .gz", FIELD(source.data)),
      Text("validation", "FILE", "rows to validate on; without it, cut from --data", FIELD(validation)),
      Text("test", "FILE", "rows to test on; without it, cut from --data", FIELD(test)),
      Text("out", "FOLDER", "the version to write: REPOSITORY/NAME/1", FIELD(out)),
      Text("name", "TEXT", "the flow's name; without it, that of --out", FIELD(name)),
      Text("description", "TEXT", "what the flow is of, for its users", FIELD(description)),
      Choice("header", "auto|yes|no", "whether a CSV's first row has names [auto]", &kHeaders,
             FIELD(source.header)),
      Text("columns", "LIST",
           "features of a table, by name or number: age,3,7-9 [all that nothing else takes]",
           FIELD(source.columns)),
      Text("context_columns", "LIST", "columns the density is conditioned on", FIELD(source.context_columns)),
      Text("label_column", "COLUMN", "the class, 0 to K-1", FIELD(source.label_column)),
      Text("context", "FILE", "context of each row of --data", FIELD(source.context)),
      Text("labels", "FILE", "class of each row of --data", FIELD(source.labels)),
      Integer("pad", "black pixels added on each side of an image [0]", FIELD(source.pad)),
      Choice("preprocessing", "standardize|logit|scale", "of tables standardize; of images logit or scale",
             &kPreprocessings, FIELD(flow.preprocessing)),
      Number("logit_alpha", "pixels are moved from [0, 1] into [alpha, 1 - alpha] [0.05]",
             FIELD(flow.logit_alpha)),
      Integer("levels", "of an image flow: each halves height and width [3]", FIELD(flow.levels)),
      Integer("steps", "actnorm, linear, coupling: how often, in a level", FIELD(flow.steps)),
      Choice("linear", "plu|qr|full|learned-permutation", "the invertible linear layer [plu]", &kLinears,
             FIELD(flow.linear.kind)),
      Choice("scale", "exp|softplus", "s > 0 of plu and qr, from a free number [exp]", &kScales,
             FIELD(flow.linear.diagonal_map)),
      Choice("init", "rotation|identity", "where W starts [rotation]", &kInits, FIELD(flow.linear.init)),
      Choice("coupling", "affine|spline", "spline: tables only", &kCouplings, FIELD(flow.coupling)),
      Option{{"scale_map", FlagKind::kText, "sigmoid|atan",
              "scale of affine couplings: contracts only, or both ways"},
             [](const Flags& flags, Config* config) {
               const std::string text = flags.Text("scale_map");
               if (text != "sigmoid" && text != "atan") {
                 return absl::InvalidArgumentError(
                     absl::StrCat("--scale_map: expected sigmoid|atan, got \"", text, "\""));
               }
               config->flow.scale_map = text == "sigmoid" ? ScaleMap::kSigmoid : ScaleMap::kAtanExp;
               return absl::OkStatus();
             }},
      Integer("hidden", "width of the conditioner networks", FIELD(flow.hidden)),
      Integer("blocks", "residual blocks of a table's conditioner", FIELD(flow.blocks)),
      Number("dropout", "in these blocks", FIELD(flow.dropout)),
      Integer("bins", "of a spline", FIELD(flow.bins)),
      Number("tail_bound", "splines end at plus and minus this many deviations", FIELD(flow.tail_bound)),
      Integer("epochs", "at most", FIELD(train.epochs)),
      Integer("batch", "rows a step", FIELD(train.batch)),
      Number("learning_rate", "the highest, of Adam", FIELD(train.learning_rate)),
      Number("warmup_epochs", "over which the rate rises; then it falls on a cosine",
             FIELD(train.warmup_epochs)),
      Number("weight_decay", "of conditioner weights", FIELD(train.weight_decay)),
      Number("clip", "largest norm of a step's gradient; 0: any", FIELD(train.clip)),
      Number("noise", "deviation of noise added to features while training", FIELD(train.noise)),
      Integer("patience", "epochs without a better validation before it stops; 0: never",
              FIELD(train.patience)),
      Number("max_minutes",
             "the schedule ends by then; 0: no limit. Such a run cannot be repeated bit by bit",
             FIELD(train.max_minutes)),
      Integer("normalize_s_every", "steps between moves of mean log s into the actnorm; 0: never",
              FIELD(train.normalize_s_every)),
      Number("max_condition_number", "training stops above it", FIELD(train.max_condition_number)),
      Number("validation_fraction", "of --data, for validation", FIELD(train.validation_fraction)),
      Number("test_fraction", "of --data, for the test", FIELD(train.test_fraction)),
      Integer("seed", "of everything that is drawn", FIELD(train.seed)),
      Integer("threads", "of libtorch; 0: as many as it takes", FIELD(train.threads)),
  };
  return *options;
}

#undef FIELD

std::vector<FlagSpec> Specs() {
  std::vector<FlagSpec> specs = {
      {"preset", FlagKind::kText, "NAME",
       "tabular-glow, tabular-nsf, image-glow or image-glow-small [tabular-glow]"},
      {"config", FlagKind::kText, "FILE", "flags in a file, a line each: name = value"},
      {"resume", FlagKind::kSwitch, "", "go on from the checkpoint in --out"},
  };
  for (const Option& option : Options()) specs.push_back(option.spec);
  return specs;
}

absl::StatusOr<Flags> ReadFile(const std::string& path) {
  std::ifstream file(path);
  if (!file) return absl::InvalidArgumentError("--config: the file cannot be read");
  std::vector<std::string> arguments;
  int number = 0;
  for (std::string line; std::getline(file, line);) {
    ++number;
    line = std::string(absl::StripAsciiWhitespace(line.substr(0, line.find('#'))));
    if (line.empty()) continue;
    const std::vector<std::string> field = absl::StrSplit(line, absl::MaxSplits('=', 1));
    if (field.size() != 2) {
      return absl::InvalidArgumentError(
          absl::StrFormat("--config: line %d: expected name = value, got \"%s\"", number, line));
    }
    arguments.push_back(
        absl::StrCat("--", absl::StripAsciiWhitespace(field[0]), "=", absl::StripAsciiWhitespace(field[1])));
  }
  if (file.bad()) return absl::InvalidArgumentError("--config: the file cannot be read");
  absl::StatusOr<Flags> flags = Flags::Parse(arguments, Specs());
  if (flags.ok() && flags->Has("config")) {
    return absl::InvalidArgumentError("--config: a config file names no other config file");
  }
  return flags;
}

absl::Status Apply(const Flags& flags, Config* config) {
  for (const Option& option : Options()) {
    if (!flags.Has(option.spec.name)) continue;
    const absl::Status status = option.apply(flags, config);
    if (!status.ok()) return status;
  }
  if (flags.Has("resume")) config->resume = flags.Switch("resume");
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Config> ReadConfig(const std::vector<std::string>& arguments) {
  absl::StatusOr<Flags> line = Flags::Parse(arguments, Specs());
  if (!line.ok()) return line.status();
  std::vector<Flags> layers;
  if (line->Has("config")) {
    absl::StatusOr<Flags> file = ReadFile(line->Text("config"));
    if (!file.ok()) return file.status();
    layers.push_back(*std::move(file));
  }
  layers.push_back(*std::move(line));
  std::string preset = "tabular-glow";
  for (const Flags& flags : layers) preset = flags.Text("preset", preset);
  absl::StatusOr<Config> config = Preset(preset);
  if (!config.ok()) return config;
  for (const Flags& flags : layers) {
    const absl::Status status = Apply(flags, &*config);
    if (!status.ok()) return status;
  }
  const absl::Status status = Check(*config);
  if (!status.ok()) return status;
  return config;
}

std::string HelpText() {
  std::string text =
      "Trains a normalizing flow and writes a file that glowworm-server serves.\n\n"
      "  glowworm-train --data=rows.npy --out=models/mine/1\n\n"
      "Presets set what is not given; brackets hold other defaults.\n\n";
  for (const FlagSpec& spec : Specs()) {
    const std::string flag = spec.kind == FlagKind::kSwitch ? absl::StrCat("--", spec.name)
                                                            : absl::StrCat("--", spec.name, "=", spec.value);
    absl::StrAppendFormat(&text, "  %-32s %s\n", flag, spec.help);
  }
  return text;
}

}  // namespace train
}  // namespace glowworm
