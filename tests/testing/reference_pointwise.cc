// See reference_pointwise.h. Tested by tests/model/reference_test.cc.

#include "tests/testing/reference_pointwise.h"

#include <cmath>
#include <cstdlib>

#include "tests/testing/reference_net.h"

namespace glowworm {
namespace {

// log s. Where the map is a sigmoid alone its logarithm is -softplus(-a), which does not underflow.
double LogScale(const AffineTransform& t, double r) {
  const double a = r + t.offset;
  switch (t.scale_map) {
    case ScaleMap::kExp:
      return r;
    case ScaleMap::kSigmoid:
      return t.epsilon == 0 ? -ReferenceSoftplus(-a) : std::log(ReferenceSigmoid(a) + t.epsilon);
    case ScaleMap::kInverseSigmoid:
      return ReferenceSoftplus(-a);
    case ScaleMap::kSoftplus: {
      const double s = ReferenceSoftplus(r) + t.epsilon;
      return std::log(t.clamp > 0 ? std::fmin(s, t.clamp) : s);
    }
    case ScaleMap::kTanhExp:
      return t.clamp * std::tanh(r);
    case ScaleMap::kAtanExp:
      return t.clamp * 0.636 * std::atan(r / t.clamp);
    case ScaleMap::kSoftclipExp:
      return r / (1 + std::fabs(r) / t.clamp);
  }
  std::abort();
}

}  // namespace

int64_t RawSize(const AffineTransform&) { return 2; }
int64_t RawSize(const AdditiveTransform&) { return 1; }
int64_t RawSize(const SplineTransform& spline) { return 3 * spline.bins - 1; }

ReferencePoint ForwardPoint(const AffineTransform& affine, const std::vector<double>& raw, double x) {
  const double shift = raw[0], log_scale = LogScale(affine, raw[1]), s = std::exp(log_scale);
  return {affine.order == AffineOrder::kShiftThenScale ? (x + shift) * s : s * x + shift, log_scale};
}

ReferencePoint ForwardPoint(const AdditiveTransform&, const std::vector<double>& raw, double x) {
  return {x + raw[0], 0};
}

ReferencePoint InversePoint(const AffineTransform& affine, const std::vector<double>& raw, double y) {
  const double shift = raw[0], log_scale = LogScale(affine, raw[1]), s = std::exp(log_scale);
  return {affine.order == AffineOrder::kShiftThenScale ? y / s - shift : (y - shift) / s, -log_scale};
}

ReferencePoint InversePoint(const AdditiveTransform&, const std::vector<double>& raw, double y) {
  return {y - raw[0], 0};
}

}  // namespace glowworm
