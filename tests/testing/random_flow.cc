// See random_flow.h.

#include "tests/testing/random_flow.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <utility>

namespace glowworm {
namespace {

constexpr int64_t kMaxReflectors = 4;
constexpr double kRawSpline = 0.3;    // deviation of the raw numbers of fixed splines: bins of like sizes
constexpr double kOffDiagonal = 0.3;  // times 1/sqrt(C): the size of L's and U's entries

int64_t FirstHalf(int64_t channels) { return channels - channels / 2; }

}  // namespace

EventShape RowShape(int64_t channels) { return {channels, 1, 1, false}; }
EventShape ImageShape(int64_t channels, int64_t height, int64_t width) {
  return {channels, height, width, true};
}

std::string ShapeText(const EventShape& shape) {
  std::string text = std::to_string(shape.channels);
  if (shape.image) text += "x" + std::to_string(shape.height) + "x" + std::to_string(shape.width);
  return text;
}

SplineTransform AnySpline(RandomNumbers& random) {
  SplineTransform spline;
  spline.bins = 1 + random.Below(12);
  const double bounds[] = {1, 3, 4.5};  // about as many normals outside as inside, few outside, none
  spline.tail_bound = bounds[random.Below(3)];
  if (random.Coin()) {
    spline.parametrization = SplineParametrization::kSoftclip;
    return spline;
  }
  // Minima or a small scale, or both: a net's rare large output would make a bin so flat that float32 finds
  // no way back.
  const int64_t tame = random.Below(3);
  if (tame != 0) spline.min_bin_width = spline.min_bin_height = spline.min_derivative = 0.02;
  if (tame != 1) spline.width_height_scale = 0.25;
  return spline;
}

RandomFlow::RandomFlow(uint64_t seed, const EventShape& event, int64_t context_size, int64_t num_classes)
    : random_(seed), shape_(event), num_classes_(num_classes) {
  spec_.name = "random-" + std::to_string(seed);
  spec_.description = "A random flow.";
  spec_.event = event;
  spec_.context_size = context_size;
  class_log_weight_ = random_.Normals(num_classes, 0, 1);
}

bool RandomFlow::Fits(LayerKind kind) const {
  switch (kind) {
    case LayerKind::kSqueezeChannelMajor:
    case LayerKind::kSqueezeSpatialMajor:
      return shape_.image && shape_.height % 2 == 0 && shape_.width % 2 == 0;
    case LayerKind::kSplitFirst:
    case LayerKind::kSplitSecond:
    case LayerKind::kCouplingAffine:
    case LayerKind::kCouplingAdditive:
    case LayerKind::kCouplingSpline:
      return shape_.channels >= 2;
    case LayerKind::kAutoregressive:
      return !shape_.image;
    default:
      return true;
  }
}

void RandomFlow::Append(const char* kind, Layer layer) {
  const std::string number = std::to_string(spec_.layers.size());
  layer.name = (number.size() == 1 ? "0" : "") + number + "." + kind;
  shape_ = ShapeAfter(layer, shape_);
  spec_.layers.push_back(std::move(layer));
}

RandomFlow& RandomFlow::AddByteLogit() {
  Affine affine;
  affine.scale.assign(shape_.channels, 1 / 256.0);
  affine.shift.assign(shape_.channels, 1 / 512.0);
  Append("affine", {"", affine});
  Append("logit", {"", Logit{0.05}});
  return *this;
}

RandomFlow& RandomFlow::AddAffine(bool per_element) {
  const int64_t size = per_element ? shape_.size() : shape_.channels;
  Affine affine;
  affine.per_element = per_element;
  affine.scale = random_.Signs(size);
  for (double& v : affine.scale) v *= std::exp(random_.Uniform(-0.5, 0.5));
  affine.shift = random_.Normals(size, 0, 0.3);
  Append("affine", {"", affine});
  return *this;
}

RandomFlow& RandomFlow::AddPlu(Side side, bool signs, bool bias) {
  const int64_t n = shape_.channels;
  PluFactors plu;
  plu.permutation = random_.Shuffled(n);
  plu.side = side;
  plu.lower = random_.Normals(n * (n - 1) / 2, 0, kOffDiagonal / std::sqrt(n));
  plu.upper = random_.Normals(n * (n - 1) / 2, 0, kOffDiagonal / std::sqrt(n));
  plu.log_abs_s = random_.Uniforms(n, -0.3, 0.3);
  plu.sign_s = signs ? random_.Signs(n) : std::vector<double>(n, 1);
  Append("linear", {"", Linear{plu, bias ? random_.Normals(n, 0, 0.3) : std::vector<double>()}});
  return *this;
}

RandomFlow& RandomFlow::AddQr(bool signs, bool bias) {
  const int64_t n = shape_.channels;
  QrFactors qr;
  qr.num_reflectors = std::min(n, kMaxReflectors);
  qr.reflectors = random_.Normals(qr.num_reflectors * n, 0, 1);
  qr.upper = random_.Normals(n * (n - 1) / 2, 0, kOffDiagonal / std::sqrt(n));
  qr.log_abs_s = random_.Uniforms(n, -0.3, 0.3);
  qr.sign_s = signs ? random_.Signs(n) : std::vector<double>(n, 1);
  Append("linear", {"", Linear{qr, bias ? random_.Normals(n, 0, 0.3) : std::vector<double>()}});
  return *this;
}

// A signed permutation matrix and noise of norm below it, hence far from singular.
RandomFlow& RandomFlow::AddFull(bool bias) {
  const int64_t n = shape_.channels;
  FullMatrix full;
  full.weight = random_.Normals(n * n, 0, 0.2 / std::sqrt(n));
  const std::vector<int64_t> permutation = random_.Shuffled(n);
  const std::vector<double> signs = random_.Signs(n);
  for (int64_t i = 0; i < n; ++i) full.weight[i * n + permutation[i]] += signs[i];
  Append("linear", {"", Linear{full, bias ? random_.Normals(n, 0, 0.3) : std::vector<double>()}});
  return *this;
}

RandomFlow& RandomFlow::AddPermutation() {
  Append("permutation", {"", Permutation{random_.Shuffled(shape_.channels)}});
  return *this;
}

RandomFlow& RandomFlow::AddSqueeze(SqueezeOrder order) {
  Append("squeeze", {"", Squeeze{order}});
  return *this;
}

Base RandomFlow::RandomBase(BaseKind kind, int64_t channels, const EventShape& kept, const NetOptions& net) {
  const int64_t size = channels * kept.positions();
  const auto normal = [&](int64_t count) {
    std::vector<double> mean = random_.Normals(count, 0, 0.5);
    return std::make_pair(std::move(mean), random_.Uniforms(count, -0.3, 0.3));
  };
  switch (kind) {
    case BaseKind::kStandard:
      return StandardNormal{};
    case BaseKind::kDiagChannel:
    case BaseKind::kDiagElement: {
      const bool per_element = kind == BaseKind::kDiagElement;
      auto [mean, log_scale] = normal(per_element ? size : channels);
      return DiagNormal{per_element, mean, log_scale};
    }
    case BaseKind::kClass: {
      auto [mean, log_scale] = normal(num_classes_ * size);
      return ClassNormal{num_classes_, mean, log_scale, class_log_weight_};
    }
    case BaseKind::kNet:
      return NetNormal{RandomNet(net, kept.channels, 2 * channels, kept.image, spec_.context_size, random_)};
  }
  std::abort();
}

RandomFlow& RandomFlow::AddSplit(Half emit, BaseKind prior, const NetOptions& net) {
  const int64_t first = FirstHalf(shape_.channels);
  const int64_t emitted = emit == Half::kFirst ? first : shape_.channels - first;
  EventShape kept = shape_;
  kept.channels -= emitted;
  Append("split", {"", Split{emit, RandomBase(prior, emitted, kept, net)}});
  return *this;
}

void RandomFlow::Partition(Coupling& coupling) {
  const int64_t identity = 1 + random_.Below(shape_.channels - 1);
  const std::vector<int64_t> channels = random_.Shuffled(shape_.channels);
  coupling.identity.assign(channels.begin(), channels.begin() + identity);
  coupling.transformed.assign(channels.begin() + identity, channels.end());
}

AffineTransform RandomFlow::RandomAffineTransform(ScaleMap scale_map, AffineOrder order) {
  AffineTransform affine;
  affine.scale_map = scale_map;
  affine.order = order;
  switch (scale_map) {
    case ScaleMap::kExp:
      break;
    case ScaleMap::kSigmoid:
      affine.offset = 2;
      affine.epsilon = random_.Coin() ? 1e-3 : 0;
      break;
    case ScaleMap::kInverseSigmoid:
      affine.offset = 1;
      break;
    case ScaleMap::kSoftplus:
      affine.epsilon = 0.3;
      affine.clamp =
          random_.Coin() ? 1 : 0;  // softplus(0) + 0.3 lies just below 1: both sides of the clamp occur
      break;
    case ScaleMap::kTanhExp:
    case ScaleMap::kAtanExp:
    case ScaleMap::kSoftclipExp:
      affine.clamp = 1.5;
      break;
  }
  return affine;
}

void RandomFlow::AddIdentitySpline(const std::optional<SplineTransform>& spline, Coupling& coupling) {
  if (!spline.has_value()) return;
  const int64_t identity = static_cast<int64_t>(coupling.identity.size());
  IdentitySpline fixed;
  fixed.spline = *spline;
  fixed.widths = random_.Normals(identity * spline->bins, 0, kRawSpline);
  fixed.heights = random_.Normals(identity * spline->bins, 0, kRawSpline);
  fixed.derivatives = random_.Normals(identity * (spline->bins - 1), 0, kRawSpline);
  coupling.identity_spline = fixed;
}

RandomFlow& RandomFlow::AddCoupling(const CouplingOptions& options) {
  Coupling coupling;
  Partition(coupling);
  const int64_t transformed = static_cast<int64_t>(coupling.transformed.size());
  const int64_t raw = options.spline.has_value() ? 3 * options.spline->bins - 1 : 2;
  coupling.net = RandomNet(options.net, static_cast<int64_t>(coupling.identity.size()), raw * transformed,
                           shape_.image, spec_.context_size, random_);
  if (options.spline.has_value())
    coupling.transform = *options.spline;
  else
    coupling.transform = RandomAffineTransform(options.scale_map, options.order);
  AddIdentitySpline(options.identity_spline, coupling);
  Append("coupling", {"", coupling});
  return *this;
}

RandomFlow& RandomFlow::AddAdditiveCoupling(const NetOptions& net,
                                            const std::optional<SplineTransform>& identity_spline) {
  Coupling coupling;
  Partition(coupling);
  coupling.net =
      RandomNet(net, static_cast<int64_t>(coupling.identity.size()),
                static_cast<int64_t>(coupling.transformed.size()), shape_.image, spec_.context_size, random_);
  coupling.transform = AdditiveTransform{};
  AddIdentitySpline(identity_spline, coupling);
  Append("coupling", {"", coupling});
  return *this;
}

RandomFlow& RandomFlow::AddAutoregressive(const AutoregressiveOptions& options) {
  Autoregressive layer;
  layer.order = random_.Shuffled(shape_.channels);
  layer.parallel = options.parallel;
  const int64_t raw = options.spline.has_value() ? 3 * options.spline->bins - 1 : 2;
  layer.net = RandomMaskedNet(options.net, layer.order, raw, spec_.context_size, random_);
  if (options.spline.has_value())
    layer.transform = *options.spline;
  else
    layer.transform = RandomAffineTransform(options.scale_map, options.order);
  Append("autoregressive", {"", layer});
  return *this;
}

BaseKind RandomFlow::AnyPrior() {
  if (num_classes_ > 0 && random_.Coin()) return BaseKind::kClass;
  const int64_t pick = random_.Below(4);
  return pick == 3 ? BaseKind::kNet : static_cast<BaseKind>(pick);
}

RandomFlow& RandomFlow::Add(LayerKind kind) {
  // Drawn one after the other: the order in which arguments are evaluated is the compiler's.
  const bool signs = random_.Coin();
  const bool bias = random_.Coin();
  switch (kind) {
    case LayerKind::kAffineChannel:
      return AddAffine(false);
    case LayerKind::kAffineElement:
      return AddAffine(true);
    case LayerKind::kPluOutput:
      return AddPlu(Side::kOutput, signs, bias);
    case LayerKind::kPluInput:
      return AddPlu(Side::kInput, signs, bias);
    case LayerKind::kQr:
      return AddQr(signs, bias);
    case LayerKind::kFull:
      return AddFull(bias);
    case LayerKind::kPermutation:
      return AddPermutation();
    case LayerKind::kSqueezeChannelMajor:
      return AddSqueeze(SqueezeOrder::kChannelMajor);
    case LayerKind::kSqueezeSpatialMajor:
      return AddSqueeze(SqueezeOrder::kSpatialMajor);
    default:
      break;
  }
  const NetOptions net = AnyNetOptions(random_);
  if (kind == LayerKind::kSplitFirst) return AddSplit(Half::kFirst, AnyPrior(), net);
  if (kind == LayerKind::kSplitSecond) return AddSplit(Half::kSecond, AnyPrior(), net);
  const auto scale_map = static_cast<ScaleMap>(random_.Below(7));
  const AffineOrder order = random_.Coin() ? AffineOrder::kScaleThenShift : AffineOrder::kShiftThenScale;
  std::optional<SplineTransform> spline, identity_spline;
  if (kind == LayerKind::kCouplingSpline || (kind == LayerKind::kAutoregressive && random_.Coin()))
    spline = AnySpline(random_);
  if (kind == LayerKind::kAutoregressive) {
    const auto parallel = random_.Coin() ? ParallelDirection::kForward : ParallelDirection::kInverse;
    return AddAutoregressive({parallel, scale_map, order, net, spline});
  }
  if (random_.Below(3) == 0) identity_spline = AnySpline(random_);
  if (kind == LayerKind::kCouplingAdditive) return AddAdditiveCoupling(net, identity_spline);
  return AddCoupling({scale_map, order, net, spline, identity_spline});
}

FlowSpec RandomFlow::Finish(BaseKind base) {
  spec_.base = RandomBase(base, shape_.channels, shape_, {});
  const double d = static_cast<double>(spec_.event.size());
  spec_.calibration = Calibration{{-4 * d - 3, -2 * d - 2, -d - 1, d}, {0.01, 0.4, 0.7, 0.99}};
  return std::move(spec_);
}

FlowSpec AnyFlow(uint64_t seed, const EventShape& event, int64_t context_size, int64_t num_classes) {
  RandomNumbers random(seed * 7919 + 1);
  RandomFlow flow(seed, event, context_size, num_classes);
  if (random.Below(3) == 0) flow.AddByteLogit();
  const int64_t wanted = 4 + random.Below(6);
  for (int64_t added = 0; added < wanted;) {
    // Half of them couplings: a flow without any is a linear map.
    const LayerKind coupling = random.Below(3) == 0 ? LayerKind::kCouplingSpline : LayerKind::kCouplingAffine;
    const LayerKind kind = random.Coin() ? coupling : static_cast<LayerKind>(random.Below(kLayerKinds));
    ++added;
    if (flow.Fits(kind)) flow.Add(kind);
  }
  const auto other = static_cast<BaseKind>(random.Below(3));
  return flow.Finish(num_classes > 0 ? BaseKind::kClass : other);
}

FlowRows RandomRows(const FlowSpec& spec, uint64_t seed, int64_t rows, DataType dtype) {
  const bool bytes = std::any_of(spec.layers.begin(), spec.layers.end(),
                                 [](const Layer& layer) { return std::holds_alternative<Logit>(layer.op); });
  RandomNumbers random(seed);
  FlowRows out;
  out.rows = rows;
  for (int64_t i = 0; i < rows * spec.event.size(); ++i) {
    const double v = bytes                       ? random.Uniform(0, 255)
                     : dtype == DataType::kUint8 ? random.Uniform(0, 4)
                                                 : random.Normal();
    out.numbers.push_back(RoundTo(v, dtype));
  }
  out.context = random.Normals(rows * spec.context_size, 0, 1);
  const int64_t classes = NumClasses(spec);
  for (int64_t i = 0; i < rows; ++i)
    out.class_label.push_back(static_cast<int>(random.Below(classes + 1)) - 1);
  return out;
}

FlowRows RandomLatents(const FlowSpec& spec, uint64_t seed, int64_t rows) {
  RandomNumbers random(seed);
  FlowRows out;
  out.rows = rows;
  out.numbers = random.Normals(rows * spec.event.size(), 0, 1);
  out.context = random.Normals(rows * spec.context_size, 0, 1);
  out.class_label.assign(rows, -1);
  return out;
}

}  // namespace glowworm
