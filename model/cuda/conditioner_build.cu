// Conditioner<T>'s constructor: a Net -> steps over numbered buffers. A buffer that an outer residual still
// needs is never written. Twin: conditioner.cu runs the steps.

#include <algorithm>
#include <optional>
#include <utility>

#include "model/cuda/conditioner.h"

namespace glowworm::cuda {

template <typename T>
class Conditioner<T>::Builder {
 public:
  Builder(const ConditionerShape& shape, ConstantPool* constants, Conditioner* out)
      : shape_(shape), constants_(constants), out_(out) {
    slot_ = TakeSlot(shape.in);
    width_ = shape.in;
  }

  void Build(const Net& net) {
    AddOps(net, kNowhere);
    out_->out_slot_ = slot_;
    out_->out_width_ = width_;
  }

 private:
  // As a slot to accumulate into: none, the product goes to a slot of its own.
  static constexpr int kNowhere = -1;

  int TakeSlot(int64_t width) {
    auto free = std::find(in_use_.begin(), in_use_.end(), false);
    if (free == in_use_.end()) {
      in_use_.push_back(false);
      out_->slot_width_.push_back(0);
      free = in_use_.end() - 1;
    }
    *free = true;
    const int slot = static_cast<int>(free - in_use_.begin());
    out_->slot_width_[slot] = std::max(out_->slot_width_[slot], width);
    return slot;
  }
  bool Protected(int slot) const { return std::find(kept_.begin(), kept_.end(), slot) != kept_.end(); }
  // The current value moves to `slot`; its old buffer is free unless a residual keeps it.
  void MoveTo(int slot, int64_t width) {
    if (slot != slot_ && !Protected(slot_)) in_use_[slot_] = false;
    slot_ = slot;
    width_ = width;
  }

  // into: a residual's sum, or kNowhere. The activation is not that of a sum.
  void AddProduct(int64_t in, int64_t out, const std::vector<double>& weight, const std::vector<double>& bias,
                  const std::optional<Activation>& activation, int into) {
    const int to = into != kNowhere ? into : TakeSlot(out);
    out_->steps_.push_back(Multiply{Product<T>(in, out, weight, constants_), constants_->Add<T>(bias),
                                    activation, into != kNowhere, slot_, to});
    MoveTo(to, out);
  }

  void AddOps(const Net& net, int into) {
    for (size_t i = 0; i < net.ops.size(); ++i) {
      const bool last = i + 1 == net.ops.size();
      const auto& op = net.ops[i].op;
      std::optional<Activation> fused;
      if (!last && (std::holds_alternative<Dense>(op) || std::holds_alternative<Conv>(op))) {
        if (const auto* next = std::get_if<Activation>(&net.ops[i + 1].op)) fused = *next;
      }
      const int sum = last ? into : kNowhere;
      if (const auto* dense = std::get_if<Dense>(&op)) {
        AddProduct(dense->in, dense->out, dense->weight, dense->bias, fused, sum);
      } else if (const auto* conv = std::get_if<Conv>(&op)) {
        AddConvolution(*conv, fused, sum);
      } else if (const auto* activation = std::get_if<Activation>(&op)) {
        const int to = Protected(slot_) ? TakeSlot(width_) : slot_;
        out_->steps_.push_back(Apply{*activation, width_, slot_, to});
        MoveTo(to, width_);
      } else if (std::holds_alternative<ConcatContext>(op)) {
        const int to = TakeSlot(width_ + shape_.context_size);
        out_->steps_.push_back(Append{width_, slot_, to});
        MoveTo(to, width_ + shape_.context_size);
      } else {
        AddResidual(std::get<Residual>(op));
      }
      if (fused) ++i;
    }
  }

  // A product with the unfolded windows; a 1x1 convolution is a product already.
  void AddConvolution(const Conv& conv, const std::optional<Activation>& fused, int into) {
    const int64_t window = conv.k * conv.k;
    if (window > 1 || conv.pad == Pad::kEdgeChannel) {
      const int64_t features = conv.pad == Pad::kEdgeChannel ? conv.in - 1 : conv.in;
      const int to = TakeSlot(window * conv.in);
      out_->steps_.push_back(Unfold{conv.pad, features, conv.k, slot_, to});
      MoveTo(to, window * conv.in);
    }
    std::vector<double> weight(conv.weight.size());  // (out, in, k, k) -> (out, k, k, in)
    for (int64_t o = 0; o < conv.out; ++o) {
      for (int64_t i = 0; i < conv.in; ++i) {
        for (int64_t j = 0; j < window; ++j) {
          weight[(o * window + j) * conv.in + i] = conv.weight[(o * conv.in + i) * window + j];
        }
      }
    }
    AddProduct(window * conv.in, conv.out, weight, conv.bias, fused, into);
  }

  void AddResidual(const Residual& residual) {
    if (Protected(slot_)) {  // the sum is made in place, and an outer residual needs this value
      const int to = TakeSlot(width_);
      out_->steps_.push_back(Copy{width_, slot_, to});
      MoveTo(to, width_);
    }
    const int base = slot_;
    const int64_t width = width_;
    const std::vector<NetOp>& body = residual.body.ops;
    const bool ends_in_product = !body.empty() && (std::holds_alternative<Dense>(body.back().op) ||
                                                   std::holds_alternative<Conv>(body.back().op));
    // A product that reads its own sum's buffer would meet its results.
    const bool fuse = ends_in_product && !residual.context_gate && body.size() > 1;
    kept_.push_back(base);
    AddOps(residual.body, fuse ? base : kNowhere);
    kept_.pop_back();
    if (fuse) return;
    int gate = -1;
    if (residual.context_gate) {
      const ContextGate& g = *residual.context_gate;
      gate = TakeSlot(g.out);
      out_->steps_.push_back(
          Gate{Product<T>(g.context_size, g.out, g.weight, constants_), constants_->Add<T>(g.bias), gate});
    }
    out_->steps_.push_back(Add{width, slot_, base, gate});
    if (gate >= 0) in_use_[gate] = false;
    MoveTo(base, width);
  }

  const ConditionerShape shape_;
  ConstantPool* const constants_;
  Conditioner* const out_;
  std::vector<bool> in_use_;
  std::vector<int> kept_;  // the inputs of the residuals being built
  int slot_ = 0;           // where the current value lies
  int64_t width_ = 0;
};

template <typename T>
Conditioner<T>::Conditioner(const Net& net, const ConditionerShape& shape, ConstantPool* constants)
    : shape_(shape) {
  Builder(shape, constants, this).Build(net);
}

template Conditioner<float>::Conditioner(const Net&, const ConditionerShape&, ConstantPool*);
template Conditioner<double>::Conditioner(const Net&, const ConditionerShape&, ConstantPool*);

}  // namespace glowworm::cuda
