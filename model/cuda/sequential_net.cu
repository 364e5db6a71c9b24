// Implements model/cuda/sequential_net.h: one degree at a time through the plan's steps. Rows are innermost,
// so that neighbouring threads read neighbouring numbers.

#include "model/cuda/sequential_net.h"

#include <utility>

#include "model/cuda/activation.h"
#include "model/cuda/launch.h"

namespace glowworm::cuda {
namespace {

// One number of the context a thread.
template <typename T>
struct PutContext {
  const T* context;  // (rows, context_size)
  int64_t context_size, rows;
  T* units;  // (units of the net, rows)
  int64_t to;

  GLOWWORM_BODY void operator()(int64_t i) const {
    units[to * rows + i] = context[i % rows * context_size + i / rows];
  }
};

// Of all bodies below, one unit of one row a thread; `units` is (units of the net, rows) throughout, and
// `from`, `to` and `activated` are units.
template <typename T>
struct MultiplyUnit {
  T* units;
  int64_t rows, from, inputs, to;
  const T* weight;  // (units of this degree, inputs)
  const T* bias;    // (units of this degree)
  bool activates;
  ActivationKind kind;
  T slope;
  int64_t activated;

  GLOWWORM_BODY void operator()(int64_t i) const {
    const int64_t unit = i / rows;
    const T* x = units + from * rows + i % rows;
    const T* w = weight + unit * inputs;
    T sum = 0;
    for (int64_t j = 0; j < inputs; ++j) sum += w[j] * x[j * rows];
    sum += bias[unit];
    units[to * rows + i] = sum;
    if (activates) units[activated * rows + i] = Activate(kind, slope, sum);
  }
};

template <typename T>
struct ActivateUnit {
  T* units;
  int64_t rows, from, to;
  ActivationKind kind;
  T slope;

  GLOWWORM_BODY void operator()(int64_t i) const {
    units[to * rows + i] = Activate(kind, slope, units[from * rows + i]);
  }
};

template <typename T>
struct SelectUnit {
  T* units;
  int64_t rows;
  const int64_t* source;  // (units of this degree)
  const int64_t* target;

  GLOWWORM_BODY void operator()(int64_t i) const {
    const int64_t unit = i / rows, row = i % rows;
    units[target[unit] * rows + row] = units[source[unit] * rows + row];
  }
};

template <typename T>
struct AddUnit {
  T* units;
  int64_t rows, to;
  const int64_t* in_a;  // (units of this degree)
  const int64_t* in_b;
  const int64_t* in_gate;  // null: none

  GLOWWORM_BODY void operator()(int64_t i) const {
    const int64_t unit = i / rows, row = i % rows;
    T added = units[in_b[unit] * rows + row];
    if (in_gate != nullptr) added *= units[in_gate[unit] * rows + row];
    units[to * rows + i] = units[in_a[unit] * rows + row] + added;
  }
};

}  // namespace

// The plan's steps, their indices uploaded; an activation joins the product before it.
template <typename T>
class SequentialNet<T>::Builder {
 public:
  Builder(const SequentialPlan& plan, ConstantPool* constants, std::vector<Step>* steps)
      : plan_(plan), constants_(constants), steps_(steps) {}

  void operator()(const SequentialPlan::Multiply& step) {
    const SequentialPlan::Value& out = value(step.to);
    product_to_ = step.to;
    steps_->emplace_back(Multiply{value(step.from).at, out.at, value(step.from).up_to, out.up_to, step.begin,
                                  constants_->Add<T>(step.weight), constants_->Add<T>(step.bias),
                                  std::nullopt});
  }
  void operator()(const SequentialPlan::Apply& step) {
    const int64_t to = value(step.to).at;
    auto* before = steps_->empty() ? nullptr : std::get_if<Multiply>(&steps_->back());
    if (before != nullptr && product_to_ == step.from && !before->activation) {
      before->activation = step.activation;
      before->activated = to;
    } else {
      steps_->emplace_back(Apply{value(step.from).at, to, value(step.from).up_to, step.activation});
    }
  }
  void operator()(const SequentialPlan::Select& step) {
    steps_->emplace_back(Select{step.up_to, Units(step.from, step.source), Units(step.to, step.target)});
  }
  void operator()(const SequentialPlan::Add& step) {
    Add add{value(step.to).at, value(step.to).up_to, Units(step.a, step.in_a), Units(step.b, step.in_b), {}};
    if (step.gate >= 0) add.in_gate = Units(step.gate, step.in_gate);
    steps_->emplace_back(std::move(add));
  }

