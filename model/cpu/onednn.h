// The oneDNN side of float32 and bfloat16 products: the primitives of a flow, made at load and shared by
// shape, and what each workspace needs to run them. Tested by tests/model/product_test.cc.

#ifndef GLOWWORM_MODEL_CPU_ONEDNN_H_
#define GLOWWORM_MODEL_CPU_ONEDNN_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <vector>

#include "absl/status/statusor.h"
#include "dnnl.hpp"
#include "model/flow_spec.h"

namespace glowworm {

// Of a product's factors, source and weights. Bias, sums and results are float32 always.
enum class ProductType { kFloat32, kBfloat16 };

// A matrix product, dst(m, out) = activation(src(m, in) weights(in, out) + bias(out) [+ dst(m, out)]), or,
// with a window, a convolution of m images with zero padding: src (m, h, w, in), dst (m, h, w, out).
struct PrimitiveShape {
  int64_t m = 0, in = 0, out = 0;
  int64_t window = 0, height = 0, width = 0;  // 0: a product; else window x window over height x width
  std::optional<Activation> activation;
  bool accumulate = false;
  bool packed =
      false;  // weights in the layout that oneDNN prefers; plain (out, window, window, in) otherwise
  ProductType type = ProductType::kFloat32;
};

// Primitives are made at load, one per shape, and shared by all layers and workers; immutable afterwards.
class PrimitiveSet {
 public:
  // may_share: products of a single row may be halved for a Companion. conditioner_type: what conditioners
  // make their products in; all others are float32. REQUIRES: HasBfloat16Products(), for that type.
  explicit PrimitiveSet(bool may_share = false, ProductType conditioner_type = ProductType::kFloat32);

  bool may_share() const { return may_share_; }
  ProductType conditioner_type() const { return conditioner_type_; }
  // Notes that a product will be halved; whether any is.
  void Shares() { shares_ = true; }
  bool shares() const { return shares_; }

  // Index of the primitive for `shape`, made on first need. Unimplemented if oneDNN offers none but its
  // reference.
  absl::StatusOr<int> FindOrCreate(const PrimitiveShape& shape);

  dnnl::memory::desc WeightsDesc(int index) const { return entries_[index].weights; }
  dnnl::memory::desc BiasDesc(int index) const { return entries_[index].bias; }
  // Whether the implementation gives a row (an image) the same bits whatever m is.
  bool RowsAreIndependent(int index) const { return entries_[index].rows_are_independent; }
  // oneDNN's name of it.
  const std::string& Implementation(int index) const { return entries_[index].implementation; }
  const dnnl::engine& engine() const { return engine_; }

 private:
  friend class PrimitiveRunner;
  struct Entry {
    dnnl::primitive primitive;
    dnnl::memory::desc src, weights, bias, dst, scratchpad;
    std::string implementation;
    bool rows_are_independent;
  };
  using Key =
      std::tuple<int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int, double, bool, bool, ProductType>;
  absl::StatusOr<Entry> MakeProduct(const PrimitiveShape& shape) const;
  absl::StatusOr<Entry> MakeConvolution(const PrimitiveShape& shape) const;

  const bool may_share_;
  const ProductType conditioner_type_;
  bool shares_ = false;
  dnnl::engine engine_;
  std::vector<Entry> entries_;
  std::map<Key, int> index_;
};

// One workspace's handles on the primitives of a set: its own source, destination and scratchpad objects,
// since a primitive runs in several threads at once. Not thread-safe.
class PrimitiveRunner {
 public:
  // REQUIRES: `set` is complete and outlives this.
  explicit PrimitiveRunner(const PrimitiveSet* set);
  // src: float, or the bits of bfloat16, as the primitive's shape says.
  void Run(int index, const void* src, const dnnl::memory& weights, const dnnl::memory& bias, float* dst);

 private:
  struct Binding {
    dnnl::memory src, dst, scratchpad;
  };
  const PrimitiveSet* const set_;
  dnnl::stream stream_;
  std::vector<unsigned char> scratchpad_;
  std::vector<Binding> bindings_;
};

}  // namespace glowworm

#endif  // GLOWWORM_MODEL_CPU_ONEDNN_H_
