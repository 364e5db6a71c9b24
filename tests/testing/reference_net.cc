// See reference_net.h. Tested by tests/model/reference_test.cc.

#include "tests/testing/reference_net.h"

#include <cmath>
#include <cstdlib>
#include <variant>

namespace glowworm {
namespace {

ReferenceEvent Apply(const Dense& op, const ReferenceEvent& in, const std::vector<double>&) {
  if (in.positions() != 1 || in.channels != op.in) std::abort();  // dense works on rows
  ReferenceEvent out = ZeroEvent(op.out, 1, 1);
  for (int64_t o = 0; o < op.out; ++o) {
    double sum = op.bias.empty() ? 0 : op.bias[o];
    for (int64_t i = 0; i < op.in; ++i) sum += op.weight[o * op.in + i] * in.values[i];
    out.values[o] = sum;
  }
  return out;
}

// What the convolution sees at (c, y, x), which may lie outside the image.
double Padded(const Conv& op, const ReferenceEvent& in, int64_t c, int64_t y, int64_t x) {
  const bool inside = y >= 0 && y < in.height && x >= 0 && x < in.width;
  if (c == in.channels) return inside ? 0 : 1;  // the edge channel
  if (inside) return in.at(c, y * in.width + x);
  return op.pad == Pad::kOne ? 1 : 0;
}

ReferenceEvent Apply(const Conv& op, const ReferenceEvent& in, const std::vector<double>&) {
  if (op.in != in.channels + (op.pad == Pad::kEdgeChannel ? 1 : 0)) std::abort();
  ReferenceEvent out = ZeroEvent(op.out, in.height, in.width);
  const int64_t reach = op.k / 2;
  for (int64_t o = 0; o < op.out; ++o) {
    for (int64_t y = 0; y < in.height; ++y) {
      for (int64_t x = 0; x < in.width; ++x) {
        double sum = op.bias.empty() ? 0 : op.bias[o];
        for (int64_t i = 0; i < op.in; ++i) {
          for (int64_t ky = 0; ky < op.k; ++ky) {
            for (int64_t kx = 0; kx < op.k; ++kx) {
              sum += op.weight[((o * op.in + i) * op.k + ky) * op.k + kx] *
                     Padded(op, in, i, y + ky - reach, x + kx - reach);
            }
          }
        }
        out.at(o, y * in.width + x) = sum;
      }
    }
  }
  return out;
}

double Activate(const Activation& op, double v) {
  switch (op.kind) {
    case ActivationKind::kRelu:
      return v > 0 ? v : 0;
    case ActivationKind::kLeakyRelu:
      return v > 0 ? v : op.slope * v;
    case ActivationKind::kTanh:
      return std::tanh(v);
    case ActivationKind::kElu:
      return v > 0 ? v : std::expm1(v);
    case ActivationKind::kSilu:
      return v * ReferenceSigmoid(v);
    case ActivationKind::kGelu:
      return 0.5 * v * (1 + std::erf(v / std::sqrt(2.0)));
    case ActivationKind::kSigmoid:
      return ReferenceSigmoid(v);
    case ActivationKind::kSoftplus:
      return ReferenceSoftplus(v);
  }
  std::abort();
}

ReferenceEvent Apply(const Activation& op, const ReferenceEvent& in, const std::vector<double>&) {
  ReferenceEvent out = in;
  for (double& v : out.values) v = Activate(op, v);
  return out;
}

ReferenceEvent Apply(const Residual& op, const ReferenceEvent& in, const std::vector<double>& context) {
  ReferenceEvent out = EvaluateNet(op.body, in, context);
  if (out.values.size() != in.values.size()) std::abort();
  for (int64_t c = 0; c < out.channels; ++c) {
    double gate = 1;
    if (op.context_gate.has_value()) {
      const ContextGate& g = *op.context_gate;
      double sum = g.bias[c];
      for (int64_t j = 0; j < g.context_size; ++j) sum += g.weight[c * g.context_size + j] * context[j];
      gate = ReferenceSigmoid(sum);
    }
    for (int64_t p = 0; p < out.positions(); ++p) out.at(c, p) = in.at(c, p) + out.at(c, p) * gate;
  }
  return out;
}

ReferenceEvent Apply(const ConcatContext&, const ReferenceEvent& in, const std::vector<double>& context) {
  if (in.positions() != 1) std::abort();
  ReferenceEvent out = in;
  out.values.insert(out.values.end(), context.begin(), context.end());
  out.channels = static_cast<int64_t>(out.values.size());
  return out;
}

}  // namespace

ReferenceEvent ZeroEvent(int64_t channels, int64_t height, int64_t width) {
  ReferenceEvent event;
  event.channels = channels;
  event.height = height;
  event.width = width;
  event.values.assign(channels * height * width, 0);
  return event;
}

ReferenceEvent PickChannels(const ReferenceEvent& event, const std::vector<int64_t>& index) {
  ReferenceEvent out = ZeroEvent(static_cast<int64_t>(index.size()), event.height, event.width);
  for (int64_t c = 0; c < out.channels; ++c) {
    for (int64_t p = 0; p < event.positions(); ++p) out.at(c, p) = event.at(index[c], p);
  }
  return out;
}

ReferenceEvent EvaluateNet(const Net& net, const ReferenceEvent& in, const std::vector<double>& context) {
  ReferenceEvent event = in;
  for (const NetOp& op : net.ops) {
    event = std::visit([&](const auto& typed) { return Apply(typed, event, context); }, op.op);
  }
  return event;
}

double ReferenceSoftplus(double v) { return std::fmax(v, 0) + std::log1p(std::exp(-std::fabs(v))); }

double ReferenceSigmoid(double v) {
  // exp(-v) may be infinite, which gives the right 0.
  return 1 / (1 + std::exp(-v));
}

}  // namespace glowworm
