// FlowSpec: one trained flow in memory, structure and numbers, as plain values.
//
// It mirrors the flow file field by field and holds nothing derived. model/flow_file.h reads and writes it,
// model/plan.h compiles it, tests/testing/reference_flow.h evaluates it slowly.
// proto/glowworm/v1/flow_spec.proto documents the same structure. All numbers are float64 here, whatever the
// file stores.
//
// Axes: C channels, (H, W) positions, D = C*H*W the event; a tabular event has H = W = 1 and C = D. K
// classes. Tensors are row-major, flattened into one vector; the comment beside a vector gives its shape.

#ifndef GLOWWORM_MODEL_FLOW_SPEC_H_
#define GLOWWORM_MODEL_FLOW_SPEC_H_

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace glowworm {

// The shape of an event, or of what a layer works on.
struct EventShape {
  int64_t channels = 0;
  int64_t height = 1;
  int64_t width = 1;
  bool image = false;  // [C, H, W] in the file; otherwise [D]

  int64_t positions() const { return height * width; }
  int64_t size() const { return channels * positions(); }
  friend bool operator==(const EventShape& a, const EventShape& b) {
    return a.channels == b.channels && a.height == b.height && a.width == b.width && a.image == b.image;
  }
};

// --- Conditioner networks ---

struct NetOp;
struct Net {
  std::vector<NetOp> ops;  // applied in turn
};

struct Dense {
  int64_t out = 0, in = 0;
  std::vector<double> weight;  // (out, in)
  std::vector<double> bias;    // (out), or empty
};

enum class Pad { kZero, kOne, kEdgeChannel };

// Stride 1, same size, k odd. kOne pads with the value 1; kEdgeChannel appends an input channel that is 1 on
// the padding and 0 inside, so that the weight has one input more than the features.
struct Conv {
  int64_t out = 0, in = 0, k = 0;  // `in` as in the weight: with kEdgeChannel, features + 1
  std::vector<double> weight;      // (out, in, k, k)
  std::vector<double> bias;        // (out), or empty
  Pad pad = Pad::kZero;
};

enum class ActivationKind { kRelu, kLeakyRelu, kTanh, kElu, kSilu, kGelu, kSigmoid, kSoftplus };

struct Activation {
  ActivationKind kind = ActivationKind::kRelu;
  double slope = 0;  // kLeakyRelu only
};

// x + body(x), or x + body(x) * sigmoid(G context + g) with a gate.
struct ContextGate {
  int64_t out = 0, context_size = 0;
  std::vector<double> weight;  // (out, context_size)
  std::vector<double> bias;    // (out)
};
struct Residual {
  Net body;
  std::optional<ContextGate> context_gate;
};

// Appends the context vector to the features; nets over rows only.
struct ConcatContext {};

struct NetOp {
  std::variant<Dense, Conv, Activation, Residual, ConcatContext> op;
};

// --- Bases and priors ---

struct StandardNormal {};
struct DiagNormal {
  bool per_element = false;       // false: one number a channel
  std::vector<double> mean;       // (C), or (C, H, W) if per_element
  std::vector<double> log_scale;  // same; log of the standard deviation
};
struct ClassNormal {
  int64_t num_classes = 0;
  std::vector<double> mean;        // (K, D), D = C*H*W of what it is the base or prior of, in [C, H, W] order
  std::vector<double> log_scale;   // (K, D)
  std::vector<double> log_weight;  // (K), not normalised
};
struct NetNormal {
  Net net;  // reads the kept half, gives [mean (C) | log_scale (C)] of the emitted half, at each position
};
using Base =
    std::variant<StandardNormal, DiagNormal, ClassNormal, NetNormal>;  // NetNormal: split priors only

// --- Layers ---

// y = scale * x + shift.
struct Affine {
  bool per_element = false;   // false: one number a channel
  std::vector<double> scale;  // (C), or (C, H, W) if per_element; no zero
  std::vector<double> shift;  // same
};

enum class Side { kOutput, kInput };

// kOutput: W = P L (U + diag s); kInput: W = L (U + diag s) P. s_i = sign_i exp(log_abs_s_i); (P v)_i =
// v_{permutation[i]}.
struct PluFactors {
  std::vector<int64_t> permutation;  // (C)
  Side side = Side::kOutput;
  std::vector<double> lower;      // (C(C-1)/2) strictly lower entries of L, row by row; unit diagonal
  std::vector<double> upper;      // (C(C-1)/2) strictly upper entries of U, row by row
  std::vector<double> log_abs_s;  // (C)
  std::vector<double> sign_s;     // (C) of +1 or -1; never empty here: the reader fills in +1
};
// W = Q (U + diag s), Q = H_K ... H_2 H_1, H_k = I - 2 q_k q_k^T / (q_k^T q_k).
struct QrFactors {
  int64_t num_reflectors = 0;
  std::vector<double> reflectors;  // (num_reflectors, C), not normalised
  std::vector<double> upper;       // (C(C-1)/2)
  std::vector<double> log_abs_s;   // (C)
  std::vector<double> sign_s;      // (C), filled in as above
};
struct FullMatrix {
  std::vector<double> weight;  // (C, C)
};

// y = W x + bias over channels, at each position.
struct Linear {
  std::variant<PluFactors, QrFactors, FullMatrix> matrix;
  std::vector<double> bias;  // (C), or empty
};

// y_i = x_{index[i]}.
struct Permutation {
  std::vector<int64_t> index;  // (C)
};

enum class SqueezeOrder { kChannelMajor, kSpatialMajor };

// [C, H, W] -> [4C, H/2, W/2]; output channel 4c+2a+b (kChannelMajor) or (2a+b)C+c (kSpatialMajor), (a, b) =
// (row, column) parity.
struct Squeeze {
  SqueezeOrder order = SqueezeOrder::kChannelMajor;
};

enum class Half { kFirst, kSecond };  // the first half = the first ceil(C/2) channels

struct Split {
  Half emit = Half::kSecond;
  Base prior;  // of the emitted half
};

// u = alpha + (1 - 2 alpha) x; y = log u - log(1 - u).
struct Logit {
  double alpha = 0;
};

enum class ScaleMap { kExp, kSigmoid, kInverseSigmoid, kSoftplus, kTanhExp, kAtanExp, kSoftclipExp };
enum class AffineOrder { kScaleThenShift, kShiftThenScale };

// s = map(raw); kScaleThenShift: y = s b + t; kShiftThenScale: y = (b + t) s. The maps stand in
// flow_spec.proto.
struct AffineTransform {
  ScaleMap scale_map = ScaleMap::kExp;
  AffineOrder order = AffineOrder::kScaleThenShift;
  double offset = 0, epsilon = 0, clamp = 0;
};
struct AdditiveTransform {};

enum class SplineParametrization { kSoftmax, kSoftclip };
// The monotone rational-quadratic spline of Durkan et al. 2019 (arXiv:1906.04032) on [-tail_bound,
// tail_bound], the identity outside. Its 3K - 1 raw numbers are [w (K) | h (K) | d (K-1)].
struct SplineTransform {
  int64_t bins = 0;  // K
  double tail_bound = 0;
  double min_bin_width = 0, min_bin_height = 0, min_derivative = 0;  // kSoftclip: 0
  double width_height_scale = 1;                                     // kSoftclip: 1
  SplineParametrization parametrization = SplineParametrization::kSoftmax;
};
// An unconditional spline on the identity channels of a coupling, whose net reads their values from before
// it.
struct IdentitySpline {
  std::vector<double> widths, heights;  // (I, K) raw
  std::vector<double> derivatives;      // (I, K-1) raw
  SplineTransform spline;
};

// a = the identity channels, b = the transformed ones, in the order the indices list them; the net reads a
// (and the context) and gives [shift (T) | raw scale (T)] for AffineTransform, [shift (T)] for
// AdditiveTransform, and a block of 3K - 1 raw numbers per transformed channel, (T, 3K-1), for
// SplineTransform.
struct Coupling {
  std::vector<int64_t> identity;     // (I)
  std::vector<int64_t> transformed;  // (T)
  Net net;
  std::variant<AffineTransform, AdditiveTransform, SplineTransform> transform;
  std::optional<IdentitySpline> identity_spline;
};

// kForward: z_i = map_i(x_i) with parameters from x (MAF). kInverse: x_i = map_i(z_i), from z (IAF).
enum class ParallelDirection { kForward, kInverse };
// Feature order[k]'s parameters depend on features order[0 .. k-1] (and the context) only. The net's output
// is a block a feature in natural order: (D, 2) [shift, raw scale] or (D, 3K-1) [w | h | d].
struct Autoregressive {
  std::vector<int64_t> order;  // (D)
  Net net;
  ParallelDirection parallel = ParallelDirection::kForward;
  std::variant<AffineTransform, SplineTransform> transform;
};

struct Layer {
  std::string name;
  std::variant<Affine, Linear, Permutation, Squeeze, Split, Logit, Coupling, Autoregressive> op;
};

// --- The flow ---

// Quantiles of log p over held-out training data, both ascending.
struct Calibration {
  std::vector<double> log_likelihood;  // (Q), strictly ascending
  std::vector<double> probability;     // (Q)
};

struct FlowSpec {
  std::string name;
  std::string description;
  EventShape event;
  int64_t context_size = 0;   // 0: none
  std::vector<Layer> layers;  // data -> latent order
  Base base;
  std::optional<Calibration> calibration;
  std::map<std::string, std::string> provenance;
};

// The shape after `layer`, for a layer that fits `in` (the reader has checked).
EventShape ShapeAfter(const Layer& layer, const EventShape& in);

// K of the flow's class_normals, 0 without any.
int64_t NumClasses(const FlowSpec& spec);

}  // namespace glowworm

#endif  // GLOWWORM_MODEL_FLOW_SPEC_H_
