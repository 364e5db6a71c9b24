// Conditioner<T>: a Net prepared for the CPU: a flat list of steps over a few reused buffers, with
// activations and residual sums fused into the products where they can be. Tested by
// tests/model/differential_test.cc.

#ifndef GLOWWORM_MODEL_CPU_CONDITIONER_H_
#define GLOWWORM_MODEL_CPU_CONDITIONER_H_

#include <cstdint>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "model/cpu/tile.h"
#include "model/flow_spec.h"

namespace glowworm {

struct ConditionerShape {
  int64_t in = 0;  // channels the net reads at each position
  int64_t height = 1, width = 1;
  int64_t context_size = 0;
};

// Immutable after creation.
template <typename T>
class Conditioner {
 public:
  static absl::StatusOr<Conditioner> Create(const Net& net, const ConditionerShape& shape,
                                            int64_t max_tile_rows, PrimitiveSet* primitives);

  // The buffers of one run, from the tile's arena; the caller fills input() and releases them by an arena
  // mark.
  class Buffers {
   public:
    T* input() const { return slot[0]; }  // (p, positions, in)

   private:
    friend class Conditioner;
    static constexpr int kMaxSlots = 16;
    T* slot[kMaxSlots];
  };
  Buffers Allocate(const Tile<T>& tile) const;
  // Returns the net's output, (p, positions, out_width()), in one of the buffers.
  T* Run(const Tile<T>& tile, const Buffers& buffers) const;

  int64_t out_width() const { return out_width_; }

 private:
  // Buffers by number. Widths are numbers a position.
  struct Multiply {
    Product<T> product;
    int from, to;
  };
  struct Unfold {  // im2col: (h, w, c) -> (h, w, k, k, c [+ 1])
    Pad pad;
    int64_t channels, k;
    int from, to;
  };
  // y(h, w, o) = bias(o) + sum over the window of x(h + i, w + j, window position (i, j), o), what lies
  // outside being 0: a convolution's second half, after a product to window * window * out channels. Where
  // `out` is small that product's output is much smaller than an unfolded input would be.
  struct Fold {
    int64_t out, k;
    bool accumulate;      // adds to what `to` holds
    std::vector<T> bias;  // (out)
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
  struct Add {  // to += from, or to += from * gate, gate (p, width) one row for all positions
    int64_t width;
    int from, to, gate;  // gate -1: none
  };
  struct Gate {  // gate = sigmoid(G context + g)
    Product<T> product;
    int to;
  };
  using Step = std::variant<Multiply, Unfold, Fold, Apply, Append, Copy, Add, Gate>;
  class Builder;

  Conditioner() = default;
  void Do(const Tile<T>& tile, const Buffers& b, const Multiply& step) const;
  void Do(const Tile<T>& tile, const Buffers& b, const Unfold& step) const;
  void Do(const Tile<T>& tile, const Buffers& b, const Fold& step) const;
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

}  // namespace glowworm

#endif  // GLOWWORM_MODEL_CPU_CONDITIONER_H_
