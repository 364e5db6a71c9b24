// LogDet: log|det W| of one C x C matrix in two ways, as the sum over factors held since load and as a
// determinant per call. For tests/bench/log_det.py. Tested by tests/bench/smoke_test.py.

#ifndef GLOWWORM_TESTS_BENCH_LOG_DET_H_
#define GLOWWORM_TESTS_BENCH_LOG_DET_H_

#include <cstdint>
#include <vector>

#include "model/lu.h"

namespace glowworm {
namespace bench {

// Immutable. The matrix is drawn once, from fixed seeds, well conditioned.
class LogDet {
 public:
  // REQUIRES: channels >= 1
  explicit LogDet(int64_t channels);

  double FromFactors() const { return lu_.LogAbsDet(); }  // O(C)
  double FromMatrix() const;                              // Eigen's partial-pivoting LU of W, O(C^3)

 private:
  const PackedLu lu_;
  const std::vector<double> weight_;  // (C, C)
};

}  // namespace bench
}  // namespace glowworm

#endif  // GLOWWORM_TESTS_BENCH_LOG_DET_H_
