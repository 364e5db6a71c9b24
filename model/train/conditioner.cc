#include "model/train/conditioner.h"

#include <torch/nn/modules/container/modulelist.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>

#include <vector>

#include "model/train/flow_layer.h"

namespace glowworm {
namespace train {
namespace {

void StartAtZero(torch::Tensor weight, torch::Tensor bias) {
  torch::NoGradGuard no_grad;
  weight.zero_();
  bias.zero_();
}

// A block starts near zero, so that a deep net starts as a shallow one.
constexpr double kBlockStart = 1e-3;

NetOp ExportDense(const torch::nn::Linear& linear) {
  Dense dense;
  dense.out = linear->weight.size(0);
  dense.in = linear->weight.size(1);
  dense.weight = ToVector(linear->weight);
  dense.bias = ToVector(linear->bias);
  return {dense};
}

NetOp ExportConv(const torch::nn::Conv2d& module) {
  Conv conv;
  conv.out = module->weight.size(0);
  conv.in = module->weight.size(1);
  conv.k = module->weight.size(2);
  conv.weight = ToVector(module->weight);
  conv.bias = ToVector(module->bias);
  return {conv};
}

NetOp Relu() { return {Activation{ActivationKind::kRelu}}; }

class ResidualMlp : public Conditioner {
 public:
  ResidualMlp(int64_t in, const ContextScale& context, int64_t out, int64_t hidden, int64_t blocks,
              double dropout)
      : in_(in), dropout_(dropout), context_(context) {
    const int64_t context_size = has_context() ? context.mean.size(0) : 0;
    first_ = register_module("first", torch::nn::Linear(in + context_size, hidden));
    blocks_ = register_module("blocks", torch::nn::ModuleList());
    for (int64_t i = 0; i < blocks; ++i) {
      blocks_->push_back(torch::nn::Linear(hidden, hidden));
      torch::nn::Linear second(hidden, hidden);
      torch::NoGradGuard no_grad;
      second->weight.uniform_(-kBlockStart, kBlockStart);
      second->bias.uniform_(-kBlockStart, kBlockStart);
      blocks_->push_back(second);
    }
    last_ = register_module("last", torch::nn::Linear(hidden, out));
    StartAtZero(last_->weight, last_->bias);
  }

  torch::Tensor Forward(const torch::Tensor& x, const torch::Tensor& context) override {
    torch::Tensor h = x;
    if (has_context()) {
      const torch::Tensor scaled =
          (context.to(torch::kFloat64) - context_.mean.to(x.device())) / context_.deviation.to(x.device());
      h = torch::cat({x, scaled.to(x.scalar_type())}, 1);
    }
    h = first_(h);  // (n, hidden)
    for (size_t i = 0; i < blocks_->size(); i += 2) {
      torch::Tensor inner = torch::relu(Block(i)(torch::relu(h)));
      if (dropout_ > 0) inner = torch::dropout(inner, dropout_, is_training());
      h = h + Block(i + 1)(inner);
    }
    return last_(h);
  }

  Net Export() const override {
    Net net;
    if (has_context()) net.ops.push_back({ConcatContext{}});
    net.ops.push_back(ExportFirst());
    for (size_t i = 0; i < blocks_->size(); i += 2) {
      Residual residual;
      residual.body.ops = {Relu(), ExportDense(Block(i)), Relu(), ExportDense(Block(i + 1))};
      net.ops.push_back({residual});
    }
    net.ops.push_back(ExportDense(last_));
    return net;
  }

 private:
  torch::nn::Linear Block(size_t i) const {
    return torch::nn::Linear(std::dynamic_pointer_cast<torch::nn::LinearImpl>(blocks_->ptr(i)));
  }

  bool has_context() const { return context_.mean.defined(); }

  // W [x; (c - m) / d] + b as W' [x; c] + b'.
  NetOp ExportFirst() const {
    if (!has_context()) return ExportDense(first_);
    torch::NoGradGuard no_grad;
    const int64_t context_size = context_.mean.size(0);
    const torch::Tensor weight = first_->weight.to(torch::kFloat64, /*non_blocking=*/false, /*copy=*/true);
    torch::Tensor of_context = weight.narrow(1, in_, context_size);
    of_context.div_(context_.deviation);
    const torch::Tensor bias = first_->bias.to(torch::kFloat64) - torch::mv(of_context, context_.mean);
    return {Dense{weight.size(0), weight.size(1), ToVector(weight), ToVector(bias)}};
  }

  const int64_t in_;
  const double dropout_;
  const ContextScale context_;
  torch::nn::Linear first_{nullptr}, last_{nullptr};
  torch::nn::ModuleList blocks_{nullptr};
};

torch::nn::Conv2d SameConv(int64_t in, int64_t out, int64_t k) {
  return torch::nn::Conv2d(torch::nn::Conv2dOptions(in, out, k).padding(k / 2));
}

class ConvNet : public Conditioner {
 public:
  ConvNet(int64_t in, int64_t out, int64_t hidden) {
    first_ = register_module("first", SameConv(in, hidden, 3));
    second_ = register_module("second", SameConv(hidden, hidden, 1));
    last_ = register_module("last", SameConv(hidden, out, 3));
    StartAtZero(last_->weight, last_->bias);
  }

  torch::Tensor Forward(const torch::Tensor& x, const torch::Tensor& /*context*/) override {
    return last_(torch::relu(second_(torch::relu(first_(x)))));
  }

  Net Export() const override {
    return {{ExportConv(first_), Relu(), ExportConv(second_), Relu(), ExportConv(last_)}};
  }

 private:
  torch::nn::Conv2d first_{nullptr}, second_{nullptr}, last_{nullptr};
};

class ConvPrior : public Conditioner {
 public:
  ConvPrior(int64_t in, int64_t out) {
    conv_ = register_module("conv", SameConv(in, out, 3));
    StartAtZero(conv_->weight, conv_->bias);
  }

  torch::Tensor Forward(const torch::Tensor& x, const torch::Tensor& /*context*/) override {
    return conv_(x);
  }
  Net Export() const override { return {{ExportConv(conv_)}}; }

 private:
  torch::nn::Conv2d conv_{nullptr};
};

}  // namespace

std::shared_ptr<Conditioner> MakeResidualMlp(int64_t in, const ContextScale& context, int64_t out,
                                             int64_t hidden, int64_t blocks, double dropout) {
  return std::make_shared<ResidualMlp>(in, context, out, hidden, blocks, dropout);
}

std::shared_ptr<Conditioner> MakeConvNet(int64_t in, int64_t out, int64_t hidden) {
  return std::make_shared<ConvNet>(in, out, hidden);
}

std::shared_ptr<Conditioner> MakeConvPrior(int64_t in, int64_t out) {
  return std::make_shared<ConvPrior>(in, out);
}

}  // namespace train
}  // namespace glowworm
