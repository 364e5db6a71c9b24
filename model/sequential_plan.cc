// Implements model/sequential_plan.h: a Net -> values sorted by degree, and steps between them.

#include "model/sequential_plan.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "model/masked_net.h"

namespace glowworm {

class SequentialPlan::Builder {
 public:
  Builder(SequentialPlan* plan, int64_t num_degrees) : plan_(plan), num_degrees_(num_degrees) {}

  int AddValue(Degrees degrees) {
    Value value;
    std::vector<int64_t> sorted(degrees.size());
    std::iota(sorted.begin(), sorted.end(), int64_t{0});
    std::stable_sort(sorted.begin(), sorted.end(),
                     [&](int64_t a, int64_t b) { return degrees[a] < degrees[b]; });
    value.place.resize(degrees.size());
    for (size_t i = 0; i < sorted.size(); ++i) value.place[sorted[i]] = static_cast<int64_t>(i);
    value.up_to.assign(num_degrees_ + 1, 0);
    for (int64_t d : degrees) ++value.up_to[d + 1];
    std::partial_sum(value.up_to.begin(), value.up_to.end(), value.up_to.begin());
    value.at = plan_->num_units;
    plan_->num_units += value.size();
    plan_->values.push_back(std::move(value));
    degrees_.push_back(std::move(degrees));
    return static_cast<int>(plan_->values.size()) - 1;
  }

  int AddOps(const Net& net, int current) {
    for (const NetOp& op : net.ops) {
      if (const auto* dense = std::get_if<Dense>(&op.op)) {
        current = AddDense(*dense, current);
      } else if (const auto* activation = std::get_if<Activation>(&op.op)) {
        const int to = AddValue(degrees_[current]);
        plan_->steps.push_back(Apply{current, to, *activation});
        current = to;
      } else if (std::holds_alternative<ConcatContext>(op.op)) {
        current = AddContext(current);
      } else {
        current = AddResidual(std::get<Residual>(op.op), current);
      }
    }
    return current;
  }

 private:
  int AddDense(const Dense& dense, int from) {
    const int to = AddValue(DegreesAfter(dense, degrees_[from]));
    const Value& in = plan_->values[from];
    const Value& out = plan_->values[to];
    Multiply step;
    step.from = from;
    step.to = to;
    step.bias.assign(dense.out, 0.0);
    std::vector<int64_t> unit_at(dense.out), input_at(dense.in);  // sorted place -> number
    for (int64_t o = 0; o < dense.out; ++o) unit_at[out.place[o]] = o;
    for (int64_t i = 0; i < dense.in; ++i) input_at[in.place[i]] = i;
    for (int64_t o = 0; o < dense.out && !dense.bias.empty(); ++o) step.bias[out.place[o]] = dense.bias[o];
    for (int64_t d = 0; d < num_degrees_; ++d) {
      step.begin.push_back(static_cast<int64_t>(step.weight.size()));
      for (int64_t u = out.up_to[d]; u < out.up_to[d + 1]; ++u) {
        for (int64_t i = 0; i < in.up_to[d + 1]; ++i) {
          step.weight.push_back(dense.weight[unit_at[u] * dense.in + input_at[i]]);
        }
      }
    }
    plan_->steps.push_back(std::move(step));
    return to;
  }

  int AddContext(int from) {
    Degrees degrees = degrees_[from];
    degrees.insert(degrees.end(), plan_->values[kContext].size(), 0);
    const int to = AddValue(std::move(degrees));
    const int64_t width = plan_->values[from].size();
    AddSelect(from, to, 0);
    AddSelect(kContext, to, width);
    return to;
  }

  // Unit j of `from` becomes unit first + j of `to`.
  void AddSelect(int from, int to, int64_t first) {
    const Value& in = plan_->values[from];
    const Value& out = plan_->values[to];
    Select step;
    step.from = from;
    step.to = to;
    std::vector<int64_t> units(in.size());
    std::iota(units.begin(), units.end(), int64_t{0});
    std::sort(units.begin(), units.end(),
              [&](int64_t a, int64_t b) { return out.place[first + a] < out.place[first + b]; });
    for (int64_t unit : units) {
      step.source.push_back(in.place[unit]);
      step.target.push_back(out.place[first + unit]);
    }
    step.up_to = in.up_to;  // a unit keeps its degree
    plan_->steps.push_back(std::move(step));
  }

  int AddResidual(const Residual& residual, int from) {
    const int body = AddOps(residual.body, from);
    int gate = -1;
    if (residual.context_gate) {
      const ContextGate& g = *residual.context_gate;
      const int raw = AddDense(Dense{g.out, g.context_size, g.weight, g.bias}, kContext);
      gate = AddValue(degrees_[raw]);
      plan_->steps.push_back(Apply{raw, gate, Activation{ActivationKind::kSigmoid, 0}});
    }
    Degrees degrees = degrees_[from];
    for (size_t i = 0; i < degrees.size(); ++i) degrees[i] = std::max(degrees[i], degrees_[body][i]);
    const int to = AddValue(std::move(degrees));
    Add step{from, body, gate, to, {}, {}, {}};
    const Value& out = plan_->values[to];
    const auto arrange = [&](const Value& value) {
      std::vector<int64_t> in(out.size());
      for (int64_t j = 0; j < out.size(); ++j) in[out.place[j]] = value.place[j];
      return in;
    };
    step.in_a = arrange(plan_->values[from]);
    step.in_b = arrange(plan_->values[body]);
    if (gate >= 0) step.in_gate = arrange(plan_->values[gate]);
    plan_->steps.push_back(std::move(step));
    return to;
  }

  SequentialPlan* const plan_;
  const int64_t num_degrees_;  // D + 1
  std::vector<Degrees> degrees_;
};

SequentialPlan::SequentialPlan(const Net& net, const std::vector<int64_t>& order, int64_t context_size) {
  Builder builder(this, static_cast<int64_t>(order.size()) + 1);
  const int features = builder.AddValue(FeatureDegrees(order));
  builder.AddValue(Degrees(context_size, 0));
  output = builder.AddOps(net, features);
}

}  // namespace glowworm
