// Implements model/cpu/row_width.h.

#include "model/cpu/row_width.h"

#include <algorithm>
#include <variant>

#include "model/cpu/arena.h"

namespace glowworm {
namespace {

// The same of a net, a position.
struct NetWidth {
  int64_t activation = 0, buffer = 0;
};

NetWidth WidthOf(const Net& net, int64_t in, int64_t context_size) {
  NetWidth widest{in, in};
  int64_t width = in;
  const auto include = [&](int64_t activation, int64_t buffer) {
    widest = {std::max(widest.activation, activation), std::max(widest.buffer, std::max(activation, buffer))};
  };
  for (const NetOp& op : net.ops) {
    if (const auto* dense = std::get_if<Dense>(&op.op)) {
      width = dense->out;
    } else if (const auto* conv = std::get_if<Conv>(&op.op)) {
      const int64_t folded = conv->pad == Pad::kZero ? std::min(conv->in, conv->out) : conv->in;
      include(width, folded * conv->k * conv->k);
      width = conv->out;
    } else if (std::holds_alternative<ConcatContext>(op.op)) {
      width += context_size;
    } else if (const auto* residual = std::get_if<Residual>(&op.op)) {
      const NetWidth body = WidthOf(residual->body, width, context_size);
      include(body.activation, body.buffer);
    }
    include(width, width);
  }
  return widest;
}

// Units that the ops add, which read *width units and leave *width.
int64_t CountOps(const Net& net, int64_t context_size, int64_t* width) {
  int64_t units = 0;
  for (const NetOp& op : net.ops) {
    if (const auto* dense = std::get_if<Dense>(&op.op)) {
      *width = dense->out;
    } else if (std::holds_alternative<ConcatContext>(op.op)) {
      *width += context_size;
    } else if (const auto* residual = std::get_if<Residual>(&op.op)) {
      int64_t body = *width;
      units += CountOps(residual->body, context_size, &body);
      if (residual->context_gate) units += 2 * *width;
    }
    units += *width;
  }
  return units;
}

int64_t CountUnits(const Net& net, int64_t features, int64_t context_size) {
  int64_t width = features;
  return features + context_size + CountOps(net, context_size, &width);
}

}  // namespace

RowWidth WidthOf(const Plan& plan) {
  RowWidth width;
  for (const PlanOp& op : plan.ops) {
    NetWidth net{op.in.channels, op.in.channels};
    const auto consider = [&](const Net& conditioner, size_t in) {
      const NetWidth w = WidthOf(conditioner, static_cast<int64_t>(in), plan.context_size);
      net = {std::max(net.activation, w.activation), std::max(net.buffer, w.buffer)};
    };
    if (const auto* affine = std::get_if<AffineCoupling>(&op.op))
      consider(affine->net, affine->identity.size());
    if (const auto* additive = std::get_if<AdditiveCoupling>(&op.op)) {
      consider(additive->net, additive->identity.size());
    }
    if (const auto* spline = std::get_if<SplineCoupling>(&op.op))
      consider(spline->net, spline->identity.size());
    if (const auto* masked = std::get_if<AutoregressiveMap>(&op.op)) {
      const auto features = static_cast<int64_t>(masked->features.size());
      consider(masked->net, masked->features.size());
      width.buffer = std::max(width.buffer, kLane * CountUnits(masked->net, features, plan.context_size));
    }
    if (const auto* emit = std::get_if<EmitLatent>(&op.op)) consider(emit->density.net, emit->keep.size());
    width.activation = std::max(width.activation, net.activation * op.in.positions());
    width.buffer = std::max(width.buffer, net.buffer * op.in.positions());
  }
  return width;
}

}  // namespace glowworm
