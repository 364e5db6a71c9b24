// Workload: one batch of rows for one method of a flow, cut into tiles and carried by a TilePool. Inputs are
// drawn from the flow itself, in float32, so that any flow gets rows of its support. Flows are
// called through model/flow.h only. Tested by tests/bench/smoke_test.py.

#ifndef GLOWWORM_TESTS_BENCH_WORKLOAD_H_
#define GLOWWORM_TESTS_BENCH_WORKLOAD_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model/flow.h"
#include "tests/bench/tile_pool.h"

namespace glowworm {
namespace bench {

enum class Method { kLogLikelihood, kEncode, kDecode, kSample };
// "log_likelihood", "encode", "decode" or "sample".
absl::StatusOr<Method> ParseMethod(absl::string_view name);

// Rows 0 .. n-1 of the flow's samples under `seed`: (n, event_size), float32. A flow with a context gets
// zeros for it.
std::vector<float> DrawRows(const Flow& flow, int64_t n, uint64_t seed);

// Rows per tile when `rows` are shared by `threads` idle workers: the batcher's rule, for a flow that takes
// up to `most` at once.
int64_t TileRows(int64_t rows, int threads, int64_t most);

class Workload {
 public:
  // REQUIRES: flow and pool outlive this, rows >= 1.
  Workload(const Flow* flow, TilePool* pool, Method method, int64_t rows);
  // The same for given inputs: x (rows, event_size) or z (rows, latent_size). REQUIRES: method is not kSample
  Workload(const Flow* flow, TilePool* pool, Method method, std::vector<float> inputs);

  int64_t rows() const { return rows_; }
  // Computes the batch once; blocks meanwhile.
  void Run();

  // Of the last Run.
  const std::vector<double>& log_likelihoods() const { return log_likelihoods_; }  // (rows)
  const std::vector<float>& outputs() const { return outputs_; }                   // (rows, D)
  int64_t failed_rows() const;

 private:
  void Prepare();

  const Flow* const flow_;
  TilePool* const pool_;
  const Method method_;
  const int64_t rows_;
  std::vector<float> inputs_;   // (rows, D); empty for kSample
  std::vector<float> context_;  // (context_size), shared by all rows
  std::vector<float> outputs_;  // (rows, D)
  std::vector<double> log_likelihoods_;
  std::vector<RowStatus> statuses_;
  // One of these has a row for each row.
  std::vector<EncodeRow> encode_;
  std::vector<DecodeRow> decode_;
  std::vector<SampleRow> sample_;
};

}  // namespace bench
}  // namespace glowworm

#endif  // GLOWWORM_TESTS_BENCH_WORKLOAD_H_
