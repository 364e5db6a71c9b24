// Seeded random flows over every kind of layer, net and base, with numbers tame enough that errors stay near
// rounding: condition numbers of a few, log-dets of order one a number. The same seed gives the same flow.
// Tested by tests/model/reference_test.cc; drives differential_test.cc and invariance_test.cc.

#ifndef GLOWWORM_TESTS_TESTING_RANDOM_FLOW_H_
#define GLOWWORM_TESTS_TESTING_RANDOM_FLOW_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "model/flow.h"
#include "model/flow_spec.h"
#include "tests/testing/random_net.h"
#include "tests/testing/random_numbers.h"
#include "tests/testing/rows.h"

namespace glowworm {

enum class LayerKind {
  kAffineChannel,
  kAffineElement,
  kPluOutput,
  kPluInput,
  kQr,
  kFull,
  kPermutation,
  kSqueezeChannelMajor,
  kSqueezeSpatialMajor,
  kSplitFirst,
  kSplitSecond,
  kCouplingAffine,
  kCouplingAdditive,
  kCouplingSpline,
  kAutoregressive
};
constexpr int kLayerKinds = 15;
enum class BaseKind { kStandard, kDiagChannel, kDiagElement, kClass, kNet };  // kNet: split priors only

EventShape RowShape(int64_t channels);
EventShape ImageShape(int64_t channels, int64_t height, int64_t width);
std::string ShapeText(const EventShape& shape);

struct CouplingOptions {
  ScaleMap scale_map = ScaleMap::kSigmoid;
  AffineOrder order = AffineOrder::kScaleThenShift;
  NetOptions net;
  std::optional<SplineTransform> spline;  // if set the transform is this spline, else affine
  std::optional<SplineTransform> identity_spline;
};

struct AutoregressiveOptions {
  ParallelDirection parallel = ParallelDirection::kForward;
  ScaleMap scale_map = ScaleMap::kSigmoid;
  AffineOrder order = AffineOrder::kScaleThenShift;
  NetOptions net;
  std::optional<SplineTransform> spline;  // as above
};

// A spline drawn at random: 1 to 12 bins, both parametrizations, with minima and without.
SplineTransform AnySpline(RandomNumbers& random);

// Builds a flow layer by layer; each verb appends one that fits the shape reached so far.
class RandomFlow {
 public:
  RandomFlow(uint64_t seed, const EventShape& event, int64_t context_size = 0, int64_t num_classes = 0);

  const EventShape& shape() const { return shape_; }
  // Whether a layer of this kind can stand next: squeeze wants even sides, coupling and split two channels,
  // autoregressive layers a row.
  bool Fits(LayerKind kind) const;

  // First layers of a flow that takes bytes 0..255 into the open unit interval, then logit.
  RandomFlow& AddByteLogit();
  RandomFlow& AddAffine(bool per_element);
  RandomFlow& AddPlu(Side side, bool signs, bool bias);
  RandomFlow& AddQr(bool signs, bool bias);
  RandomFlow& AddFull(bool bias);
  RandomFlow& AddPermutation();
  RandomFlow& AddSqueeze(SqueezeOrder order);
  RandomFlow& AddSplit(Half emit, BaseKind prior, const NetOptions& net = {});
  RandomFlow& AddCoupling(const CouplingOptions& options);
  RandomFlow& AddAdditiveCoupling(const NetOptions& net,
                                  const std::optional<SplineTransform>& identity_spline = std::nullopt);
  RandomFlow& AddAutoregressive(const AutoregressiveOptions& options);
  // One of this kind, its choices drawn at random. REQUIRES: Fits(kind).
  RandomFlow& Add(LayerKind kind);

  FlowSpec Finish(BaseKind base);

 private:
  void Append(const char* kind, Layer layer);
  Base RandomBase(BaseKind kind, int64_t channels, const EventShape& kept, const NetOptions& net);
  BaseKind AnyPrior();
  void Partition(Coupling& coupling);
  AffineTransform RandomAffineTransform(ScaleMap scale_map, AffineOrder order);
  void AddIdentitySpline(const std::optional<SplineTransform>& spline, Coupling& coupling);

  RandomNumbers random_;
  FlowSpec spec_;
  EventShape shape_;
  int64_t num_classes_;
  std::vector<double> class_log_weight_;  // (K)
};

// A whole flow with layers of every kind that fits, drawn at random.
FlowSpec AnyFlow(uint64_t seed, const EventShape& event, int64_t context_size, int64_t num_classes);

// Rows that suit the flow, with numbers that `dtype` holds exactly; class labels of every kind, -1 among
// them.
FlowRows RandomRows(const FlowSpec& spec, uint64_t seed, int64_t rows, DataType dtype = DataType::kFloat64);
// Standard normal latents.
FlowRows RandomLatents(const FlowSpec& spec, uint64_t seed, int64_t rows);

}  // namespace glowworm

#endif  // GLOWWORM_TESTS_TESTING_RANDOM_FLOW_H_
