// PackedLu: the factors of one invertible C x C matrix, W = P L (U + diag s) or L (U + diag s) P, in float64.
//
// Holding the factors makes log|det W| = sum of log|s| an O(C) sum instead of an O(C^3) determinant, and W^-1
// two triangular solves (Kingma & Dhariwal 2018, arXiv:1807.03039, section 3.2). They are held here once, at
// load, and nowhere again: executors see the composed matrices only. Tested by tests/model/lu_test.cc.

#ifndef GLOWWORM_MODEL_LU_H_
#define GLOWWORM_MODEL_LU_H_

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "model/flow_spec.h"

namespace glowworm {

// Immutable.
class PackedLu {
 public:
  // REQUIRES: the vectors have the lengths that PluFactors states and permutation is one.
  explicit PackedLu(PluFactors factors);

  // Factors a dense W with partial pivoting. InvalidArgument if it is singular to working precision.
  static absl::StatusOr<PackedLu> Factor(const std::vector<double>& weight,  // (C, C) row-major
                                         int64_t channels);

  int64_t channels() const { return channels_; }
  const std::vector<double>& log_abs_s() const { return factors_.log_abs_s; }  // (C)

  // log|det W|, O(C).
  double LogAbsDet() const;
  // W, (C, C) row-major.
  std::vector<double> Compose() const;
  // W^-1, (C, C) row-major, by triangular solves.
  std::vector<double> ComposeInverse() const;
  // x with W x = y, O(C^2).
  std::vector<double> Solve(const std::vector<double>& y) const;  // (C)

 private:
  PluFactors factors_;
  int64_t channels_;
};

// sigma_max(W) * sigma_max(W^-1), the 2-norm condition number, by power iteration on both. A lower bound that
// has converged to within a few percent.
double ConditionNumber(const std::vector<double>& weight,   // (C, C)
                       const std::vector<double>& inverse,  // (C, C)
                       int64_t channels);

}  // namespace glowworm

#endif  // GLOWWORM_MODEL_LU_H_
