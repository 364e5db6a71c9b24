// SequentialNet<T>: an autoregressive layer's network, evaluated feature by feature for all rows of a tile at
// once, at about the cost of one pass of the net: model/sequential_plan.h. Each degree of each step is one
// launch. Twin: model/cpu/sequential_net.h. Tested by tests/model/cuda/autoregressive_test.cc.

#ifndef GLOWWORM_MODEL_CUDA_SEQUENTIAL_NET_H_
#define GLOWWORM_MODEL_CUDA_SEQUENTIAL_NET_H_

#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "model/cuda/constants.h"
#include "model/cuda/tile.h"
#include "model/flow_spec.h"
#include "model/sequential_plan.h"

namespace glowworm::cuda {

// Immutable after creation.
template <typename T>
class SequentialNet {
 public:
  // REQUIRES: CheckAutoregressive accepts these.
  SequentialNet(const Net& net, const std::vector<int64_t>& order, int64_t context_size,
                ConstantPool* constants);

  // One run over a tile's rows, in a buffer of its own: units, (num_units(), rows).
  int64_t num_units() const { return num_units_; }
  void Begin(const Tile<T>& tile, T* units) const;
  // Unit feature_unit(k) holds the value of feature order[k]: computes what depends on it and on nothing
  // later. REQUIRES: called for k = 0, 1, ... in turn.
  int64_t feature_unit(int64_t k) const { return feature_at_ + k; }
  void Know(const Tile<T>& tile, int64_t k, T* units) const { Advance(tile, k + 1, units); }
  // The units that hold the net's outputs, once what they depend on is known: (outputs).
  const Constant<int64_t>& output_unit() const { return output_unit_; }

 private:
  // Units that a step writes at each degree d: to + up_to[d] .. to + up_to[d + 1] - 1.
  struct Multiply {
    int64_t from, to;
    std::vector<int64_t> in_up_to, up_to;  // (D + 2)
    std::vector<int64_t> begin;            // (D + 1) of each degree's weights
    Constant<T> weight, bias;              // as in the plan
    std::optional<Activation> activation;  // of the same units, which then lie ...
    int64_t activated = 0;                 // ... from here on
  };
  struct Apply {
    int64_t from, to;
    std::vector<int64_t> up_to;
    Activation activation;
  };
  struct Select {
    std::vector<int64_t> up_to;
    Constant<int64_t> source, target;  // units
  };
  struct Add {
    int64_t to;
    std::vector<int64_t> up_to;
    Constant<int64_t> in_a, in_b, in_gate;  // units; in_gate empty: none
  };
  using Step = std::variant<Multiply, Apply, Select, Add>;
  class Builder;

  void Advance(const Tile<T>& tile, int64_t degree, T* units) const;
  void Do(const TileState& state, const Multiply& step, int64_t degree, T* units) const;
  void Do(const TileState& state, const Apply& step, int64_t degree, T* units) const;
  void Do(const TileState& state, const Select& step, int64_t degree, T* units) const;
  void Do(const TileState& state, const Add& step, int64_t degree, T* units) const;

  std::vector<Step> steps_;
  Constant<int64_t> output_unit_;
  int64_t num_units_, context_size_;
  int64_t feature_at_, context_at_;  // their first units
};

}  // namespace glowworm::cuda

#endif  // GLOWWORM_MODEL_CUDA_SEQUENTIAL_NET_H_
