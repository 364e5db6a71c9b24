// RowFlow() and ImageFlow() of flow_draft.h: small flows, written out, with a part of every kind.

#include "tests/model/flow_draft.h"

namespace glowworm {
namespace {

// n numbers that are all different and none of them round.
std::vector<double> Numbers(int64_t n, double first) {
  std::vector<double> values;
  for (int64_t i = 0; i < n; ++i)
    values.push_back(first + 0.37 * static_cast<double>(i) / static_cast<double>(n));
  return values;
}

Dense MakeDense(int64_t out, int64_t in, bool bias) {
  return {out, in, Numbers(out * in, -0.11), bias ? Numbers(out, 0.21) : std::vector<double>()};
}

Conv MakeConv(int64_t out, int64_t in, int64_t k, Pad pad, bool bias) {
  return {out, in, k, Numbers(out * in * k * k, -0.12), bias ? Numbers(out, 0.22) : std::vector<double>(),
          pad};
}

NetOp Op(Dense op) { return {std::move(op)}; }
NetOp Op(Conv op) { return {std::move(op)}; }
NetOp Op(Residual op) { return {std::move(op)}; }
NetOp Op(ActivationKind kind, double slope = 0) { return {Activation{kind, slope}}; }

ClassNormal Classes(int64_t d) { return {3, Numbers(3 * d, -0.5), Numbers(3 * d, -0.2), {0.1, 0.2, -0.3}}; }

PluFactors Plu(int64_t c, Side side, std::vector<int64_t> permutation) {
  PluFactors plu;
  plu.permutation = std::move(permutation);
  plu.side = side;
  plu.lower = Numbers(c * (c - 1) / 2, 0.1);
  plu.upper = Numbers(c * (c - 1) / 2, -0.3);
  plu.log_abs_s = Numbers(c, -0.1);
  plu.sign_s.assign(static_cast<size_t>(c), 1.0);
  plu.sign_s.back() = -1;
  return plu;
}

SplineTransform Softmax(int64_t bins) {
  return {bins, 3.5, 0.01, 0.02, 0.003, 0.125, SplineParametrization::kSoftmax};
}
SplineTransform Softclip(int64_t bins) { return {bins, 2, 0, 0, 0, 1, SplineParametrization::kSoftclip}; }

IdentitySpline MakeIdentitySpline(int64_t channels, const SplineTransform& spline) {
  return {Numbers(channels * spline.bins, -0.4), Numbers(channels * spline.bins, 0.15),
          Numbers(channels * (spline.bins - 1), -0.25), spline};
}

// A masked net of 4 features and a context of 2, whose features are handled in the order 2, 0, 3, 1.
// A unit of level k depends on the k features first in order; each layer's levels stand below.
Dense MaskedDense(const std::vector<int>& out_levels, const std::vector<int>& in_levels) {
  Dense dense =
      MakeDense(static_cast<int64_t>(out_levels.size()), static_cast<int64_t>(in_levels.size()), true);
  double* weight = dense.weight.data();
  for (const int out : out_levels) {
    for (const int in : in_levels) {
      if (in > out) *weight = 0;
      ++weight;
    }
  }
  return dense;
}

Net MaskedNet(int block) {
  const std::vector<int> features = {2, 4, 1, 3, 0, 0};  // feature order[k] is level k + 1, the context 0
  const std::vector<int> hidden = {3, 0, 2, 1, 3};
  std::vector<int> outputs;
  for (const int position : {1, 3, 0, 2}) outputs.insert(outputs.end(), static_cast<size_t>(block), position);
  Residual gated{Net{{Op(ActivationKind::kTanh), Op(MaskedDense(hidden, hidden))}},
                 ContextGate{5, 2, Numbers(10, 0.3), Numbers(5, -0.2)}};
  return {{{ConcatContext{}},
           Op(MaskedDense(hidden, features)),
           Op(std::move(gated)),
           Op(MaskedDense(outputs, hidden))}};
}

Calibration SomeQuantiles() { return {{-9.5, -3.25, -1.5}, {0, 0.5, 1}}; }

}  // namespace

FlowSpec RowFlow() {
  FlowSpec spec;
  spec.name = "rows";
  spec.description = "Every kind of part that a row flow has.\nSecond line, é.";
  spec.event = {4, 1, 1, false};
  spec.context_size = 2;
  spec.layers.push_back({"affine", Affine{false, {0.5, -2, 1.5, 0.25}, Numbers(4, 0.1)}});
  spec.layers.push_back({"plu", Linear{Plu(4, Side::kOutput, {2, 0, 3, 1}), Numbers(4, 0.3)}});
  QrFactors qr{2, Numbers(8, -0.6), Numbers(6, 0.2), Numbers(4, -0.15), {1, -1, 1, 1}};
  spec.layers.push_back({"qr", Linear{std::move(qr), {}}});
  FullMatrix full{{2, 0.1, 0, 0, 0.3, 1, 0, 0.2, 0, 0, -1.5, 0.4, 0.1, 0, 0, 0.75}};
  spec.layers.push_back({"full", Linear{std::move(full), Numbers(4, -0.4)}});
  spec.layers.push_back({"permutation", Permutation{{3, 1, 0, 2}}});

  Residual gated{Net{{Op(ActivationKind::kLeakyRelu, 0.2), Op(MakeDense(5, 5, false))}},
                 ContextGate{5, 2, Numbers(10, 0.4), Numbers(5, -0.7)}};
  Net net{{{ConcatContext{}},
           Op(MakeDense(5, 4, true)),
           Op(ActivationKind::kGelu),
           Op(std::move(gated)),
           Op(MakeDense(4, 5, true))}};
  AffineTransform softplus{ScaleMap::kSoftplus, AffineOrder::kShiftThenScale, 0, 0.01, 3};
  spec.layers.push_back({"coupling", Coupling{{3, 0}, {1, 2}, std::move(net), softplus, std::nullopt}});
  Net shift{{Op(MakeDense(3, 1, true))}};
  spec.layers.push_back(
      {"additive", Coupling{{2}, {3, 0, 1}, std::move(shift), AdditiveTransform{}, std::nullopt}});
  Net bins{{Op(MakeDense(3 * 5, 1, true))}};
  spec.layers.push_back(
      {"spline", Coupling{{1}, {0, 3, 2}, std::move(bins), Softmax(2), MakeIdentitySpline(1, Softclip(3))}});
  AffineTransform sigmoid{ScaleMap::kSigmoid, AffineOrder::kScaleThenShift, 2, 0.001, 0};
  spec.layers.push_back(
      {"maf", Autoregressive{{2, 0, 3, 1}, MaskedNet(2), ParallelDirection::kForward, sigmoid}});
  spec.layers.push_back(
      {"iaf", Autoregressive{{2, 0, 3, 1}, MaskedNet(5), ParallelDirection::kInverse, Softclip(2)}});
  Net prior{{Op(MakeDense(4, 2, true))}};
  spec.layers.push_back({"split", Split{Half::kSecond, NetNormal{std::move(prior)}}});
  spec.base = Classes(2);
  spec.calibration = SomeQuantiles();
  spec.provenance = {{"library", "none"}, {"data", "made up"}};
  return spec;
}

FlowSpec ImageFlow() {
  FlowSpec spec;
  spec.name = "image";
  spec.event = {2, 8, 8, true};
  spec.layers.push_back({"logit", Logit{0.05}});
  spec.layers.push_back({"affine", Affine{true, Numbers(128, 0.4), Numbers(128, -0.2)}});
  spec.layers.push_back({"squeeze", Squeeze{SqueezeOrder::kSpatialMajor}});
  spec.layers.push_back({"plu", Linear{Plu(8, Side::kInput, {7, 6, 5, 4, 0, 1, 2, 3}), {}}});

  Residual plain{Net{{Op(ActivationKind::kElu), Op(MakeConv(5, 5, 1, Pad::kZero, false))}}, std::nullopt};
  Net net{{Op(MakeConv(5, 4, 3, Pad::kEdgeChannel, true)), Op(ActivationKind::kRelu), Op(std::move(plain)),
           Op(ActivationKind::kSilu), Op(MakeConv(10, 5, 3, Pad::kOne, true))}};
  AffineTransform tanh{ScaleMap::kTanhExp, AffineOrder::kScaleThenShift, 0, 0, 1.5};
  spec.layers.push_back(
      {"coupling",
       Coupling{{0, 2, 4}, {7, 6, 5, 3, 1}, std::move(net), tanh, MakeIdentitySpline(3, Softmax(3))}});
  Net bins{{Op(MakeConv(2 * 8, 6, 1, Pad::kZero, true))}};
  spec.layers.push_back(
      {"spline", Coupling{{7, 1, 2, 3, 5, 6}, {4, 0}, std::move(bins), Softclip(3), std::nullopt}});
  spec.layers.push_back(
      {"split", Split{Half::kFirst, DiagNormal{true, Numbers(64, -0.3), Numbers(64, 0.1)}}});
  spec.layers.push_back({"squeeze2", Squeeze{SqueezeOrder::kChannelMajor}});
  spec.layers.push_back({"split2", Split{Half::kSecond, Classes(32)}});
  Net prior{{Op(MakeConv(8, 4, 3, Pad::kZero, true))}};
  spec.layers.push_back({"split3", Split{Half::kSecond, NetNormal{std::move(prior)}}});
  spec.base = Classes(16);
  return spec;
}

}  // namespace glowworm
