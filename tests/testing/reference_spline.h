// The rational-quadratic spline of the gold standard, one number at a time: Durkan et al. 2019
// (arXiv:1906.04032), eq. 4 and 5. Computed in long double, every sum of positive terms, so that steep and
// flat bins, knots and tails lose nothing; the inverse is a bisection of the forward equation, not the
// paper's quadratic. Only entries: ForwardPoint(), InversePoint(), SplineKnots(). Tested by
// tests/model/reference_spline_test.cc.

#ifndef GLOWWORM_TESTS_TESTING_REFERENCE_SPLINE_H_
#define GLOWWORM_TESTS_TESTING_REFERENCE_SPLINE_H_

#include <vector>

#include "model/flow_spec.h"

namespace glowworm {

// Where a map sends one number, and the logarithm of its derivative there.
struct ReferencePoint {
  double value = 0;
  double log_derivative = 0;
};

// `raw` is [w (K) | h (K) | d (K-1)]. Good to the last digits of a double for raw numbers up to 1000,
// provided that no bin is so thin that x cannot tell its ends apart. x and y at or outside the tail bound
// stay, with log-derivative 0.
ReferencePoint ForwardPoint(const SplineTransform& spline, const std::vector<double>& raw, double x);
// The map from y to x, and the logarithm of its derivative dx/dy.
ReferencePoint InversePoint(const SplineTransform& spline, const std::vector<double>& raw, double y);

struct ReferenceKnots {
  std::vector<double> x, y;        // (K+1), from -tail_bound to tail_bound
  std::vector<double> derivative;  // (K+1), 1 at both ends
};
ReferenceKnots SplineKnots(const SplineTransform& spline, const std::vector<double>& raw);

}  // namespace glowworm

#endif  // GLOWWORM_TESTS_TESTING_REFERENCE_SPLINE_H_
