// See random_net.h.

#include "tests/testing/random_net.h"

#include <cmath>
#include <utility>
#include <variant>

namespace glowworm {
namespace {

constexpr double kLastGain = 0.3;

// A dense op over rows, a convolution over images; `gain` scales its outputs.
NetOp Product(const NetOptions& options, int64_t in, int64_t out, bool image, int64_t kernel, double gain,
              RandomNumbers& random) {
  const std::vector<double> bias = options.bias ? random.Normals(out, 0, 0.2 * gain) : std::vector<double>();
  if (!image) {
    Dense dense;
    dense.out = out;
    dense.in = in;
    dense.weight = random.Normals(out * in, 0, gain / std::sqrt(in));
    dense.bias = bias;
    return {dense};
  }
  Conv conv;
  conv.pad = options.pad;
  conv.out = out;
  conv.in = in + (options.pad == Pad::kEdgeChannel ? 1 : 0);
  conv.k = kernel;
  conv.weight = random.Normals(out * conv.in * kernel * kernel, 0, gain / std::sqrt(in * kernel * kernel));
  conv.bias = bias;
  return {conv};
}

NetOp Activate(const NetOptions& options) {
  return {Activation{options.activation, options.activation == ActivationKind::kLeakyRelu ? 0.01 : 0}};
}

ContextGate RandomGate(int64_t out, int64_t context_size, RandomNumbers& random) {
  ContextGate gate;
  gate.out = out;
  gate.context_size = context_size;
  gate.weight = random.Normals(out * context_size, 0, 0.5);
  gate.bias = random.Normals(out, 0, 0.5);
  return gate;
}

// The degree of every unit of a layer; a context's units have degree 0, feature order[k] has k + 1.
using Degrees = std::vector<int64_t>;

// From 0, which reads the context alone, to D - 1.
Degrees HiddenDegrees(int64_t count, int64_t features, RandomNumbers& random) {
  Degrees degrees(count);
  for (int64_t& degree : degrees) degree = random.Below(features);
  return degrees;
}

// Zeroes what unit o may not read: degrees above its own, or from its own on if `strict`.
NetOp Masked(NetOp op, const Degrees& in, const Degrees& out, bool strict) {
  Dense& dense = std::get<Dense>(op.op);
  for (int64_t o = 0; o < dense.out; ++o) {
    for (int64_t i = 0; i < dense.in; ++i) {
      if (in[i] > out[o] || (strict && in[i] == out[o])) dense.weight[o * dense.in + i] = 0;
    }
  }
  return op;
}

}  // namespace

Net RandomNet(const NetOptions& options, int64_t in, int64_t out, bool image, int64_t context_size,
              RandomNumbers& random) {
  const int64_t hidden = options.hidden;
  Net net;
  if (options.concat && context_size > 0 && !image) {
    net.ops.push_back({ConcatContext{}});
    in += context_size;
  }
  net.ops.push_back(Product(options, in, hidden, image, options.kernel, 1, random));
  if (options.residual) {
    Residual residual;
    residual.body.ops.push_back(Activate(options));
    residual.body.ops.push_back(Product(options, hidden, hidden, image, 1, 0.7, random));
    residual.body.ops.push_back(Activate(options));
    residual.body.ops.push_back(Product(options, hidden, hidden, image, options.kernel, 0.7, random));
    if (options.gate && context_size > 0) residual.context_gate = RandomGate(hidden, context_size, random);
    net.ops.push_back({std::move(residual)});
  } else {
    net.ops.push_back(Activate(options));
    net.ops.push_back(Product(options, hidden, hidden, image, 1, 1, random));
  }
  net.ops.push_back(Activate(options));
  net.ops.push_back(Product(options, hidden, out, image, options.kernel, kLastGain, random));
  return net;
}

Net RandomMaskedNet(const NetOptions& options, const std::vector<int64_t>& order, int64_t block,
                    int64_t context_size, RandomNumbers& random) {
  const int64_t features = static_cast<int64_t>(order.size());
  Degrees in(features), out(features * block);
  for (int64_t k = 0; k < features; ++k) {
    in[order[k]] = k + 1;
    for (int64_t j = 0; j < block; ++j) out[order[k] * block + j] = k + 1;
  }
  const Degrees hidden = HiddenDegrees(options.hidden, features, random);
  const Degrees inner = HiddenDegrees(options.hidden, features, random);
  const auto product = [&](const Degrees& from, const Degrees& to, double gain, bool strict) {
    const int64_t from_size = static_cast<int64_t>(from.size()), to_size = static_cast<int64_t>(to.size());
    return Masked(Product(options, from_size, to_size, false, 1, gain, random), from, to, strict);
  };
  Net net;
  if (options.concat && context_size > 0) {
    net.ops.push_back({ConcatContext{}});
    in.insert(in.end(), context_size, 0);
  }
  net.ops.push_back(product(in, hidden, 1, false));
  if (options.residual) {
    Residual residual;
    residual.body.ops.push_back(Activate(options));
    residual.body.ops.push_back(product(hidden, inner, 0.7, false));
    residual.body.ops.push_back(Activate(options));
    residual.body.ops.push_back(product(inner, hidden, 0.7, false));
    if (options.gate && context_size > 0)
      residual.context_gate = RandomGate(options.hidden, context_size, random);
    net.ops.push_back({std::move(residual)});
    net.ops.push_back(Activate(options));
    net.ops.push_back(product(hidden, out, kLastGain, true));
    return net;
  }
  net.ops.push_back(Activate(options));
  net.ops.push_back(product(hidden, inner, 1, false));
  net.ops.push_back(Activate(options));
  net.ops.push_back(product(inner, out, kLastGain, true));
  return net;
}

NetOptions AnyNetOptions(RandomNumbers& random) {
  NetOptions options;
  options.activation = static_cast<ActivationKind>(random.Below(8));
  options.pad = static_cast<Pad>(random.Below(3));
  options.kernel = 1 + 2 * random.Below(3);
  const int64_t hiddens[] = {3, 8, 17, 32};
  options.hidden = hiddens[random.Below(4)];
  options.bias = random.Below(4) != 0;
  options.residual = random.Coin();
  options.gate = random.Coin();
  options.concat = random.Coin();
  return options;
}

}  // namespace glowworm
