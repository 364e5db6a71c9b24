// The oneDNN side of float32 products: the primitives of a flow, made at load and shared by shape, and what
// each workspace needs to run them. Tested by tests/model/product_test.cc.

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

// dst(m, n) = activation(src(m, k) weights(k, n) + bias(n) [+ dst(m, n)]).
struct MatmulShape {
  int64_t m = 0, k = 0, n = 0;
  std::optional<Activation> activation;
  bool accumulate = false;
  bool packed = false;  // weights in the layout that oneDNN prefers; plain (n, k) row-major otherwise
};

// Primitives are made at load, one per shape, and shared by all layers and workers; immutable afterwards.
class MatmulSet {
 public:
  MatmulSet();

  // Index of the primitive for `shape`, made on first need. Internal if oneDNN offers none but its reference.
  absl::StatusOr<int> FindOrCreate(const MatmulShape& shape);

  dnnl::memory::desc WeightsDesc(int index) const { return entries_[index].weights; }
  // "brg..." implementations give a row the same bits whatever m is.
  bool RowsAreIndependent(int index) const { return entries_[index].rows_are_independent; }
  const dnnl::engine& engine() const { return engine_; }

 private:
  friend class MatmulRunner;
  struct Entry {
    dnnl::matmul primitive;
    dnnl::memory::desc src, weights, bias, dst, scratchpad;
    bool rows_are_independent;
  };
  using Key = std::tuple<int64_t, int64_t, int64_t, int, double, bool, bool>;

  dnnl::engine engine_;
  std::vector<Entry> entries_;
  std::map<Key, int> index_;
};

// One workspace's handles on the primitives of a set: its own source, destination and scratchpad objects,
// since a primitive runs in several threads at once. Not thread-safe.
class MatmulRunner {
 public:
  // REQUIRES: `set` is complete and outlives this.
  explicit MatmulRunner(const MatmulSet* set);
  void Run(int index, const float* src, const dnnl::memory& weights, const dnnl::memory& bias, float* dst);

 private:
  struct Binding {
    dnnl::memory src, dst, scratchpad;
  };
  const MatmulSet* const set_;
  dnnl::stream stream_;
  std::vector<unsigned char> scratchpad_;
  std::vector<Binding> bindings_;
};

}  // namespace glowworm

#endif  // GLOWWORM_MODEL_CPU_ONEDNN_H_
