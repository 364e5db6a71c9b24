// Product<T>: y = activation(W x + b [+ y]) over the rows of a tile: every matrix product and convolution of
// a flow. float32 runs on oneDNN (product_float.cc), float64 on Eigen (product_double.cc); Product<float>
// also multiplies in bfloat16, from float32 to float32.
//
// Batch invariance: a row's result has the same bits whatever the tile holds. float32: implementations whose
// rows are independent run at any size on the ladder; others at exactly 16 rows (an image's: at one image's
// positions). bfloat16: the same, and load checks that every size has one implementation; where the processor
// has AMX, which oneDNN does not choose for fewer than 16 rows, never fewer. float64: always at exactly 16
// rows. Tested by tests/model/product_test.cc.

#ifndef GLOWWORM_MODEL_CPU_PRODUCT_H_
#define GLOWWORM_MODEL_CPU_PRODUCT_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "model/cpu/arena.h"
#include "model/cpu/companion.h"
#include "model/cpu/onednn.h"
#include "model/flow_spec.h"

namespace glowworm {

// Rows of a tile are rounded up to one of these, so that primitives exist for every tile.
inline constexpr int64_t kRowLadder[] = {1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 192, 256};
inline constexpr int64_t kMaxTileRows = 256;
int64_t RoundUpOnLadder(int64_t rows);

struct ProductShape {
  int64_t in = 0, out = 0;
  int64_t positions = 1;  // per row of the tile
  std::optional<Activation> activation;
  bool accumulate = false;  // adds to what y holds, before the activation
  // With a window, float32 only: a convolution with zero padding over height x width = positions, weight
  // (out, in, window, window).
  int64_t window = 0, height = 0, width = 0;
  // float32 only.
  ProductType type = ProductType::kFloat32;
  int64_t min_call = 1;  // a product of fewer positions is filled up to so many; convolutions are not
};

// What a product needs of the workspace it runs in.
struct ProductScratch {
  Arena* arena;
  PrimitiveRunner* primitives;
  // For a tile of one row: does half of its large products with handles of its own. Null: there is none.
  Companion* companion = nullptr;
  PrimitiveRunner* companion_primitives = nullptr;
  // At load: only the arena's use is wanted, products take what they would and compute nothing.
  bool measuring = false;
};

template <typename T>
class Product;

// Immutable after creation; Run is safe from several threads, each with its own scratch.
template <>
class Product<float> {
 public:
  static absl::StatusOr<Product> Create(const ProductShape& shape,
                                        const std::vector<double>& weight,  // (out, in)
                                        const std::vector<double>& bias,    // (out), or empty: 0
                                        int64_t max_tile_rows, PrimitiveSet* primitives);
  // REQUIRES: rows is on the ladder, at most max_tile_rows. x and y do not overlap.
  void Run(int64_t rows, const float* x,  // (rows, positions, in)
           float* y,                      // (rows, positions, out)
           const ProductScratch& scratch) const;

 private:
  Product() = default;
  // F: float, or uint16_t for the bits of bfloat16.
  template <typename F>
  void RunCalls(int64_t rows, const F* x, float* y, const ProductScratch& scratch) const;
  template <typename F>
  void RunShared(const F* x, float* y, const ProductScratch& scratch) const;

  ProductShape shape_;
  dnnl::memory weights_, bias_;
  int half_ = -1;               // index in the set, for half of one row's positions; -1: not worth it
  int64_t block_ = 0;           // 0: one call a tile; else always so many positions a call
  std::vector<int> by_ladder_;  // index in the set, per ladder step; or the one of the block
};

template <>
class Product<double> {
 public:
  static absl::StatusOr<Product> Create(const ProductShape& shape, const std::vector<double>& weight,
                                        const std::vector<double>& bias, int64_t max_tile_rows,
                                        PrimitiveSet* primitives);
  void Run(int64_t rows, const double* x, double* y, const ProductScratch& scratch) const;

 private:
  Product() = default;

  ProductShape shape_;
  int64_t padded_in_ = 0, padded_out_ = 0;  // multiples of 8, so that Eigen takes one path for all shapes
  std::vector<double> weight_;              // (padded_in, padded_out): column-major (padded_out, padded_in)
  std::vector<double> bias_;                // (out)
};

}  // namespace glowworm

#endif  // GLOWWORM_MODEL_CPU_PRODUCT_H_
