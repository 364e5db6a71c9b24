// See random_net.h.

#include "tests/testing/random_net.h"

#include <cmath>
#include <utility>

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
