// See reference_layers.h. Tested by tests/model/reference_test.cc.

#include "tests/testing/reference_layers.h"

#include <cmath>
#include <cstdlib>
#include <variant>

#include "tests/testing/reference_linear.h"

namespace glowworm {
namespace {

using Context = std::vector<double>;

// One term of a layer's log-det.
void AddTerm(double term, double times, LayerStep& step) {
  step.log_det += times * term;
  step.log_det_magnitude += times * std::fabs(term);
}

// --- affine ---

int64_t AffineIndex(const Affine& op, const ReferenceEvent& event, int64_t c, int64_t p) {
  return op.per_element ? c * event.positions() + p : c;
}

LayerStep Forward(const Affine& op, const ReferenceEvent& x, const Context&) {
  LayerStep step;
  step.event = x;
  for (int64_t c = 0; c < x.channels; ++c) {
    for (int64_t p = 0; p < x.positions(); ++p) {
      const int64_t i = AffineIndex(op, x, c, p);
      step.event.at(c, p) = op.scale[i] * x.at(c, p) + op.shift[i];
      AddTerm(std::log(std::fabs(op.scale[i])), 1, step);
    }
  }
  return step;
}

ReferenceEvent Inverse(const Affine& op, const ReferenceEvent& y, const Context&) {
  ReferenceEvent x = y;
  for (int64_t c = 0; c < y.channels; ++c) {
    for (int64_t p = 0; p < y.positions(); ++p) {
      const int64_t i = AffineIndex(op, y, c, p);
      x.at(c, p) = (y.at(c, p) - op.shift[i]) / op.scale[i];
    }
  }
  return x;
}

// --- linear ---

LayerStep ForwardLinear(const PreparedLayer& prepared, const Linear& op, const ReferenceEvent& x) {
  const int64_t n = x.channels;
  LayerStep step;
  step.event = x;
  for (int64_t p = 0; p < x.positions(); ++p) {
    for (int64_t i = 0; i < n; ++i) {
      double sum = op.bias.empty() ? 0 : op.bias[i];
      for (int64_t j = 0; j < n; ++j) sum += prepared.matrix[i * n + j] * x.at(j, p);
      step.event.at(i, p) = sum;
    }
  }
  AddTerm(prepared.log_abs_det, static_cast<double>(x.positions()), step);
  return step;
}

ReferenceEvent InverseLinear(const PreparedLayer& prepared, const Linear& op, const ReferenceEvent& y) {
  ReferenceEvent x = y;
  for (int64_t c = 0; c < y.channels && !op.bias.empty(); ++c) {
    for (int64_t p = 0; p < y.positions(); ++p) x.at(c, p) -= op.bias[c];
  }
  x.values = Solve(prepared.matrix, x.values, y.channels, y.positions());
  return x;
}

// --- permutation ---

LayerStep Forward(const Permutation& op, const ReferenceEvent& x, const Context&) {
  LayerStep step;
  step.event = PickChannels(x, op.index);
  return step;
}

ReferenceEvent Inverse(const Permutation& op, const ReferenceEvent& y, const Context&) {
  ReferenceEvent x = y;
  for (int64_t i = 0; i < y.channels; ++i) {
    for (int64_t p = 0; p < y.positions(); ++p) x.at(op.index[i], p) = y.at(i, p);
  }
  return x;
}

// --- squeeze ---

// Calls visit(channel of the image, its position, channel of the squeezed, its position) for every number.
template <typename Visit>
void ForEachSqueezed(SqueezeOrder order, int64_t channels, int64_t height, int64_t width, Visit visit) {
  for (int64_t c = 0; c < channels; ++c) {
    for (int64_t y = 0; y < height; ++y) {
      for (int64_t x = 0; x < width; ++x) {
        const int64_t a = y % 2, b = x % 2;
        const int64_t out =
            order == SqueezeOrder::kChannelMajor ? 4 * c + 2 * a + b : (2 * a + b) * channels + c;
        visit(c, y * width + x, out, (y / 2) * (width / 2) + x / 2);
      }
    }
  }
}

LayerStep Forward(const Squeeze& op, const ReferenceEvent& x, const Context&) {
  LayerStep step;
  step.event = ZeroEvent(4 * x.channels, x.height / 2, x.width / 2);
  ForEachSqueezed(op.order, x.channels, x.height, x.width,
                  [&](int64_t c, int64_t p, int64_t out, int64_t q) { step.event.at(out, q) = x.at(c, p); });
  return step;
}

ReferenceEvent Inverse(const Squeeze& op, const ReferenceEvent& y, const Context&) {
  ReferenceEvent x = ZeroEvent(y.channels / 4, 2 * y.height, 2 * y.width);
  ForEachSqueezed(op.order, x.channels, x.height, x.width,
                  [&](int64_t c, int64_t p, int64_t out, int64_t q) { x.at(c, p) = y.at(out, q); });
  return x;
}

// --- logit ---

LayerStep Forward(const Logit& op, const ReferenceEvent& x, const Context&) {
  LayerStep step;
  step.event = x;
  for (double& v : step.event.values) {
    const double u = op.alpha + (1 - 2 * op.alpha) * v;
    if (!(u > 0 && u < 1)) {
      step.in_support = false;
      return step;
    }
    v = std::log(u) - std::log1p(-u);
    AddTerm(std::log(1 - 2 * op.alpha), 1, step);
    AddTerm(-std::log(u), 1, step);
    AddTerm(-std::log1p(-u), 1, step);
  }
  return step;
}

ReferenceEvent Inverse(const Logit& op, const ReferenceEvent& y, const Context&) {
  ReferenceEvent x = y;
  for (double& v : x.values) v = (ReferenceSigmoid(v) - op.alpha) / (1 - 2 * op.alpha);
  return x;
}

// --- coupling ---

// log s. Where the map is a sigmoid alone its logarithm is -softplus(-a), which does not underflow.
double LogScale(const AffineTransform& t, double r) {
  const double a = r + t.offset;
  switch (t.scale_map) {
    case ScaleMap::kExp:
      return r;
    case ScaleMap::kSigmoid:
      return t.epsilon == 0 ? -ReferenceSoftplus(-a) : std::log(ReferenceSigmoid(a) + t.epsilon);
    case ScaleMap::kInverseSigmoid:
      return ReferenceSoftplus(-a);
    case ScaleMap::kSoftplus: {
      const double s = ReferenceSoftplus(r) + t.epsilon;
      return std::log(t.clamp > 0 ? std::fmin(s, t.clamp) : s);
    }
    case ScaleMap::kTanhExp:
      return t.clamp * std::tanh(r);
    case ScaleMap::kAtanExp:
      return t.clamp * 0.636 * std::atan(r / t.clamp);
    case ScaleMap::kSoftclipExp:
      return r / (1 + std::fabs(r) / t.clamp);
  }
  std::abort();
}

// Of one transformed number: y = s b + t or (b + t) s.
struct Pointwise {
  double shift = 0;
  double log_scale = 0;
  bool shift_first = false;
};

Pointwise PointwiseAt(const Coupling& op, const ReferenceEvent& parameters, int64_t t, int64_t p) {
  const int64_t num_transformed = static_cast<int64_t>(op.transformed.size());
  Pointwise map;
  map.shift = parameters.at(t, p);
  if (const auto* affine = std::get_if<AffineTransform>(&op.transform)) {
    map.log_scale = LogScale(*affine, parameters.at(num_transformed + t, p));
    map.shift_first = affine->order == AffineOrder::kShiftThenScale;
  }
  return map;
}

LayerStep Forward(const Coupling& op, const ReferenceEvent& x, const Context& context) {
  const ReferenceEvent parameters = EvaluateNet(op.net, PickChannels(x, op.identity), context);
  LayerStep step;
  step.event = x;
  for (size_t t = 0; t < op.transformed.size(); ++t) {
    for (int64_t p = 0; p < x.positions(); ++p) {
      const Pointwise map = PointwiseAt(op, parameters, t, p);
      const double s = std::exp(map.log_scale);
      const double b = x.at(op.transformed[t], p);
      step.event.at(op.transformed[t], p) = map.shift_first ? (b + map.shift) * s : s * b + map.shift;
      AddTerm(map.log_scale, 1, step);
    }
  }
  return step;
}

ReferenceEvent Inverse(const Coupling& op, const ReferenceEvent& y, const Context& context) {
  const ReferenceEvent parameters = EvaluateNet(op.net, PickChannels(y, op.identity), context);
  ReferenceEvent x = y;
  for (size_t t = 0; t < op.transformed.size(); ++t) {
    for (int64_t p = 0; p < y.positions(); ++p) {
      const Pointwise map = PointwiseAt(op, parameters, t, p);
      const double s = std::exp(map.log_scale);
      const double b = y.at(op.transformed[t], p);
      x.at(op.transformed[t], p) = map.shift_first ? b / s - map.shift : (b - map.shift) / s;
    }
  }
  return x;
}

// --- what is done elsewhere: split by the flow, linear above ---

LayerStep Forward(const Split&, const ReferenceEvent&, const Context&) { std::abort(); }
ReferenceEvent Inverse(const Split&, const ReferenceEvent&, const Context&) { std::abort(); }
LayerStep Forward(const Autoregressive&, const ReferenceEvent&, const Context&) { std::abort(); }
ReferenceEvent Inverse(const Autoregressive&, const ReferenceEvent&, const Context&) { std::abort(); }
LayerStep Forward(const Linear&, const ReferenceEvent&, const Context&) { std::abort(); }
ReferenceEvent Inverse(const Linear&, const ReferenceEvent&, const Context&) { std::abort(); }

}  // namespace

PreparedLayer PrepareLayer(const Layer& layer, int64_t channels) {
  PreparedLayer prepared;
  prepared.layer = layer;
  if (const auto* linear = std::get_if<Linear>(&layer.op)) {
    prepared.matrix = ComposeMatrix(*linear, channels);
    prepared.log_abs_det = ReferenceLogAbsDet(*linear, channels);
  }
  return prepared;
}

LayerStep ForwardLayer(const PreparedLayer& prepared, const ReferenceEvent& x,
                       const std::vector<double>& context) {
  if (const auto* linear = std::get_if<Linear>(&prepared.layer.op))
    return ForwardLinear(prepared, *linear, x);
  return std::visit([&](const auto& op) { return Forward(op, x, context); }, prepared.layer.op);
}

ReferenceEvent InverseLayer(const PreparedLayer& prepared, const ReferenceEvent& y,
                            const std::vector<double>& context) {
  if (const auto* linear = std::get_if<Linear>(&prepared.layer.op))
    return InverseLinear(prepared, *linear, y);
  return std::visit([&](const auto& op) { return Inverse(op, y, context); }, prepared.layer.op);
}

}  // namespace glowworm
