// Numeric Jacobians, to check log-dets by. Tested by tests/model/reference_test.cc.

#ifndef GLOWWORM_TESTS_TESTING_JACOBIAN_H_
#define GLOWWORM_TESTS_TESTING_JACOBIAN_H_

#include <functional>
#include <vector>

namespace glowworm {

struct NumericLogDet {
  double log_abs_det = 0;
  double error_bound = 0;  // of the difference quotients, carried through the determinant
};

// log|det df/dx| at `x` by five-point central differences: f maps (D) to (D), and is smooth around x but for
// jumps of its second derivative, as splines have at their knots; these raise the error bound.
// Each entry of the Jacobian J errs by dJ, at most fifth-order truncation plus rounding of f; log|det| then
// errs by at most D * |inverse J| * |dJ|. `value_error` is how far f's values may be from exact, relative to
// max(1, |value|).
NumericLogDet NumericLogAbsDet(const std::function<std::vector<double>(const std::vector<double>&)>& f,
                               const std::vector<double>& x, double value_error);

}  // namespace glowworm

#endif  // GLOWWORM_TESTS_TESTING_JACOBIAN_H_
