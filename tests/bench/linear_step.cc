// glowworm-linear-step: the processor time of one training step of each kind of linear layer, and of its
// log-determinant with its gradient alone. For tests/bench/train_linear.py. Tested by
// tests/bench/train_smoke_test.py.

#include <ATen/Parallel.h>
#include <time.h>
#include <torch/optim/adam.h>
#include <torch/types.h>

#include <algorithm>
#include <cstdint>
#include <exception>
#include <functional>
#include <iostream>
#include <limits>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "model/train/linear_layer.h"
#include "model/train/triangular.h"

namespace glowworm {
namespace bench {
namespace {

using train::DiagonalMap;
using train::LinearInit;
using train::LinearKind;

constexpr char kUsage[] = "glowworm-linear-step ROUNDS C[,C...]\n";
constexpr int64_t kRows = 32, kSide = 8;  // images of kSide x kSide positions

struct Kind {
  const char* name;
  train::LinearOptions options;
};

const std::vector<Kind>& Kinds() {
  static const auto* kinds = new std::vector<Kind>{
      {"plu, exp", {LinearKind::kPlu, DiagonalMap::kExp, LinearInit::kRotation}},
      {"plu, softplus", {LinearKind::kPlu, DiagonalMap::kSoftplus, LinearInit::kRotation}},
      {"qr, exp", {LinearKind::kQr, DiagonalMap::kExp, LinearInit::kRotation}},
      {"full", {LinearKind::kFull, DiagonalMap::kExp, LinearInit::kRotation}},
      {"learned-permutation", {LinearKind::kLearnedPermutation, DiagonalMap::kExp, LinearInit::kRotation}},
  };
  return *kinds;
}

double ProcessorSeconds() {
  timespec now;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

// Processor time of a run on one thread: what other processes do is not in it, but for the caches they empty.
double Seconds(const std::function<void()>& run) {
  const double begin = ProcessorSeconds();
  run();
  return ProcessorSeconds() - begin;
}

// One layer in training: what is timed, and the least time of each so far.
class Contestant {
 public:
  Contestant(const Kind& kind, int64_t channels)
      : name_(kind.name),
        layer_(train::MakeLinear(channels, kind.options)),
        optimizer_(layer_->parameters(), torch::optim::AdamOptions(1e-4)),
        x_(torch::randn({kRows, channels, kSide, kSide}).requires_grad_()),
        dense_(torch::eye(channels).requires_grad_()) {}

  void Round() {
    step_ = std::min(step_, Seconds([this] { Step(); }));
    log_det_ = std::min(log_det_, Seconds([this] { LogDet().backward(); }));
  }

  std::string Json(int64_t channels) const {
    return absl::StrFormat("{\"kind\":\"%s\",\"channels\":%d,\"step_seconds\":%.9g,\"log_det_seconds\":%.9g}",
                           name_, channels, step_, log_det_);
  }

 private:
  // Maximises the likelihood of x under a standard normal; the gradient reaches x too, as in a flow.
  void Step() {
    optimizer_.zero_grad();
    const train::LayerOutput out = layer_->Forward(x_, {});
    ((out.y * out.y).sum() / (2 * kRows) - out.log_det.mean()).backward();
    optimizer_.step();
  }

  // What the kind computes for log|det W| beside W itself: a sum of c numbers, or a determinant.
  torch::Tensor LogDet() {
    const auto children = layer_->named_children();
    if (const auto* scaled_upper = children.find("scaled_upper")) {
      return std::dynamic_pointer_cast<train::ScaledUpper>(*scaled_upper)->LogDet();
    }
    return std::get<1>(torch::linalg_slogdet(dense_));
  }

  const std::string name_;
  const std::shared_ptr<train::LinearLayer> layer_;
  torch::optim::Adam optimizer_;
  torch::Tensor x_, dense_;  // (n, c, h, w), (c, c)
  double step_ = std::numeric_limits<double>::infinity(), log_det_ = step_;
};

// One object a line. The kinds take turns, so that a disturbance meets all of them.
void Measure(int64_t rounds, int64_t channels) {
  std::vector<std::unique_ptr<Contestant>> contestants;
  for (const Kind& kind : Kinds()) contestants.push_back(std::make_unique<Contestant>(kind, channels));
  for (int64_t round = 0; round < rounds; ++round) {
    for (const auto& contestant : contestants) contestant->Round();
  }
  for (const auto& contestant : contestants) std::cout << contestant->Json(channels) << std::endl;
}

int Main(const std::vector<std::string>& words) {
  int64_t rounds = 0;
  std::vector<int64_t> sizes;
  bool good = words.size() == 2 && absl::SimpleAtoi(words[0], &rounds) && rounds > 0;
  if (good) {
    for (const std::string& word : std::vector<std::string>(absl::StrSplit(words[1], ','))) {
      sizes.push_back(0);
      good = good && absl::SimpleAtoi(word, &sizes.back()) && sizes.back() > 0;
    }
  }
  if (!good) {
    std::cerr << kUsage;
    return 2;
  }
  at::set_num_threads(1);
  torch::manual_seed(1);
  try {
    for (const int64_t channels : sizes) Measure(rounds, channels);
  } catch (const std::exception& error) {  // libtorch's, of which every operation may throw
    std::cerr << error.what() << "\n";
    return 1;
  }
  return 0;
}

}  // namespace
}  // namespace bench
}  // namespace glowworm

int main(int argc, char** argv) {
  return glowworm::bench::Main(std::vector<std::string>(argv + 1, argv + argc));
}
