// Implements model/cpu/sequential_net.h: one degree at a time through the plan's steps.

#include "model/cpu/sequential_net.h"

#include <algorithm>
#include <type_traits>
#include <utility>

#include "model/cpu/activation.h"
#include "model/cpu/elementwise.h"

namespace glowworm {
namespace {

template <typename T>
using Group = Eigen::Array<T, kLane, 1>;
template <typename T>
using GroupRef = Eigen::Map<Group<T>, Eigen::Aligned64>;
template <typename T>
using ConstGroupRef = Eigen::Map<const Group<T>, Eigen::Aligned64>;

}  // namespace

template <typename T>
SequentialNet<T>::SequentialNet(const Net& net, const std::vector<int64_t>& order, int64_t context_size)
    : context_size_(context_size) {
  SequentialPlan plan(net, order, context_size);
  scratch_size_ = plan.num_units * kLane;
  values_ = std::move(plan.values);
  output_ = plan.output;
  for (SequentialPlan::Step& step : plan.steps) {
    std::visit(
        [&](auto& s) {
          if constexpr (std::is_same_v<std::decay_t<decltype(s)>, SequentialPlan::Multiply>) {
            steps_.push_back(Pack(s));
          } else {
            steps_.push_back(std::move(s));
          }
        },
        step);
  }
}

template <typename T>
typename SequentialNet<T>::Multiply SequentialNet<T>::Pack(const SequentialPlan::Multiply& step) const {
  const Value& in = values_[step.from];
  const Value& out = values_[step.to];
  Multiply packed{step.from, step.to, {}, {}, std::vector<T>(step.bias.begin(), step.bias.end())};
  for (size_t d = 0; d < step.begin.size(); ++d) {
    packed.begin.push_back(static_cast<int64_t>(packed.weight.size()));
    const int64_t inputs = in.up_to[d + 1];
    for (int64_t first = out.up_to[d]; first < out.up_to[d + 1]; first += kUnits) {
      const double* weight = step.weight.data() + step.begin[d] + (first - out.up_to[d]) * inputs;
      for (int64_t i = 0; i < inputs; ++i) {
        for (int64_t u = 0; u < kUnits; ++u) {
          const bool exists = first + u < out.up_to[d + 1];
          packed.weight.push_back(exists ? static_cast<T>(weight[u * inputs + i]) : T(0));
        }
      }
    }
  }
  packed.weight.shrink_to_fit();
  return packed;
}

template <typename T>
void SequentialNet<T>::Begin(const T* context, T* scratch) const {
  std::copy_n(context, context_size_ * kLane, scratch + values_[SequentialPlan::kContext].at * kLane);
  Advance(0, scratch);
}

template <typename T>
void SequentialNet<T>::Know(int64_t k, const T* feature, T* scratch) const {
  // Sorted by degree, the features are in the order.
  std::copy_n(feature, kLane, scratch + (values_[SequentialPlan::kFeatures].at + k) * kLane);
  Advance(k + 1, scratch);
}

template <typename T>
const T* SequentialNet<T>::Output(int64_t j, const T* scratch) const {
  const Value& output = values_[output_];
  return scratch + (output.at + output.place[j]) * kLane;
}

template <typename T>
void SequentialNet<T>::Advance(int64_t degree, T* scratch) const {
  for (const Step& step : steps_) {
    std::visit([&](const auto& s) { Do(s, degree, scratch); }, step);
  }
}

template <typename T>
void SequentialNet<T>::Do(const Multiply& step, int64_t degree, T* scratch) const {
  const Value& in = values_[step.from];
  const Value& out = values_[step.to];
  const int64_t inputs = in.up_to[degree + 1];
  const T* x = scratch + in.at * kLane;                  // (inputs, 16)
  const T* w = step.weight.data() + step.begin[degree];  // (units / 4, inputs, 4)
  for (int64_t unit = out.up_to[degree]; unit < out.up_to[degree + 1]; unit += kUnits) {
    Group<T> sum[kUnits];
    for (Group<T>& s : sum) s.setZero();
    for (int64_t i = 0; i < inputs; ++i, w += kUnits) {
      const ConstGroupRef<T> value(x + i * kLane);
      for (int64_t u = 0; u < kUnits; ++u) sum[u] += w[u] * value;
    }
    const int64_t count = std::min(kUnits, out.up_to[degree + 1] - unit);
    for (int64_t u = 0; u < count; ++u) {
      GroupRef<T>(scratch + (out.at + unit + u) * kLane) = sum[u] + step.bias[unit + u];
    }
  }
}

template <typename T>
void SequentialNet<T>::Do(const Apply& step, int64_t degree, T* scratch) const {
  const Value& in = values_[step.from];
  const int64_t begin = in.up_to[degree], count = in.up_to[degree + 1] - begin;
  if (count == 0) return;
  Activate(step.activation, count * kLane, scratch + (in.at + begin) * kLane,
           scratch + (values_[step.to].at + begin) * kLane);
}

template <typename T>
void SequentialNet<T>::Do(const Select& step, int64_t degree, T* scratch) const {
  const T* from = scratch + values_[step.from].at * kLane;
  T* to = scratch + values_[step.to].at * kLane;
  for (int64_t j = step.up_to[degree]; j < step.up_to[degree + 1]; ++j) {
    std::copy_n(from + step.source[j] * kLane, kLane, to + step.target[j] * kLane);
  }
}

template <typename T>
void SequentialNet<T>::Do(const Add& step, int64_t degree, T* scratch) const {
  const Value& out = values_[step.to];
  const T* a = scratch + values_[step.a].at * kLane;
  const T* b = scratch + values_[step.b].at * kLane;
  for (int64_t j = out.up_to[degree]; j < out.up_to[degree + 1]; ++j) {
    const ConstGroupRef<T> left(a + step.in_a[j] * kLane), right(b + step.in_b[j] * kLane);
    GroupRef<T> sum(scratch + (out.at + j) * kLane);
    if (step.gate < 0) {
      sum = left + right;
    } else {
      const T* gate = scratch + (values_[step.gate].at + step.in_gate[j]) * kLane;
      sum = left + right * ConstGroupRef<T>(gate);
    }
  }
}

template class SequentialNet<float>;
template class SequentialNet<double>;

}  // namespace glowworm
