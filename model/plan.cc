// Compiles a FlowSpec to a Plan. Only entry: Compile. Tested by tests/model/plan_test.cc.
//
// One pass over the layers with three things in hand: the shape, `physical` (where each channel of the flow
// really lies, so that a permutation costs nothing), and the constant part of log p. Folding needs no second
// pass: an affine directly before or after a ChannelMix is multiplied into it as it is met.

#include "model/plan.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "model/linear_map.h"

namespace glowworm {
namespace {

constexpr double kHalfLog2Pi = 0.91893853320467274178;

std::vector<int64_t> Iota(int64_t n) {
  std::vector<int64_t> v(n);
  std::iota(v.begin(), v.end(), int64_t{0});
  return v;
}

std::vector<int64_t> Pick(const std::vector<int64_t>& from, const std::vector<int64_t>& index) {
  std::vector<int64_t> out;
  out.reserve(index.size());
  for (int64_t i : index) out.push_back(from[i]);
  return out;
}

const char* Kind(const Layer& layer) {
  constexpr const char* kNames[] = {"affine", "linear", "permutation", "squeeze",
                                    "split",  "logit",  "coupling",    "autoregressive"};
  return kNames[layer.op.index()];
}

class Compiler {
 public:
  Compiler(const FlowSpec& spec, double max_condition_number)
      : spec_(spec), max_condition_number_(max_condition_number) {}

  absl::StatusOr<Plan> Run() {
    plan_.event = spec_.event;
    plan_.context_size = spec_.context_size;
    plan_.num_classes = NumClasses(spec_);
    shape_ = spec_.event;
    physical_ = Iota(shape_.channels);
    for (const Layer& layer : spec_.layers) {
      plan_.layers.push_back({layer.name, Kind(layer), 0, 0, 0, 0});
      absl::Status status = std::visit([&](const auto& op) { return Add(layer, op); }, layer.op);
      if (!status.ok()) return status;
    }
    if (!left_leading_) plan_.leading = plan_.ops.size();
    Emit("base", physical_, {}, spec_.base);
    return std::move(plan_);
  }

 private:
  absl::Status Add(const Layer& layer, const Affine& affine);
  absl::Status Add(const Layer& layer, const Linear& linear);
  absl::Status Add(const Layer& layer, const Permutation& permutation);
  absl::Status Add(const Layer& layer, const Squeeze& squeeze);
  absl::Status Add(const Layer& layer, const Split& split);
  absl::Status Add(const Layer& layer, const Logit& logit);
  absl::Status Add(const Layer& layer, const Coupling& coupling);
  absl::Status Add(const Layer& layer, const Autoregressive& layer_op);

  void Emit(const std::string& name, std::vector<int64_t> emit, std::vector<int64_t> keep, const Base& base);
  NormalDensity Density(const Base& base, int64_t channels);

  template <typename Op>
  void Push(std::string name, Op op, const EventShape& out) {
    plan_.ops.push_back({std::move(name), std::move(op), shape_, out});
    shape_ = out;
  }
  void LeaveLeading() {
    if (!left_leading_) plan_.leading = plan_.ops.size();
    left_leading_ = true;
  }
  // The mix that the last op is, if an affine or mix may be folded into it.
  ChannelMix* LastMix() {
    if (!left_leading_ || plan_.ops.size() <= plan_.leading) return nullptr;
    return std::get_if<ChannelMix>(&plan_.ops.back().op);
  }

