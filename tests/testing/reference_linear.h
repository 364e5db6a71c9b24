// W of a linear layer for the gold standard: composed by multiplying its factors, inverted by Gaussian
// elimination. Tested by tests/model/reference_test.cc.

#ifndef GLOWWORM_TESTS_TESTING_REFERENCE_LINEAR_H_
#define GLOWWORM_TESTS_TESTING_REFERENCE_LINEAR_H_

#include <cstdint>
#include <vector>

#include "model/flow_spec.h"

namespace glowworm {

// W, row-major (C, C).
std::vector<double> ComposeMatrix(const Linear& linear, int64_t channels);

// log|det W|: the sum of log_abs_s where the layer has factors, by elimination where it has a full matrix.
double ReferenceLogAbsDet(const Linear& linear, int64_t channels);

// log|det M| of any (n, n) matrix, by elimination with partial pivoting.
double LogAbsDetByElimination(std::vector<double> matrix, int64_t n);

// X with M X = B, by Gaussian elimination with partial pivoting. M is (n, n), B is (n, columns), row-major
// both.
std::vector<double> Solve(std::vector<double> matrix, std::vector<double> rhs, int64_t n, int64_t columns);

}  // namespace glowworm

#endif  // GLOWWORM_TESTS_TESTING_REFERENCE_LINEAR_H_
