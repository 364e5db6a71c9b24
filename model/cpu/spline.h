// Monotone rational-quadratic splines (Durkan et al. 2019, arXiv:1906.04032) on groups of 16 numbers, in
// float64 whatever the tile's type. Entries: MakeKnots, then EvaluateSpline or InvertSpline. Tested by
// tests/model/spline_test.cc.
//
// Every loop runs over the 16 numbers of a group side by side, so that a number's bits do not depend on its
// place.

#ifndef GLOWWORM_MODEL_CPU_SPLINE_H_
#define GLOWWORM_MODEL_CPU_SPLINE_H_

#include <cstdint>

#include "model/cpu/arena.h"
#include "model/flow_spec.h"

namespace glowworm {

// The numbers that a network gave for the maps of many numbers: parameter j of number i is
// data[i * per_number + j * per_parameter]. A spline's are [w (K) | h (K) | d (K-1)].
template <typename T>
struct Parameters {
  T* data;
  int64_t per_number, per_parameter;

  T* at(int64_t number, int64_t parameter) const {
    return data + number * per_number + parameter * per_parameter;
  }
};

// Of 16 splines. All buffers are 64-byte aligned.
struct SplineKnots {
  double *x, *y;           // (K+1, 16) knots, from -tail_bound to tail_bound
  double *width, *height;  // (K, 16) of the bins: their differences without the cancellation
  double* raw_derivative;  // (K-1, 16) at the inner knots, mapped where a bin is met
};
SplineKnots TakeKnots(int64_t bins, Arena* arena);

// Raw numbers -> knots of the first `count` splines; the others' are those of the last one.
// REQUIRES: 1 <= count <= 16.
template <typename T>
void MakeKnots(const SplineTransform& spline, const Parameters<T>& raw, int64_t count,
               const SplineKnots& knots);

// y_i = spline_i(x_i), log_derivative_i = log of its derivative there (equations 4 and 5); outside
// +-tail_bound the identity and 0. y may be x's buffer.
void EvaluateSpline(const SplineTransform& spline, const SplineKnots& knots, const double* x,  // (16)
                    double* y, double* log_derivative);
// x_i with spline_i(x_i) = y_i (equations 6 to 8); log_derivative_i of the inverse, null if not wanted.
void InvertSpline(const SplineTransform& spline, const SplineKnots& knots, const double* y, double* x,
                  double* log_derivative);

}  // namespace glowworm

#endif  // GLOWWORM_MODEL_CPU_SPLINE_H_
