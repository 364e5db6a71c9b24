// See reference_layers.h. Tested by tests/model/reference_test.cc.

#include "tests/testing/reference_layers.h"

#include <cmath>
#include <cstdlib>
#include <variant>

#include "tests/testing/reference_autoregressive.h"
#include "tests/testing/reference_linear.h"
#include "tests/testing/reference_pointwise.h"

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

using PointMap = ReferencePoint (*)(const Coupling&, const std::vector<double>&, double);

ReferencePoint ForwardMap(const Coupling& op, const std::vector<double>& raw, double x) {
  return std::visit([&](const auto& map) { return ForwardPoint(map, raw, x); }, op.transform);
}
ReferencePoint InverseMap(const Coupling& op, const std::vector<double>& raw, double y) {
  return std::visit([&](const auto& map) { return InversePoint(map, raw, y); }, op.transform);
}

// The raw numbers of transformed channel t at position p: a spline's lie side by side among the net's
// channels, those of the other maps one number of every channel after the other.
std::vector<double> RawAt(const Coupling& op, const ReferenceEvent& output, int64_t t, int64_t p) {
  const int64_t size = std::visit([](const auto& map) { return RawSize(map); }, op.transform);
  const int64_t num_transformed = static_cast<int64_t>(op.transformed.size());
  const bool blocks = std::holds_alternative<SplineTransform>(op.transform);
  std::vector<double> raw;
  for (int64_t j = 0; j < size; ++j)
    raw.push_back(output.at(blocks ? t * size + j : j * num_transformed + t, p));
  return raw;
}

// Carries the transformed channels across by the net of `conditions`, the identity channels.
void MapTransformed(const Coupling& op, const ReferenceEvent& conditions, const Context& context,
                    PointMap map, LayerStep& step) {
  const ReferenceEvent output = EvaluateNet(op.net, conditions, context);
  for (size_t t = 0; t < op.transformed.size(); ++t) {
    for (int64_t p = 0; p < step.event.positions(); ++p) {
      double& number = step.event.at(op.transformed[t], p);
      const ReferencePoint point = map(op, RawAt(op, output, t, p), number);
      number = point.value;
      AddTerm(point.log_derivative, 1, step);
    }
  }
}

// Row i of `values`, (I, n).
void AppendRow(const std::vector<double>& values, int64_t i, int64_t n, std::vector<double>& out) {
  out.insert(out.end(), values.begin() + i * n, values.begin() + (i + 1) * n);
}

// The raw numbers of the spline of identity channel i.
std::vector<double> RawOf(const IdentitySpline& fixed, int64_t i) {
  std::vector<double> raw;
  AppendRow(fixed.widths, i, fixed.spline.bins, raw);
  AppendRow(fixed.heights, i, fixed.spline.bins, raw);
  AppendRow(fixed.derivatives, i, fixed.spline.bins - 1, raw);
  return raw;
}

LayerStep Forward(const Coupling& op, const ReferenceEvent& x, const Context& context) {
  LayerStep step;
  step.event = x;
  MapTransformed(op, PickChannels(x, op.identity), context, ForwardMap, step);
  for (size_t i = 0; i < op.identity.size() && op.identity_spline.has_value(); ++i) {
    const std::vector<double> raw = RawOf(*op.identity_spline, i);
    for (int64_t p = 0; p < x.positions(); ++p) {
      const ReferencePoint point = ForwardPoint(op.identity_spline->spline, raw, x.at(op.identity[i], p));
      step.event.at(op.identity[i], p) = point.value;
      AddTerm(point.log_derivative, 1, step);
    }
  }
  return step;
}

ReferenceEvent Inverse(const Coupling& op, const ReferenceEvent& y, const Context& context) {
  LayerStep step;
  step.event = y;
  for (size_t i = 0; i < op.identity.size() && op.identity_spline.has_value(); ++i) {
    const std::vector<double> raw = RawOf(*op.identity_spline, i);
    for (int64_t p = 0; p < y.positions(); ++p) {
      double& number = step.event.at(op.identity[i], p);
      number = InversePoint(op.identity_spline->spline, raw, number).value;
    }
  }
  MapTransformed(op, PickChannels(step.event, op.identity), context, InverseMap, step);
  return step.event;
}

// --- autoregressive ---

LayerStep Forward(const Autoregressive& op, const ReferenceEvent& x, const Context& context) {
  LayerStep step;
  step.event = x;
  const ReferencePoints points = EncodeAutoregressive(op, x, context);
  for (size_t i = 0; i < points.size(); ++i) {
    step.event.values[i] = points[i].value;
    AddTerm(points[i].log_derivative, 1, step);
  }
  return step;
}

ReferenceEvent Inverse(const Autoregressive& op, const ReferenceEvent& y, const Context& context) {
  ReferenceEvent x = y;
  const ReferencePoints points = DecodeAutoregressive(op, y, context);
  for (size_t i = 0; i < points.size(); ++i) x.values[i] = points[i].value;
  return x;
}

// --- what is done elsewhere: split by the flow, linear above ---

LayerStep Forward(const Split&, const ReferenceEvent&, const Context&) { std::abort(); }
ReferenceEvent Inverse(const Split&, const ReferenceEvent&, const Context&) { std::abort(); }
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
