// Implements tests/bench/plan_cost.h.

#include "tests/bench/plan_cost.h"

#include <cstdint>
#include <variant>

namespace glowworm {
namespace bench {
namespace {

// Counts one op, whose numbers have `width` bytes.
class Counter {
 public:
  Counter(const EventShape& in, const EventShape& out, int64_t width, PlanCost* cost)
      : in_(in), out_(out), width_(width), cost_(cost) {}

  void operator()(const ElementwiseAffine&) { Move(in_.size() + out_.size()); }
  void operator()(const SqueezeMove&) { Move(in_.size() + out_.size()); }
  void operator()(const LogitMap&) { Move(in_.size() + out_.size()); }
  void operator()(const ChannelMix& op) { Multiply(op.channels, op.channels); }
  void operator()(const AffineCoupling& op) { Couple(op); }
  void operator()(const AdditiveCoupling& op) { Couple(op); }
  void operator()(const SplineCoupling& op) { Couple(op); }
  void operator()(const FixedSpline& op) { Move(2 * Size(op.channels) * positions()); }
  void operator()(const AutoregressiveMap& op) {
    Count(op.net);
    Move(in_.size() + out_.size());
  }
  void operator()(const EmitLatent& op) {
    if (op.density.kind == NormalDensity::Kind::kNet) Count(op.density.net);
    Move(in_.size() + out_.size());
  }

 private:
  int64_t positions() const { return in_.positions(); }
  static int64_t Size(const std::vector<int64_t>& channels) { return static_cast<int64_t>(channels.size()); }

  void Move(int64_t numbers) { cost_->row_bytes += static_cast<double>(numbers * width_); }
  // At each position: `taps` windows of `in` numbers -> `out` numbers.
  void Multiply(int64_t in, int64_t out, int64_t taps = 1) {
    cost_->operations += 2.0 * static_cast<double>(in * out * taps * positions());
    cost_->weight_bytes += static_cast<double>(in * out * taps * width_);
    Move((in + out) * positions());
  }

  template <typename Coupling>
  void Couple(const Coupling& op) {
    Count(op.net);
    Move(2 * Size(op.transformed) * positions());
  }

  void Count(const Net& net) {
    for (const NetOp& op : net.ops) {
      if (const auto* dense = std::get_if<Dense>(&op.op)) Multiply(dense->in, dense->out);
      if (const auto* conv = std::get_if<Conv>(&op.op)) Multiply(conv->in, conv->out, conv->k * conv->k);
      const auto* residual = std::get_if<Residual>(&op.op);
      if (residual == nullptr) continue;
      Count(residual->body);
      if (!residual->context_gate.has_value()) continue;
      const ContextGate& gate = *residual->context_gate;
      cost_->operations += 2.0 * static_cast<double>(gate.out * gate.context_size);
      cost_->weight_bytes += static_cast<double>(gate.out * gate.context_size * width_);
    }
  }

  const EventShape& in_;
  const EventShape& out_;
  const int64_t width_;
  PlanCost* const cost_;
};

}  // namespace

PlanCost CountCost(const Plan& plan) {
  PlanCost cost;
  for (size_t i = 0; i < plan.ops.size(); ++i) {
    const PlanOp& op = plan.ops[i];
    const auto* mix = std::get_if<ChannelMix>(&op.op);
    const bool wide = i < plan.leading || (mix != nullptr && mix->wide);
    std::visit(Counter(op.in, op.out, wide ? sizeof(double) : sizeof(float), &cost), op.op);
  }
  return cost;
}

}  // namespace bench
}  // namespace glowworm
