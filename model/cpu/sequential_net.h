// SequentialNet<T>: an autoregressive layer's network, evaluated feature by feature for 16 rows at once: each
// unit is computed once, as soon as the features that it depends on are known, so that all D steps together
// cost about one pass of the net and not D. Tested by tests/model/differential_test.cc.
//
// The units of every value in the net are sorted by degree (model/masked_net.h). A product's step d is then a
// dense block: the units of degree d by the inputs of degree 0 .. d.

#ifndef GLOWWORM_MODEL_CPU_SEQUENTIAL_NET_H_
#define GLOWWORM_MODEL_CPU_SEQUENTIAL_NET_H_

#include <cstdint>
#include <variant>
#include <vector>

#include "model/cpu/arena.h"
#include "model/flow_spec.h"

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
  static constexpr int kFeatures = 0, kContext = 1;  // the first two values
  static constexpr int64_t kUnits = 4;               // that a product computes side by side
  // A value in the net: units sorted by degree, (units, 16) in the scratch.
  struct Value {
    int64_t at = 0;              // in the scratch
    std::vector<int64_t> place;  // (units): where a unit stands among the sorted ones
    std::vector<int64_t> up_to;  // (D + 2): [d] = units of a degree below d
    int64_t size() const { return static_cast<int64_t>(place.size()); }
  };
  struct Multiply {
    int from, to;
    std::vector<T> weight;       // per degree, per 4 of its units: (inputs of degree 0 .. d, 4)
    std::vector<int64_t> begin;  // (D + 1) of each degree's weights
    std::vector<T> bias;         // (units), sorted
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
