// The maps that a net's raw numbers choose, of one number, for the gold standard: affine, additive and (in
// reference_spline.h) spline. Shared by couplings and autoregressive layers. Tested by
// tests/model/reference_test.cc.

#ifndef GLOWWORM_TESTS_TESTING_REFERENCE_POINTWISE_H_
#define GLOWWORM_TESTS_TESTING_REFERENCE_POINTWISE_H_

#include <cstdint>
#include <vector>

#include "model/flow_spec.h"
#include "tests/testing/reference_spline.h"

namespace glowworm {

// How many raw numbers a map takes.
int64_t RawSize(const AffineTransform& affine);      // [shift, raw scale]
int64_t RawSize(const AdditiveTransform& additive);  // [shift]
int64_t RawSize(const SplineTransform& spline);      // [w (K) | h (K) | d (K-1)]

ReferencePoint ForwardPoint(const AffineTransform& affine, const std::vector<double>& raw, double x);
ReferencePoint ForwardPoint(const AdditiveTransform& additive, const std::vector<double>& raw, double x);

// From y to x, with log|dx/dy|.
ReferencePoint InversePoint(const AffineTransform& affine, const std::vector<double>& raw, double y);
ReferencePoint InversePoint(const AdditiveTransform& additive, const std::vector<double>& raw, double y);

}  // namespace glowworm

#endif  // GLOWWORM_TESTS_TESTING_REFERENCE_POINTWISE_H_
