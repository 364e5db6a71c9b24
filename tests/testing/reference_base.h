// Bases and priors of the gold standard: every one is a normal with a mean and a log standard deviation for
// each number. Tested by tests/model/reference_test.cc.

#ifndef GLOWWORM_TESTS_TESTING_REFERENCE_BASE_H_
#define GLOWWORM_TESTS_TESTING_REFERENCE_BASE_H_

#include <vector>

#include "model/flow_spec.h"
#include "tests/testing/reference_net.h"

namespace glowworm {

struct NormalParameters {
  std::vector<double> mean;       // (c, h, w)
  std::vector<double> log_scale;  // (c, h, w)
};

// What the parameters of a base may depend on.
struct BaseInputs {
  int class_label = 0;                   // the component of a class_normal
  const ReferenceEvent* kept = nullptr;  // of a split, for net_normal
  std::vector<double> context;
};

// Of an event shaped like `shape`.
NormalParameters ParametersOf(const Base& base, const ReferenceEvent& shape, const BaseInputs& inputs);

// log N(z; parameters), summed; `magnitude`, if not null, gets the sum of the absolute values of the terms.
double LogDensity(const NormalParameters& parameters, const std::vector<double>& z, double* magnitude);

// log_softmax(log_weight).
std::vector<double> LogSoftmax(const std::vector<double>& log_weight);

double LogSumExp(const std::vector<double>& values);

}  // namespace glowworm

#endif  // GLOWWORM_TESTS_TESTING_REFERENCE_BASE_H_
