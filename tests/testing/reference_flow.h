// ReferenceFlow: the gold standard. It evaluates a FlowSpec one row at a time in float64, unfused, straight
// from the equations of the format page, and shares no code with model/ but the structs of flow_spec.h; every
// executor must agree with it. Slow on purpose. Tested by tests/model/reference_test.cc.

#ifndef GLOWWORM_TESTS_TESTING_REFERENCE_FLOW_H_
#define GLOWWORM_TESTS_TESTING_REFERENCE_FLOW_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "model/flow_spec.h"
#include "tests/testing/reference_base.h"
#include "tests/testing/reference_layers.h"

namespace glowworm {

struct ReferenceEncoding {
  bool in_support = true;  // if false log_prob is -inf and the rest is empty
  double log_prob = 0;     // of the named class, or of the mixture
  // (L) One number a layer; a split's is the log density of its prior, 0 if that is a class_normal and no
  // class is named (the mixture is then in base_log_prob). log_prob = their sum + base_log_prob.
  std::vector<double> per_layer_log_det;
  double base_log_prob = 0;
  std::vector<double> class_log_prob;  // (K) log p(x | k)
  std::vector<double> latent;          // (D)
  // Sum of the absolute values of every term that log_prob adds: what its rounding error is proportional to.
  double magnitude = 0;
};

struct ReferenceSample {
  std::vector<double> x;       // (D)
  std::vector<double> latent;  // (D)
  int class_drawn = -1;        // -1 for flows without classes
};

// Immutable; const methods may run on many threads.
class ReferenceFlow {
 public:
  // REQUIRES: ParseFlowFile would accept `spec`.
  explicit ReferenceFlow(const FlowSpec& spec);

  const FlowSpec& spec() const { return spec_; }

  // REQUIRES: x is (D) in [C, H, W] order, context (context_size), class_label < K; -1 is the mixture.
  ReferenceEncoding Encode(const std::vector<double>& x, const std::vector<double>& context,
                           int class_label = -1) const;

  std::vector<double> Decode(const std::vector<double>& z, const std::vector<double>& context) const;

  // class_label -1: drawn by the flow's weights.
  ReferenceSample Sample(uint64_t seed, uint64_t index, double temperature,
                         const std::vector<double>& context, int class_label = -1) const;

  // REQUIRES: the flow has a calibration.
  double TailProbability(double log_prob) const;

 private:
  // Gives the latent of `base` at `offset` of the latent vector; `kept` is null for the flow's base.
  using LatentSource = std::function<std::vector<double>(const Base& base, const ReferenceEvent& shape,
                                                         int64_t offset, const ReferenceEvent* kept)>;
  std::vector<double> Invert(const std::vector<double>& context, const LatentSource& latent_of) const;
  int DrawClass(uint64_t seed, uint64_t index) const;

  FlowSpec spec_;
  std::vector<PreparedLayer> layers_;
  std::vector<EventShape> shapes_;    // (L + 1) before each layer, and after the last
  std::vector<double> class_weight_;  // (K) log_softmax(log_weight)
};

}  // namespace glowworm

#endif  // GLOWWORM_TESTS_TESTING_REFERENCE_FLOW_H_
