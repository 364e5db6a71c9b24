// Plan: a flow compiled for execution, immutable. One list of ops: forward (data -> latent) runs it first to
// last, inverse runs it last to first, so an op carries what both directions need. Only entry: Compile.
// Tested by tests/model/plan_test.cc.
//
// Tile layout: (rows, positions, c), channels innermost. Permutation layers leave no op behind: they are
// folded into the channel lists below. W's parametrization is gone too: every linear layer is a ChannelMix.

#ifndef GLOWWORM_MODEL_PLAN_H_
#define GLOWWORM_MODEL_PLAN_H_

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "model/flow.h"
#include "model/flow_spec.h"

namespace glowworm {

// y = scale x + shift.
struct ElementwiseAffine {
  std::vector<double> scale;  // (c) or (positions, c)
  std::vector<double> shift;  // same
};

// y = W x + bias; x = W^-1 y + inverse_bias, at each position. Affines beside the layer are folded in.
struct ChannelMix {
  int64_t channels = 0;
  std::vector<double> weight;        // (c, c)
  std::vector<double> bias;          // (c)
  std::vector<double> inverse;       // (c, c)
  std::vector<double> inverse_bias;  // (c)
  bool wide = false;                 // runs in float64 whatever the precision: W is ill-conditioned
};

// (h, w, c) -> (h/2, w/2, 4c).
struct SqueezeMove {
  int64_t channels = 0, height = 0, width = 0;  // before
  SqueezeOrder order = SqueezeOrder::kChannelMajor;
};

struct LogitMap {
  double alpha = 0;
};

// The channels in `transformed` become s b + t or its like, with parameters from net(channels in `identity`).
struct AffineCoupling {
  std::vector<int64_t> identity;     // (I)
  std::vector<int64_t> transformed;  // (T)
  Net net;                           // I (+ context) -> 2T: [shift | raw scale]
  AffineTransform transform;
};
struct AdditiveCoupling {
  std::vector<int64_t> identity;
  std::vector<int64_t> transformed;
  Net net;  // I (+ context) -> T
};

// As AffineCoupling, with a rational-quadratic spline a channel.
struct SplineCoupling {
  std::vector<int64_t> identity;
  std::vector<int64_t> transformed;
  Net net;  // I (+ context) -> (T, 3K-1)
  SplineTransform transform;
};
// Splines with fixed parameters on some channels: a coupling's identity spline, as an op after the coupling.
struct FixedSpline {
  std::vector<int64_t> channels;   // (n)
  std::vector<double> parameters;  // (n, 3K-1): [w | h | d] raw
  SplineTransform transform;
};
// See flow_spec.h; feature i lies at the tile's channel features[i].
struct AutoregressiveMap {
  std::vector<int64_t> features;  // (D)
  std::vector<int64_t> order;     // (D) features, not channels
  Net net;                        // D (+ context) -> (D, 2) or (D, 3K-1)
  ParallelDirection parallel = ParallelDirection::kForward;
  std::variant<AffineTransform, SplineTransform> transform;
};

// A normal density over (positions, c) numbers. Its constant, Σ -log_scale - log(2 pi)/2, is in the plan's
// constant (one component, fixed scale), in `constant` (one per class), or per row (net).
struct NormalDensity {
  enum class Kind { kFixed, kClass, kNet } kind = Kind::kFixed;
  int64_t num_classes = 0;            // kClass
  std::vector<double> mean;           // (positions, c), or (K, positions, c)
  std::vector<double> inverse_scale;  // same; exp(-log_scale)
  std::vector<double> scale;          // same; exp(log_scale)
  std::vector<double> constant;       // kClass: (K)
  Net net;                            // kNet: the kept channels -> [mean (c) | log_scale (c)]
};

// Takes the channels in `emit` out as latents and goes on with those in `keep`; the last op of every plan is
// one with nothing to keep, whose density is the base's.
struct EmitLatent {
  std::vector<int64_t> emit;
  std::vector<int64_t> keep;
  int64_t latent_offset =
      0;  // of the first emitted number in the latent vector, where they lie as (c, positions)
  NormalDensity density;
};

struct PlanOp {
  std::string name;  // of the layer, or layers folded into one
  std::variant<ElementwiseAffine, ChannelMix, SqueezeMove, LogitMap, AffineCoupling, AdditiveCoupling,
               SplineCoupling, FixedSpline, AutoregressiveMap, EmitLatent>
      op;
  EventShape in;   // of what the op reads, forward
  EventShape out;  // of what it leaves
};

struct Plan {
  EventShape event;
  int64_t context_size = 0;
  int64_t num_classes = 0;
  std::vector<double> log_class_weight;         // (K), normalised
  std::vector<double> cumulative_class_weight;  // (K)
  std::vector<PlanOp> ops;
  // The first `leading` ops run in float64 whatever the precision: what stands before the first linear or
  // coupling layer sees raw data, whose offset float32 (or a folded W) would not survive.
  size_t leading = 0;
  double constant_log_det = 0;       // all of log p that does not depend on the input
  std::vector<LayerSummary> layers;  // of the file, not of `ops`
  double max_condition_number = 0;
};

// W conditioned worse than this runs in float64.
inline constexpr double kWideConditionNumber = 1e3;

// InvalidArgument names the layer whose matrix is conditioned worse than max_condition_number.
// REQUIRES: ParseFlowFile would accept `spec`.
absl::StatusOr<Plan> Compile(const FlowSpec& spec, double max_condition_number);

// One op a line, both directions.
std::string Dump(const Plan& plan);

}  // namespace glowworm

#endif  // GLOWWORM_MODEL_PLAN_H_
