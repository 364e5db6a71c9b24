// See jacobian.h. Tested by tests/model/reference_test.cc.

#include "tests/testing/jacobian.h"

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "tests/testing/reference_linear.h"

namespace glowworm {
namespace {

constexpr double kStep = 1e-3;

double FifthDifference(const double (&f)[6]) {
  return std::fabs(f[5] - f[0] - 5 * (f[4] - f[1]) + 10 * (f[3] - f[2]));
}

}  // namespace

NumericLogDet NumericLogAbsDet(const std::function<std::vector<double>(const std::vector<double>&)>& f,
                               const std::vector<double>& x, double value_error) {
  const int64_t d = static_cast<int64_t>(x.size());
  std::vector<double> jacobian(d * d), identity(d * d, 0);
  double largest = 1, entry_error = 0;
  for (int64_t j = 0; j < d; ++j) {
    const double h = kStep * std::max(1.0, std::fabs(x[j]));
    const auto at = [&](double steps) {
      std::vector<double> moved = x;
      moved[j] += steps * h;
      return f(moved);
    };
    const std::vector<double> m3 = at(-3), m2 = at(-2), m1 = at(-1), at0 = at(0), p1 = at(1), p2 = at(2),
                              p3 = at(3);
    for (int64_t i = 0; i < d; ++i) {
      const double below[] = {m3[i], m2[i], m1[i], at0[i], p1[i], p2[i]};
      const double above[] = {m2[i], m1[i], at0[i], p1[i], p2[i], p3[i]};
      jacobian[i * d + j] = (8 * (p1[i] - m1[i]) - (p2[i] - m2[i])) / (12 * h);
      // Where f is smooth the fifth differences are h^5 f5, and the quotient errs by h^4 f5 / 30. Where f''
      // jumps within reach it errs by at most a third of the larger of them / h: a jump right at x.
      const double fifth = std::max(FifthDifference(below), FifthDifference(above));
      largest = std::max({largest, std::fabs(p3[i]), std::fabs(m3[i])});
      entry_error = std::max(entry_error, fifth / (3 * h) + 1.5 * value_error * largest / h);
    }
    identity[j * d + j] = 1;
  }
  double inverse_norm = 0;  // Frobenius
  for (double v : Solve(jacobian, identity, d, d)) inverse_norm += v * v;
  NumericLogDet out;
  out.log_abs_det = LogAbsDetByElimination(jacobian, d);
  // |trace(J^-1 dJ)| <= |J^-1|_F |dJ|_F, and |dJ|_F <= d * entry_error.
  out.error_bound = std::sqrt(inverse_norm) * static_cast<double>(d) * entry_error;
  return out;
}

}  // namespace glowworm
