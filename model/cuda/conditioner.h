// Conditioner<T>: a Net prepared for the device: a flat list of steps over a few reused buffers. Twin:
// model/cpu/conditioner.h. Tested by tests/model/cuda/conditioner_test.cc.

#ifndef GLOWWORM_MODEL_CUDA_CONDITIONER_H_
#define GLOWWORM_MODEL_CUDA_CONDITIONER_H_

#include <cstdint>
#include <optional>
#include <variant>
#include <vector>

#include "model/cuda/constants.h"
#include "model/cuda/product.h"
#include "model/cuda/tile.h"
#include "model/flow_spec.h"

namespace glowworm::cuda {

struct ConditionerShape {
  int64_t in = 0;  // channels the net reads at each position
  int64_t height = 1, width = 1;
  int64_t context_size = 0;
};

// Immutable after creation.
template <typename T>
class Conditioner {
 public:
  Conditioner(const Net& net, const ConditionerShape& shape, ConstantPool* constants);

  // The buffers of one run, from the tile's arena; the caller fills input() and releases them by an arena
  // mark.
  class Buffers {
   public:
    T* input() const { return slot[0]; }  // (rows, positions, in)

   private:
    friend class Conditioner;
    std::vector<T*> slot;
  };
  Buffers Allocate(const Tile<T>& tile) const;
  // Returns the net's output, (rows, positions, out_width()), in one of the buffers.
  T* Run(const Tile<T>& tile, const Buffers& buffers) const;

  int64_t out_width() const { return out_width_; }

 private:
  // Buffers by number. Widths are numbers a position.
  struct Multiply {  // to = activation(from W^T + bias), or to += from W^T + bias
    Product<T> product;
    Constant<T> bias;  // (out), or empty
    std::optional<Activation> activation;
    bool accumulates;
    int from, to;
  };
  struct Unfold {  // im2col: (h, w, c) -> (h, w, k, k, c [+ 1])
    Pad pad;
    int64_t channels, k;
    int from, to;
  };
  struct Apply {
    Activation activation;
    int64_t width;
    int from, to;
  };
  struct Append {  // the context
    int64_t width;
    int from, to;
  };
  struct Copy {
    int64_t width;
    int from, to;
  };
  struct Add {  // to += from, or to += from * gate, gate (rows, width) one row for all positions
    int64_t width;
    int from, to, gate;  // gate -1: none
  };
  struct Gate {  // gate = sigmoid(G context + g)
    Product<T> product;
    Constant<T> bias;  // (out)
    int to;
  };
  using Step = std::variant<Multiply, Unfold, Apply, Append, Copy, Add, Gate>;
  class Builder;

  void Do(const Tile<T>& tile, const Buffers& b, const Multiply& step) const;
  void Do(const Tile<T>& tile, const Buffers& b, const Unfold& step) const;
  void Do(const Tile<T>& tile, const Buffers& b, const Apply& step) const;
  void Do(const Tile<T>& tile, const Buffers& b, const Append& step) const;
  void Do(const Tile<T>& tile, const Buffers& b, const Copy& step) const;
  void Do(const Tile<T>& tile, const Buffers& b, const Add& step) const;
  void Do(const Tile<T>& tile, const Buffers& b, const Gate& step) const;

  ConditionerShape shape_;
  std::vector<Step> steps_;
  std::vector<int64_t> slot_width_;  // numbers a position, per buffer
  int out_slot_ = 0;
  int64_t out_width_ = 0;
};

}  // namespace glowworm::cuda

#endif  // GLOWWORM_MODEL_CUDA_CONDITIONER_H_
