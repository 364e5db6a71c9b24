// Equality of flows, number by number, for tests of the flow file.

#ifndef GLOWWORM_TESTS_MODEL_FLOW_EQUAL_H_
#define GLOWWORM_TESTS_MODEL_FLOW_EQUAL_H_

#include <tuple>

#include "model/flow_spec.h"

namespace glowworm {

// In the order of flow_spec.h. std::variant's and std::vector's own == find these by their namespace.
bool operator==(const NetOp& a, const NetOp& b);
inline bool operator==(const Net& a, const Net& b) { return a.ops == b.ops; }
inline bool operator==(const Dense& a, const Dense& b) {
  return std::tie(a.out, a.in, a.weight, a.bias) == std::tie(b.out, b.in, b.weight, b.bias);
}
inline bool operator==(const Conv& a, const Conv& b) {
  return std::tie(a.out, a.in, a.k, a.weight, a.bias, a.pad) ==
         std::tie(b.out, b.in, b.k, b.weight, b.bias, b.pad);
}
inline bool operator==(const Activation& a, const Activation& b) {
  return std::tie(a.kind, a.slope) == std::tie(b.kind, b.slope);
}
inline bool operator==(const ContextGate& a, const ContextGate& b) {
  return std::tie(a.out, a.context_size, a.weight, a.bias) ==
         std::tie(b.out, b.context_size, b.weight, b.bias);
}
inline bool operator==(const Residual& a, const Residual& b) {
  return std::tie(a.body, a.context_gate) == std::tie(b.body, b.context_gate);
}
inline bool operator==(const ConcatContext&, const ConcatContext&) { return true; }
inline bool operator==(const NetOp& a, const NetOp& b) { return a.op == b.op; }

inline bool operator==(const StandardNormal&, const StandardNormal&) { return true; }
inline bool operator==(const DiagNormal& a, const DiagNormal& b) {
  return std::tie(a.per_element, a.mean, a.log_scale) == std::tie(b.per_element, b.mean, b.log_scale);
}
inline bool operator==(const ClassNormal& a, const ClassNormal& b) {
  return std::tie(a.num_classes, a.mean, a.log_scale, a.log_weight) ==
         std::tie(b.num_classes, b.mean, b.log_scale, b.log_weight);
}
inline bool operator==(const NetNormal& a, const NetNormal& b) { return a.net == b.net; }

inline bool operator==(const Affine& a, const Affine& b) {
  return std::tie(a.per_element, a.scale, a.shift) == std::tie(b.per_element, b.scale, b.shift);
}
inline bool operator==(const PluFactors& a, const PluFactors& b) {
  return std::tie(a.permutation, a.side, a.lower, a.upper, a.log_abs_s, a.sign_s) ==
         std::tie(b.permutation, b.side, b.lower, b.upper, b.log_abs_s, b.sign_s);
}
inline bool operator==(const QrFactors& a, const QrFactors& b) {
  return std::tie(a.num_reflectors, a.reflectors, a.upper, a.log_abs_s, a.sign_s) ==
         std::tie(b.num_reflectors, b.reflectors, b.upper, b.log_abs_s, b.sign_s);
}
inline bool operator==(const FullMatrix& a, const FullMatrix& b) { return a.weight == b.weight; }
inline bool operator==(const Linear& a, const Linear& b) {
  return std::tie(a.matrix, a.bias) == std::tie(b.matrix, b.bias);
}
inline bool operator==(const Permutation& a, const Permutation& b) { return a.index == b.index; }
inline bool operator==(const Squeeze& a, const Squeeze& b) { return a.order == b.order; }
inline bool operator==(const Split& a, const Split& b) {
  return std::tie(a.emit, a.prior) == std::tie(b.emit, b.prior);
}
inline bool operator==(const Logit& a, const Logit& b) { return a.alpha == b.alpha; }
inline bool operator==(const AffineTransform& a, const AffineTransform& b) {
  return std::tie(a.scale_map, a.order, a.offset, a.epsilon, a.clamp) ==
         std::tie(b.scale_map, b.order, b.offset, b.epsilon, b.clamp);
}
inline bool operator==(const AdditiveTransform&, const AdditiveTransform&) { return true; }
inline bool operator==(const SplineTransform& a, const SplineTransform& b) {
  return std::tie(a.bins, a.tail_bound, a.min_bin_width, a.min_bin_height, a.min_derivative,
                  a.width_height_scale,
                  a.parametrization) == std::tie(b.bins, b.tail_bound, b.min_bin_width, b.min_bin_height,
                                                 b.min_derivative, b.width_height_scale, b.parametrization);
}
inline bool operator==(const IdentitySpline& a, const IdentitySpline& b) {
  return std::tie(a.widths, a.heights, a.derivatives, a.spline) ==
         std::tie(b.widths, b.heights, b.derivatives, b.spline);
}
inline bool operator==(const Coupling& a, const Coupling& b) {
  return std::tie(a.identity, a.transformed, a.net, a.transform, a.identity_spline) ==
         std::tie(b.identity, b.transformed, b.net, b.transform, b.identity_spline);
}
inline bool operator==(const Autoregressive& a, const Autoregressive& b) {
  return std::tie(a.order, a.net, a.parallel, a.transform) ==
         std::tie(b.order, b.net, b.parallel, b.transform);
}
inline bool operator==(const Layer& a, const Layer& b) {
  return std::tie(a.name, a.op) == std::tie(b.name, b.op);
}

inline bool operator==(const Calibration& a, const Calibration& b) {
  return std::tie(a.log_likelihood, a.probability) == std::tie(b.log_likelihood, b.probability);
}
inline bool operator==(const FlowSpec& a, const FlowSpec& b) {
  return std::tie(a.name, a.description, a.event, a.context_size, a.layers, a.base, a.calibration,
                  a.provenance) == std::tie(b.name, b.description, b.event, b.context_size, b.layers, b.base,
                                            b.calibration, b.provenance);
}

}  // namespace glowworm

#endif  // GLOWWORM_TESTS_MODEL_FLOW_EQUAL_H_