  const FlowSpec& spec_;
  const double max_condition_number_;
  Plan plan_;
  EventShape shape_;
  std::vector<int64_t> physical_;  // (C): channel i of the flow lies at channel physical_[i] of the tile
  bool left_leading_ = false;
  int64_t latent_offset_ = 0;
};

double SumLogAbs(const std::vector<double>& v) {
  double sum = 0;
  for (double x : v) sum += std::log(std::abs(x));
  return sum;
}

absl::Status Compiler::Add(const Layer& layer, const Affine& affine) {
  const int64_t c = shape_.channels, p = shape_.positions();
  plan_.constant_log_det += SumLogAbs(affine.scale) * (affine.per_element ? 1 : p);
  // Into tile layout: (c, positions) of the flow's channels -> (positions, c) of the tile's.
  const bool per_channel = !affine.per_element || p == 1;
  ElementwiseAffine op;
  op.scale.resize(affine.scale.size());
  op.shift.resize(affine.shift.size());
  for (int64_t i = 0; i < c; ++i) {
    for (int64_t j = 0; j < (per_channel ? 1 : p); ++j) {
      const int64_t from = per_channel ? i : i * p + j;
      const int64_t to = per_channel ? physical_[i] : j * c + physical_[i];
      op.scale[to] = affine.scale[from];
      op.shift[to] = affine.shift[from];
    }
  }
  ChannelMix* mix = per_channel ? LastMix() : nullptr;
  if (mix == nullptr) {
    Push(layer.name, std::move(op), shape_);
    return absl::OkStatus();
  }
  // y' = D (W x + b) + t, with D = diag scale: W <- D W, b <- D b + t, W^-1 <- W^-1 D^-1, and x = W^-1 y' -
  // W^-1 b.
  for (int64_t i = 0; i < c; ++i) {
    for (int64_t j = 0; j < c; ++j) {
      mix->weight[i * c + j] *= op.scale[i];
      mix->inverse[j * c + i] /= op.scale[i];
    }
    mix->bias[i] = mix->bias[i] * op.scale[i] + op.shift[i];
  }
  for (int64_t i = 0; i < c; ++i) {
    double sum = 0;
    for (int64_t j = 0; j < c; ++j) sum += mix->inverse[i * c + j] * mix->bias[j];
    mix->inverse_bias[i] = -sum;
  }
  plan_.ops.back().name += "+" + layer.name;
  return absl::OkStatus();
}

absl::Status Compiler::Add(const Layer& layer, const Linear& linear) {
  const int64_t c = shape_.channels;
  absl::StatusOr<LinearMap> map = ComposeLinear(linear, c);
  if (!map.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("layer '", layer.name, "': ", map.status().message()));
  }
  if (!(map->condition_number <= max_condition_number_)) {
    return absl::InvalidArgumentError(absl::StrCat("layer '", layer.name, "': the condition number of W is ",
                                                   map->condition_number, ", the largest allowed is ",
                                                   max_condition_number_));
  }
  LayerSummary& summary = plan_.layers.back();
  summary.condition_number = map->condition_number;
  summary.log_abs_det = map->log_abs_det;
  summary.min_abs_s = map->min_abs_s;
  summary.max_abs_s = map->max_abs_s;
  plan_.max_condition_number = std::max(plan_.max_condition_number, map->condition_number);
  plan_.constant_log_det += map->log_abs_det * static_cast<double>(shape_.positions());

