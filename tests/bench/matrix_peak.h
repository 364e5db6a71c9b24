// MatrixPeak: what oneDNN's float32 matrix product reaches on this machine, as the yardstick for whole flows.

#ifndef GLOWWORM_TESTS_BENCH_MATRIX_PEAK_H_
#define GLOWWORM_TESTS_BENCH_MATRIX_PEAK_H_

#include <cstdint>
#include <memory>

#include "tests/bench/tile_pool.h"

namespace glowworm {
namespace bench {

// (m, k) x (k, n) with packed weights, one independent product for each thread of the pool.
class MatrixPeak {
 public:
  // REQUIRES: pool outlives this.
  MatrixPeak(TilePool* pool, int64_t m, int64_t k, int64_t n);
  ~MatrixPeak();

  // Floating-point operations of one Run, over all threads.
  double flops() const { return flops_; }
  // Every thread computes its product `kRepeats` times; blocks meanwhile.
  void Run();

  static constexpr int kRepeats = 8;

 private:
  struct Product;
  TilePool* const pool_;
  const double flops_;
  std::unique_ptr<Product[]> products_;  // (threads)
};

}  // namespace bench
}  // namespace glowworm

#endif  // GLOWWORM_TESTS_BENCH_MATRIX_PEAK_H_
