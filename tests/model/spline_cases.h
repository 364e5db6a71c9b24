// Splines with raw parameters so large that bins are thin, steep and flat, the numbers where they are hard,
// and how far rounding may take a result: for tests of whatever computes splines. Used by spline_test.cc and
// cuda/spline_test.cc.
//
// Where a spline is steep a last digit of x is many of y, and where it is flat the other way round. Right to
// rounding is therefore a claim about both axes: a result lies between the gold standard's for numbers a few
// roundings to either side (Displacement), give or take as much and its own rounding.

#ifndef GLOWWORM_TESTS_MODEL_SPLINE_CASES_H_
#define GLOWWORM_TESTS_MODEL_SPLINE_CASES_H_

#include <vector>

#include "model/flow.h"
#include "model/flow_spec.h"

namespace glowworm {

struct SplineCase {
  SplineTransform spline;
  std::vector<double> raw;  // [w | h | d], numbers that a float32 holds
};

// Tame splines of every kind, then ones with raw parameters of size 10, 100 and 1000.
std::vector<SplineCase> SplineCases();

// How far float64 arithmetic may displace a point of the curve along either axis, as a share of the whole
// axis and in its units.
double RelativeDisplacement(const SplineCase& c);
double Displacement(const SplineCase& c);

// Half a last digit of the precision, relative.
double Rounding(Precision precision);
double RoundedTo(Precision precision, double v);
double NextOf(Precision precision, double v, double toward);
std::vector<double> ToFloats(std::vector<double> values);

// The knots of one axis with their neighbours, and numbers between and outside, ascending.
std::vector<double> HardNumbers(Precision precision, const std::vector<double>& knots);

// A result lies between `low` and `high`, give or take `tolerance`. Of the value at x and of its
// log-derivative, of the inverse at y and of its; `value` is what was got there.
struct Bounds {
  double low, high, tolerance;
};
Bounds ValueBounds(const SplineCase& c, Precision precision, double x);
Bounds LogDerivativeBounds(const SplineCase& c, Precision precision, double x, double value);
Bounds InverseBounds(const SplineCase& c, Precision precision, double y);
Bounds InverseLogDerivativeBounds(const SplineCase& c, Precision precision, double y, double value);

// What rounding may cost a log-derivative beside a displacement. The slope of a bin enters up to the fourth
// power, with the relative errors of two bin sizes; the sum with a base's density of `value` rounds too.
double LogDerivativeTolerance(const SplineCase& c, Precision precision, double value, double log_derivative);

}  // namespace glowworm

#endif  // GLOWWORM_TESTS_MODEL_SPLINE_CASES_H_
