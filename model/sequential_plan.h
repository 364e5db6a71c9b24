// SequentialPlan: an autoregressive layer's network laid out for evaluation feature by feature: each unit is
// computed once, as soon as the features that it depends on are known, so that all D steps together cost
// about one pass of the net and not D. Both executors run it: model/cpu/sequential_net.h,
// model/cuda/sequential_net.h. Tested by tests/model/masked_net_test.cc.
//
// The units of every value in the net are sorted by degree (model/masked_net.h). A product's step d is then a
// dense block: the units of degree d by the inputs of degree 0 .. d.

#ifndef GLOWWORM_MODEL_SEQUENTIAL_PLAN_H_
#define GLOWWORM_MODEL_SEQUENTIAL_PLAN_H_

#include <cstdint>
#include <variant>
#include <vector>

#include "model/flow_spec.h"

namespace glowworm {

struct SequentialPlan {
  // REQUIRES: CheckAutoregressive accepts these.
  SequentialPlan(const Net& net, const std::vector<int64_t>& order, int64_t context_size);

  static constexpr int kFeatures = 0, kContext = 1;  // the first two values
  // A value in the net, its units sorted by degree.
  struct Value {
    int64_t at = 0;              // units of the values before it
    std::vector<int64_t> place;  // (units): where a unit stands among the sorted ones
    std::vector<int64_t> up_to;  // (D + 2): [d] = units of a degree below d
    int64_t size() const { return static_cast<int64_t>(place.size()); }
  };
  struct Multiply {
    int from, to;
    std::vector<double> weight;  // per degree d: (units of degree d, inputs of degree 0 .. d), sorted
    std::vector<int64_t> begin;  // (D + 1) of each degree's weights
    std::vector<double> bias;    // (units), sorted
  };
  struct Apply {
    int from, to;  // of the same units
    Activation activation;
  };
  struct Select {  // to's unit j <- from's unit source[j], for the units that `from` has
    int from, to;
    std::vector<int64_t> source, target;  // sorted places, by degree of the target
    std::vector<int64_t> up_to;           // (D + 2) as Value's, over source and target
  };
  struct Add {                                 // to_j = a_j + b_j [* gate_j]
    int a, b, gate, to;                        // gate -1: none
    std::vector<int64_t> in_a, in_b, in_gate;  // (units of to), sorted places
  };
  using Step = std::variant<Multiply, Apply, Select, Add>;
  class Builder;

  // The features of degree 0 do not exist: feature order[k] is unit k of kFeatures. A degree is done when
  // every step was, in turn, over its units of that degree.
  std::vector<Value> values;
  std::vector<Step> steps;
  int output = 0;         // the value that the net gives
  int64_t num_units = 0;  // of all values
};

}  // namespace glowworm

#endif  // GLOWWORM_MODEL_SEQUENTIAL_PLAN_H_