  // Places in a value -> units.
  Constant<int64_t> Units(int index, std::vector<int64_t> places) {
    for (int64_t& place : places) place += value(index).at;
    return constants_->Add<int64_t>(places);
  }

 private:
  const SequentialPlan::Value& value(int index) const { return plan_.values[index]; }

  const SequentialPlan& plan_;
  ConstantPool* const constants_;
  std::vector<Step>* const steps_;
  int product_to_ = -1;  // the value that the last product made
};

template <typename T>
SequentialNet<T>::SequentialNet(const Net& net, const std::vector<int64_t>& order, int64_t context_size,
                                ConstantPool* constants)
    : context_size_(context_size) {
  const SequentialPlan plan(net, order, context_size);
  num_units_ = plan.num_units;
  feature_at_ = plan.values[SequentialPlan::kFeatures].at;
  context_at_ = plan.values[SequentialPlan::kContext].at;
  Builder builder(plan, constants, &steps_);
  for (const SequentialPlan::Step& step : plan.steps) std::visit(builder, step);
  output_unit_ = builder.Units(plan.output, plan.values[plan.output].place);
}

template <typename T>
void SequentialNet<T>::Begin(const Tile<T>& tile, T* units) const {
  const int64_t rows = tile.state->rows;
  Launch(tile.state->queue, context_size_ * rows,
         PutContext<T>{tile.context, context_size_, rows, units, context_at_});
  Advance(tile, 0, units);
}

template <typename T>
void SequentialNet<T>::Advance(const Tile<T>& tile, int64_t degree, T* units) const {
  for (const Step& step : steps_) {
    std::visit([&](const auto& s) { Do(*tile.state, s, degree, units); }, step);
  }
}

template <typename T>
void SequentialNet<T>::Do(const TileState& state, const Multiply& step, int64_t degree, T* units) const {
  const int64_t first = step.up_to[degree], count = step.up_to[degree + 1] - first;
  if (count == 0) return;
  const Activation activation = step.activation.value_or(Activation{});
  Launch(state.queue, count * state.rows,
         MultiplyUnit<T>{units, state.rows, step.from, step.in_up_to[degree + 1], step.to + first,
                         step.weight.on(*state.queue) + step.begin[degree],
                         step.bias.on(*state.queue) + first, step.activation.has_value(), activation.kind,
                         static_cast<T>(activation.slope), step.activated + first});
}

template <typename T>
void SequentialNet<T>::Do(const TileState& state, const Apply& step, int64_t degree, T* units) const {
  const int64_t first = step.up_to[degree], count = step.up_to[degree + 1] - first;
  Launch(state.queue, count * state.rows,
         ActivateUnit<T>{units, state.rows, step.from + first, step.to + first, step.activation.kind,
                         static_cast<T>(step.activation.slope)});
}

template <typename T>
void SequentialNet<T>::Do(const TileState& state, const Select& step, int64_t degree, T* units) const {
  const int64_t first = step.up_to[degree], count = step.up_to[degree + 1] - first;
  if (count == 0) return;
  Launch(state.queue, count * state.rows,
         SelectUnit<T>{units, state.rows, step.source.on(*state.queue) + first,
                       step.target.on(*state.queue) + first});
}

template <typename T>
void SequentialNet<T>::Do(const TileState& state, const Add& step, int64_t degree, T* units) const {
  const int64_t first = step.up_to[degree], count = step.up_to[degree + 1] - first;
  if (count == 0) return;
  const int64_t* gate = step.in_gate.on(*state.queue);
  Launch(state.queue, count * state.rows,
         AddUnit<T>{units, state.rows, step.to + first, step.in_a.on(*state.queue) + first,
                    step.in_b.on(*state.queue) + first, gate == nullptr ? nullptr : gate + first});
}

template class SequentialNet<float>;
template class SequentialNet<double>;

}  // namespace glowworm::cuda
