// How far an executor is from the gold standard on one flow, as shares of what rounding may cost. Drives
// tests/model/differential_test.cc.

#ifndef GLOWWORM_TESTS_TESTING_AGREEMENT_H_
#define GLOWWORM_TESTS_TESTING_AGREEMENT_H_

#include <cstdint>
#include <string>

#include "model/flow.h"
#include "model/flow_spec.h"
#include "tests/testing/rows.h"

namespace glowworm {

struct AgreementOptions {
  Precision precision = Precision::kFloat64;
  DataType in = DataType::kFloat64;
  uint64_t seed = 1;  // of the rows
  int64_t rows = 9;   // in one call; all are checked for their status, and a dozen against the gold standard
  // Without them where a flow stretches so far that going back loses what rounding left.
  bool decode = true;
  bool round_trip = true;
};

// Worst errors, each divided by its gate: at most 1 if all is well.
//   log_prob    float64 1e-8 max(1, |log p|); float32 2e-6 (|base term| + sum of |log-det terms|) + 1e-5
//   tail        what the calibration makes of log p's gate
//   latent      float64 1e-8 max(1, |z|); float32 (L + 1) sqrt(n) eps max(1, |z|) for L layers and sums of
//   n terms,
//               the norm being the row's largest number
//   decode      as latent, of Decode(z) against the gold standard's
//   round_trip  as latent, of Decode(Encode(x)) against x
struct Agreement {
  double log_prob = 0, tail = 0, latent = 0, decode = 0, round_trip = 0;
  std::string failure;  // why nothing, or not everything, could be compared; empty if all could

  double Worst() const;
  // Takes the larger of each.
  void Merge(const Agreement& other);
  std::string Text() const;
};

// Runs random rows of `spec` through Flow and ReferenceFlow.
Agreement CompareWithReference(const FlowSpec& spec, const AgreementOptions& options);
// The same with these rows, whose numbers options.in holds exactly.
Agreement CompareWithReference(const FlowSpec& spec, const AgreementOptions& options, const FlowRows& rows);

// What float32 may lose on a number of a row whose largest is `norm`; see `latent` above.
double Float32Tolerance(const FlowSpec& spec, double norm);

}  // namespace glowworm

#endif  // GLOWWORM_TESTS_TESTING_AGREEMENT_H_
