// SequentialNet<T>: an autoregressive layer's network, evaluated feature by feature for 16 rows at once, at
// about the cost of one pass of the net: model/sequential_plan.h. Tested by tests/model/differential_test.cc.

#ifndef GLOWWORM_MODEL_CPU_SEQUENTIAL_NET_H_
#define GLOWWORM_MODEL_CPU_SEQUENTIAL_NET_H_

#include <cstdint>
#include <variant>
#include <vector>

#include "model/cpu/arena.h"
#include "model/flow_spec.h"
#include "model/sequential_plan.h"

namespace glowworm {

// Immutable after creation.
template <typename T>
class SequentialNet {
 public:
  // REQUIRES: CheckAutoregressive accepts these.
  SequentialNet(const Net& net, const std::vector<int64_t>& order, int64_t context_size);

  // One run over 16 rows, in a buffer of scratch_size() numbers. context: (context_size, 16).
  int64_t scratch_size() const { return scratch_size_; }
  void Begin(const T* context, T* scratch) const;
  // The value of feature order[k], (16), is known: computes what depends on it and on nothing later.
  // REQUIRES: called for k = 0, 1, ... in turn.
  void Know(int64_t k, const T* feature, T* scratch) const;
  // The net's output j, (16). REQUIRES: what it depends on is known.
  const T* Output(int64_t j, const T* scratch) const;

 private:
  static constexpr int64_t kUnits = 4;  // that a product computes side by side
  using Value = SequentialPlan::Value;  // in the scratch: (units, 16) from at * 16
  using Apply = SequentialPlan::Apply;
  using Select = SequentialPlan::Select;
  using Add = SequentialPlan::Add;
  struct Multiply {
    int from, to;
    std::vector<T> weight;       // per degree, per 4 of its units: (inputs of degree 0 .. d, 4)
    std::vector<int64_t> begin;  // (D + 1) of each degree's weights
    std::vector<T> bias;         // (units), sorted
  };
  using Step = std::variant<Multiply, Apply, Select, Add>;

  Multiply Pack(const SequentialPlan::Multiply& step) const;

  void Advance(int64_t degree, T* scratch) const;
  void Do(const Multiply& step, int64_t degree, T* scratch) const;
  void Do(const Apply& step, int64_t degree, T* scratch) const;
  void Do(const Select& step, int64_t degree, T* scratch) const;
  void Do(const Add& step, int64_t degree, T* scratch) const;

  int64_t scratch_size_ = 0;
  int64_t context_size_ = 0;
  std::vector<Value> values_;
  std::vector<Step> steps_;
  int output_ = 0;
};

}  // namespace glowworm

#endif  // GLOWWORM_MODEL_CPU_SEQUENTIAL_NET_H_
