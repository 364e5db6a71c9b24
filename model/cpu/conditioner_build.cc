// Conditioner<T>::Create: a Net -> steps over numbered buffers. A buffer that an outer residual still needs
// is never written. Twin: conditioner.cc runs the steps.

#include <algorithm>
#include <optional>
#include <type_traits>
#include <utility>

#include "absl/status/status.h"
#include "model/cpu/bfloat16.h"
#include "model/cpu/conditioner.h"

namespace glowworm {
namespace {

// oneDNN's convolution wants this many channels on both sides; a narrower one, or one with another padding
// than zeros, is unfolded into a product.
constexpr int64_t kMinDirectChannels = 16;

}  // namespace

template <typename T>
class Conditioner<T>::Builder {
 public:
  Builder(const ConditionerShape& shape, int64_t max_tile_rows, PrimitiveSet* primitives, Conditioner* out)
      : shape_(shape), max_tile_rows_(max_tile_rows), primitives_(primitives), out_(out) {
    slot_ = TakeSlot(shape.in);
    width_ = shape.in;
  }

  absl::Status Finish(const Net& net) {
    absl::Status status = AddOps(net);
    out_->out_slot_ = slot_;
    out_->out_width_ = width_;
    if (static_cast<int>(out_->slot_width_.size()) > Buffers::kMaxSlots) {
      return absl::InvalidArgumentError("a conditioner network nests too many residual blocks");
    }
    return status;
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

  int64_t positions() const { return shape_.height * shape_.width; }

  absl::StatusOr<Product<T>> MakeProduct(ProductShape shape, const std::vector<double>& weight,
                                         const std::vector<double>& bias) const {
    shape.type = primitives_->conditioner_type();
    if (shape.type == ProductType::kBfloat16) shape.min_call = MinBfloat16Call();
    return Product<T>::Create(shape, weight, bias, max_tile_rows_, primitives_);
  }

  absl::Status Multiplied(int64_t in, int64_t out, const std::vector<double>& weight,
                          const std::vector<double>& bias, std::optional<Activation> activation,
                          int accumulate_into, int64_t window = 0) {
    const ProductShape shape{in,     out,           positions(), activation, accumulate_into != kNowhere,
                             window, shape_.height, shape_.width};
    absl::StatusOr<Product<T>> product = MakeProduct(shape, weight, bias);
    if (!product.ok()) return product.status();
    const int to = accumulate_into != kNowhere ? accumulate_into : TakeSlot(out);
    out_->steps_.push_back(Multiply{*std::move(product), slot_, to});
    MoveTo(to, out);
    return absl::OkStatus();
  }

  absl::Status AddOps(const Net& net, int accumulate_into = kNowhere) {
    for (size_t i = 0; i < net.ops.size(); ++i) {
      const bool last = i + 1 == net.ops.size();
      const auto& op = net.ops[i].op;
      std::optional<Activation> fused;
      const bool product = std::holds_alternative<Dense>(op) || std::holds_alternative<Conv>(op);
      if (product && !last) {
        if (const auto* next = std::get_if<Activation>(&net.ops[i + 1].op)) fused = *next;
      }
      const int into = last ? accumulate_into : kNowhere;
      absl::Status status;
      if (const auto* dense = std::get_if<Dense>(&op)) {
        status = Multiplied(dense->in, dense->out, dense->weight, dense->bias, fused, into);
      } else if (const auto* conv = std::get_if<Conv>(&op)) {
        status = Convolved(*conv, fused, into);
      } else if (const auto* activation = std::get_if<Activation>(&op)) {
        const int to = Protected(slot_) ? TakeSlot(width_) : slot_;
        out_->steps_.push_back(Apply{*activation, width_, slot_, to});
        MoveTo(to, width_);
      } else if (std::holds_alternative<ConcatContext>(op)) {
        const int to = TakeSlot(width_ + shape_.context_size);
        out_->steps_.push_back(Append{width_, slot_, to});
        MoveTo(to, width_ + shape_.context_size);
      } else {
        status = Resided(std::get<Residual>(op));
      }
      if (!status.ok()) return status;
      if (fused) ++i;
    }
    return absl::OkStatus();
  }

  absl::Status Convolved(const Conv& conv, std::optional<Activation> fused, int into) {
    if (conv.k == 1 && conv.pad != Pad::kEdgeChannel) {
      return Multiplied(conv.in, conv.out, conv.weight, conv.bias, fused, into);
    }
    if (std::is_same_v<T, float> && conv.pad == Pad::kZero &&
        std::min(conv.in, conv.out) >= kMinDirectChannels) {
      const absl::Status direct = Multiplied(conv.in, conv.out, conv.weight, conv.bias, fused, into, conv.k);
      if (!absl::IsUnimplemented(direct)) return direct;  // oneDNN has no fast kernel for some small images
    }
    if (conv.pad == Pad::kZero && conv.out < conv.in) return Folded(conv, fused, into);
    const int64_t window = conv.k * conv.k;
    const int64_t features = conv.pad == Pad::kEdgeChannel ? conv.in - 1 : conv.in;
    std::vector<double> weight(conv.weight.size());  // (out, in, k, k) -> (out, k, k, in)
    for (int64_t o = 0; o < conv.out; ++o) {
      for (int64_t i = 0; i < conv.in; ++i) {
        for (int64_t j = 0; j < window; ++j) {
          weight[(o * window + j) * conv.in + i] = conv.weight[(o * conv.in + i) * window + j];
        }
      }
    }
    const int to = TakeSlot(window * conv.in);
    out_->steps_.push_back(Unfold{conv.pad, features, conv.k, slot_, to});
    MoveTo(to, window * conv.in);
    return Multiplied(window * conv.in, conv.out, weight, conv.bias, fused, into);
  }

  // A product to (k, k, out) channels, whose results are then added up where they belong.
  absl::Status Folded(const Conv& conv, std::optional<Activation> activation, int into) {
    const int64_t window = conv.k * conv.k;
    std::vector<double> weight(conv.weight.size());  // (out, in, k, k) -> (k, k, out, in)
    for (int64_t o = 0; o < conv.out; ++o) {
      for (int64_t i = 0; i < conv.in; ++i) {
        for (int64_t j = 0; j < window; ++j) {
          weight[(j * conv.out + o) * conv.in + i] = conv.weight[(o * conv.in + i) * window + j];
        }
      }
    }
    absl::Status status = Multiplied(conv.in, window * conv.out, weight, {}, std::nullopt, kNowhere);
    if (!status.ok()) return status;
    std::vector<T> bias(conv.out, T(0));
    std::copy(conv.bias.begin(), conv.bias.end(), bias.begin());
    const int to = into != kNowhere ? into : TakeSlot(conv.out);
    out_->steps_.push_back(Fold{conv.out, conv.k, into != kNowhere, std::move(bias), slot_, to});
    MoveTo(to, conv.out);
    if (activation) out_->steps_.push_back(Apply{*activation, conv.out, slot_, slot_});
    return absl::OkStatus();
  }

  absl::Status Resided(const Residual& residual) {
    if (Protected(slot_)) {  // the sum is made in place, and an outer residual needs this value
      const int to = TakeSlot(width_);
      out_->steps_.push_back(Copy{width_, slot_, to});
      MoveTo(to, width_);
    }
    const int base = slot_;
    const int64_t width = width_;
    kept_.push_back(base);
    const bool ends_in_product =
        !residual.body.ops.empty() && (std::holds_alternative<Dense>(residual.body.ops.back().op) ||
                                       std::holds_alternative<Conv>(residual.body.ops.back().op));
    const bool fuse = ends_in_product && !residual.context_gate && residual.body.ops.size() > 1;
    absl::Status status = AddOps(residual.body, fuse ? base : kNowhere);
    kept_.pop_back();
    if (!status.ok() || fuse) return status;
    int gate = -1;
    if (residual.context_gate) {
      const ContextGate& g = *residual.context_gate;
      absl::StatusOr<Product<T>> product = MakeProduct(
          {g.context_size, g.out, 1, Activation{ActivationKind::kSigmoid, 0}, false}, g.weight, g.bias);
      if (!product.ok()) return product.status();
      gate = TakeSlot(g.out);
      out_->steps_.push_back(Gate{*std::move(product), gate});
    }
    out_->steps_.push_back(Add{width, slot_, base, gate});
    if (gate >= 0) in_use_[gate] = false;
    MoveTo(base, width);
    return absl::OkStatus();
  }

  const ConditionerShape shape_;
  const int64_t max_tile_rows_;
  PrimitiveSet* const primitives_;
  Conditioner* const out_;
  std::vector<bool> in_use_;
  std::vector<int> kept_;  // the inputs of the residuals being built
  int slot_ = 0;           // where the current value lies
  int64_t width_ = 0;
};

template <typename T>
absl::StatusOr<Conditioner<T>> Conditioner<T>::Create(const Net& net, const ConditionerShape& shape,
                                                      int64_t max_tile_rows, PrimitiveSet* primitives) {
  Conditioner conditioner;
  conditioner.shape_ = shape;
  absl::Status status = Builder(shape, max_tile_rows, primitives, &conditioner).Finish(net);
  if (!status.ok()) return status;
  return conditioner;
}

template absl::StatusOr<Conditioner<float>> Conditioner<float>::Create(const Net&, const ConditionerShape&,
                                                                       int64_t, PrimitiveSet*);
template absl::StatusOr<Conditioner<double>> Conditioner<double>::Create(const Net&, const ConditionerShape&,
                                                                         int64_t, PrimitiveSet*);

}  // namespace glowworm
