// Config: everything that a training can be told, with its presets. Plain values; model/train/flags.h reads
// them from the command line. Tested by tests/model/train/config_test.cc.

#ifndef GLOWWORM_MODEL_TRAIN_CONFIG_H_
#define GLOWWORM_MODEL_TRAIN_CONFIG_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model/train/data_set.h"
#include "model/train/linear_layer.h"

namespace glowworm {
namespace train {

enum class CouplingKind { kAffine, kSpline };
enum class Preprocessing { kStandardize, kLogit, kScale };

// The flow's architecture. Tables: preprocessing, then `steps` steps. Images: preprocessing, then `levels`
// times squeeze, `steps` steps and, but for the last level, a split that emits half of the channels. A step:
// actnorm, linear, coupling.
struct FlowConfig {
  // Tables: kStandardize. Images: kLogit, u = alpha + (1 - 2 alpha) (x + 1/2) / 256, y = log u - log(1 - u),
  // or kScale, y = (x + 1/2) / 256 - 1/2.
  Preprocessing preprocessing = Preprocessing::kStandardize;
  double logit_alpha = 0.05;
  int64_t levels = 1;
  int64_t steps = 8;
  LinearOptions linear;
  CouplingKind coupling = CouplingKind::kAffine;
  ScaleMap scale_map = ScaleMap::kSigmoid;  // of affine couplings: kSigmoid or kAtanExp
  int64_t hidden = 64;                      // width of the conditioners
  int64_t blocks = 2;                       // residual blocks of a table's conditioner
  double dropout = 0;                       // in those blocks
  int64_t bins = 8;                         // of splines
  double tail_bound = 4;
};

// How it is trained.
struct TrainConfig {
  int64_t epochs = 100;
  int64_t batch = 256;
  double learning_rate = 1e-3;
  double warmup_epochs = 1;       // the rate rises linearly over these, then falls on a half cosine to 0
  double weight_decay = 0;        // decoupled, of the conditioners' weights
  double clip = 5;                // largest norm of a step's gradient; 0: any
  double noise = 0;               // standard deviation of noise added to standardised features in training
  int64_t patience = 20;          // epochs without a better validation before it stops; 0: never
  double max_minutes = 0;         // 0: no limit; the schedule ends by then, amid an epoch if need be
  int64_t normalize_s_every = 0;  // steps; 0: never
  double max_condition_number = 1e6;
  double validation_fraction = 0.1, test_fraction = 0.1;
  uint64_t seed = 0;
  int threads = 0;  // 0: as many as libtorch takes
};

struct Config {
  std::string preset;
  DataSource source;
  std::string validation, test;   // files like source.data; empty: cut from it
  std::string out;                // folder of the version: <repository>/<name>/<version>
  std::string name, description;  // of the flow; an empty name: that of the folder above `out`
  bool resume = false;
  FlowConfig flow;
  TrainConfig train;
};

// "tabular-glow", "tabular-nsf", "image-glow" or "image-glow-small"; InvalidArgument names these otherwise.
absl::StatusOr<Config> Preset(absl::string_view name);

// InvalidArgument says which value is out of its range.
absl::Status Check(const Config& config);

// What decides the result, "preset=tabular-glow steps=8 ...", without paths: for provenance, and to refuse to
// resume a training of another shape.
std::string Describe(const Config& config);

}  // namespace train
}  // namespace glowworm

#endif  // GLOWWORM_MODEL_TRAIN_CONFIG_H_
