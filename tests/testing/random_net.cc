// See random_net.h.

#include "tests/testing/random_net.h"

#include <algorithm>
#include <cmath>
#include <optional>
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

// Of every unit of a layer: how many of the features, in their order, it may depend on. A context's units
// have degree 0.
using Degrees = std::vector<int64_t>;

// Builds a net op by op, masking each product so that no unit reads one of a higher degree.
class MaskedNet {
 public:
  MaskedNet(const NetOptions& options, const std::vector<int64_t>& order, int64_t context_size,
            RandomNumbers& random)
      : options_(options),
        random_(random),
        context_size_(context_size),
        features_(static_cast<int64_t>(order.size())),
        degrees_(order.size()) {
    for (int64_t k = 0; k < features_; ++k) degrees_[order[k]] = k + 1;
  }

  Net Take() { return std::move(net_); }

  void AddContext() {
    if (context_size_ == 0) return;
    net_.ops.push_back({ConcatContext{}});
    degrees_.insert(degrees_.end(), context_size_, 0);
  }
  void AddActivation() { net_.ops.push_back(Activate(options_)); }
  // Hidden units of degrees drawn at random.
  void AddHidden(double gain) {
    Degrees degrees(options_.hidden);
    for (int64_t& degree : degrees) degree = random_.Below(features_);
    AddProduct(degrees, gain);
  }
  void AddProduct(const Degrees& degrees, double gain) {
    const auto in = static_cast<int64_t>(degrees_.size()), out = static_cast<int64_t>(degrees.size());
    NetOp op = Product(options_, in, out, false, 1, gain, random_);
    Dense& dense = std::get<Dense>(op.op);
    for (int64_t o = 0; o < out; ++o) {
      for (int64_t i = 0; i < in; ++i) {
        if (degrees_[i] > degrees[o]) dense.weight[o * in + i] = 0;
      }
    }
    net_.ops.push_back(std::move(op));
    degrees_ = degrees;
  }
  // Activation, product, activation, product, and another residual among them if `nested`.
  void AddResidual(bool nested) {
    const Degrees ends = degrees_;
    Net before = std::move(net_);
    net_ = Net();
    AddActivation();
    AddHidden(0.7);
    if (nested) AddResidual(false);
    AddActivation();
    AddProduct(ends, 0.7);
    Residual residual{std::move(net_), std::nullopt};
    if (options_.gate && context_size_ > 0)
      residual.context_gate = RandomGate(static_cast<int64_t>(ends.size()), context_size_, random_);
    net_ = std::move(before);
    net_.ops.push_back({std::move(residual)});
  }

 private:
  const NetOptions& options_;
  RandomNumbers& random_;
  const int64_t context_size_, features_;
  Net net_;
  Degrees degrees_;  // of the units that the net has reached
};

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
  Degrees out(order.size() * block);
  for (size_t k = 0; k < order.size(); ++k)
    std::fill_n(out.begin() + order[k] * block, block, static_cast<int64_t>(k));
  MaskedNet net(options, order, context_size, random);
  if (options.concat) net.AddContext();
  if (options.residual && random.Below(4) == 0) net.AddResidual(false);  // around the features themselves
  net.AddHidden(1);
  if (options.residual) {
    net.AddResidual(random.Coin());
  } else {
    net.AddActivation();
    net.AddHidden(1);
  }
  net.AddActivation();
  if (options.concat && random.Below(3) == 0) net.AddContext();  // once more
  net.AddProduct(out, kLastGain);
  if (options.residual && random.Below(4) == 0) net.AddResidual(false);  // around the outputs
  return net.Take();
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