  // An affine just before, unless it is leading, is taken back out of the plan and multiplied in.
  const bool was_leading = !left_leading_;
  LeaveLeading();
  std::vector<double> scale(c, 1.0), shift(c, 0.0);
  std::string name = layer.name;
  if (!was_leading && plan_.ops.size() > plan_.leading) {
    const auto* affine = std::get_if<ElementwiseAffine>(&plan_.ops.back().op);
    if (affine != nullptr && static_cast<int64_t>(affine->scale.size()) == c) {
      scale = affine->scale;
      shift = affine->shift;
      name = plan_.ops.back().name + "+" + layer.name;
      plan_.ops.pop_back();
    }
  }
  ChannelMix mix;
  mix.channels = c;
  mix.wide = map->condition_number > kWideConditionNumber;
  mix.weight.resize(c * c);
  mix.inverse.resize(c * c);
  mix.bias.assign(c, 0.0);
  mix.inverse_bias.assign(c, 0.0);
  for (int64_t i = 0; i < c; ++i) {
    double folded = linear.bias.empty() ? 0.0 : linear.bias[i];
    for (int64_t j = 0; j < c; ++j) {
      const int64_t from = physical_[j];  // the tile's channel that holds the flow's channel j
      mix.weight[i * c + from] = map->weight[i * c + j] * scale[from];
      mix.inverse[from * c + i] = map->inverse[j * c + i] / scale[from];
      folded += map->weight[i * c + j] * shift[from];
    }
    mix.bias[i] = folded;
  }
  for (int64_t i = 0; i < c; ++i) {
    double sum = 0;
    for (int64_t j = 0; j < c; ++j) sum += mix.inverse[i * c + j] * mix.bias[j];
    mix.inverse_bias[i] = -sum;
  }
  physical_ = Iota(c);
  Push(std::move(name), std::move(mix), shape_);
  return absl::OkStatus();
}

absl::Status Compiler::Add(const Layer& layer, const Permutation& permutation) {
  physical_ = Pick(physical_, permutation.index);
  return absl::OkStatus();
}

absl::Status Compiler::Add(const Layer& layer, const Squeeze& squeeze) {
  const int64_t c = shape_.channels;
  std::vector<int64_t> physical(4 * c);
  for (int64_t i = 0; i < c; ++i) {
    for (int64_t parity = 0; parity < 4; ++parity) {
      if (squeeze.order == SqueezeOrder::kChannelMajor) {
        physical[4 * i + parity] = 4 * physical_[i] + parity;
      } else {
        physical[parity * c + i] = parity * c + physical_[i];
      }
    }
  }
  physical_ = std::move(physical);
  Push(layer.name, SqueezeMove{c, shape_.height, shape_.width, squeeze.order}, ShapeAfter(layer, shape_));
  return absl::OkStatus();
}

absl::Status Compiler::Add(const Layer& layer, const Split& split) {
  const int64_t first = (shape_.channels + 1) / 2;
  std::vector<int64_t> head(physical_.begin(), physical_.begin() + first);
  std::vector<int64_t> tail(physical_.begin() + first, physical_.end());
  if (split.emit == Half::kFirst) {
    Emit(layer.name, std::move(head), std::move(tail), split.prior);
  } else {
    Emit(layer.name, std::move(tail), std::move(head), split.prior);
  }
  physical_ = Iota(shape_.channels);
  return absl::OkStatus();
}

absl::Status Compiler::Add(const Layer& layer, const Logit& logit) {
  plan_.constant_log_det += static_cast<double>(shape_.size()) * std::log1p(-2 * logit.alpha);
  Push(layer.name, LogitMap{logit.alpha}, shape_);
  return absl::OkStatus();
}

absl::Status Compiler::Add(const Layer& layer, const Coupling& coupling) {
  LeaveLeading();
  std::vector<int64_t> identity = Pick(physical_, coupling.identity);
  std::vector<int64_t> transformed = Pick(physical_, coupling.transformed);
  if (const auto* affine = std::get_if<AffineTransform>(&coupling.transform)) {
    Push(layer.name, AffineCoupling{identity, std::move(transformed), coupling.net, *affine}, shape_);
  } else if (const auto* spline = std::get_if<SplineTransform>(&coupling.transform)) {
    Push(layer.name, SplineCoupling{identity, std::move(transformed), coupling.net, *spline}, shape_);
  } else {
    Push(layer.name, AdditiveCoupling{identity, std::move(transformed), coupling.net}, shape_);
  }
  if (coupling.identity_spline) {
    // After the coupling, so that its net reads what was there before, in both directions.
    const IdentitySpline& fixed = *coupling.identity_spline;
    const int64_t k = fixed.spline.bins;
    FixedSpline op;
    for (size_t i = 0; i < identity.size(); ++i) {
      const auto append = [&](const std::vector<double>& from, int64_t count) {
        const auto begin = from.begin() + static_cast<int64_t>(i) * count;
        op.parameters.insert(op.parameters.end(), begin, begin + count);
      };
      append(fixed.widths, k);
      append(fixed.heights, k);
      append(fixed.derivatives, k - 1);
    }
    op.channels = std::move(identity);
    op.transform = fixed.spline;
    Push(layer.name + ".identity_spline", std::move(op), shape_);
  }
  return absl::OkStatus();
}

absl::Status Compiler::Add(const Layer& layer, const Autoregressive& autoregressive) {
  LeaveLeading();
  Push(layer.name,
       AutoregressiveMap{physical_, autoregressive.order, autoregressive.net, autoregressive.parallel,
                         autoregressive.transform},
       shape_);
  return absl::OkStatus();
}

void Compiler::Emit(const std::string& name, std::vector<int64_t> emit, std::vector<int64_t> keep,
                    const Base& base) {
  EmitLatent op;
  op.density = Density(base, static_cast<int64_t>(emit.size()));
  op.latent_offset = latent_offset_;
  latent_offset_ += static_cast<int64_t>(emit.size()) * shape_.positions();
  op.emit = std::move(emit);
  op.keep = std::move(keep);
  EventShape out = shape_;
  out.channels = static_cast<int64_t>(op.keep.size());
  Push(name, std::move(op), out);
}

NormalDensity Compiler::Density(const Base& base, int64_t channels) {
  const int64_t p = shape_.positions(), n = channels * p;
  NormalDensity density;
  if (const auto* net = std::get_if<NetNormal>(&base)) {
    density.kind = NormalDensity::Kind::kNet;
    density.net = net->net;
    return density;
  }
  if (const auto* mixture = std::get_if<ClassNormal>(&base)) {
    const int64_t k = mixture->num_classes;
    density.kind = NormalDensity::Kind::kClass;
    density.num_classes = k;
    density.constant.assign(k, 0.0);
    for (int64_t a = 0; a < k; ++a) {
      for (int64_t j = 0; j < p; ++j) {
        for (int64_t i = 0; i < channels; ++i) {  // (K, c, positions) -> (K, positions, c)
          const int64_t from = (a * channels + i) * p + j;
          density.mean.push_back(mixture->mean[from]);
          density.scale.push_back(std::exp(mixture->log_scale[from]));
          density.inverse_scale.push_back(std::exp(-mixture->log_scale[from]));
          density.constant[a] -= mixture->log_scale[from] + kHalfLog2Pi;
        }
      }
    }
    double most = *std::max_element(mixture->log_weight.begin(), mixture->log_weight.end());
    double total = 0;
    for (double w : mixture->log_weight) total += std::exp(w - most);
    plan_.log_class_weight.clear();
    plan_.cumulative_class_weight.clear();
    double cumulative = 0;
    for (double w : mixture->log_weight) {
      plan_.log_class_weight.push_back(w - most - std::log(total));
      cumulative += std::exp(w - most) / total;
      plan_.cumulative_class_weight.push_back(cumulative);
    }
    return density;
  }
  density.mean.assign(n, 0.0);
  density.scale.assign(n, 1.0);
  density.inverse_scale.assign(n, 1.0);
  plan_.constant_log_det -= static_cast<double>(n) * kHalfLog2Pi;
  if (const auto* diag = std::get_if<DiagNormal>(&base)) {
    for (int64_t j = 0; j < p; ++j) {
      for (int64_t i = 0; i < channels; ++i) {
        const int64_t from = diag->per_element ? i * p + j : i;
        density.mean[j * channels + i] = diag->mean[from];
        density.scale[j * channels + i] = std::exp(diag->log_scale[from]);
        density.inverse_scale[j * channels + i] = std::exp(-diag->log_scale[from]);
        plan_.constant_log_det -= diag->log_scale[from];
      }
    }
  }
  return density;
}

}  // namespace

absl::StatusOr<Plan> Compile(const FlowSpec& spec, double max_condition_number) {
  return Compiler(spec, max_condition_number).Run();
}

}  // namespace glowworm
