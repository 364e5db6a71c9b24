// See reference_base.h. Tested by tests/model/reference_test.cc.

#include "tests/testing/reference_base.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <variant>

namespace glowworm {
namespace {

NormalParameters Parameters(const StandardNormal&, const ReferenceEvent& shape, const BaseInputs&) {
  const std::vector<double> zeros(shape.values.size(), 0);
  return {zeros, zeros};
}

NormalParameters Parameters(const DiagNormal& op, const ReferenceEvent& shape, const BaseInputs&) {
  NormalParameters out;
  for (int64_t c = 0; c < shape.channels; ++c) {
    for (int64_t p = 0; p < shape.positions(); ++p) {
      const int64_t i = op.per_element ? c * shape.positions() + p : c;
      out.mean.push_back(op.mean[i]);
      out.log_scale.push_back(op.log_scale[i]);
    }
  }
  return out;
}

NormalParameters Parameters(const ClassNormal& op, const ReferenceEvent& shape, const BaseInputs& inputs) {
  const int64_t d = static_cast<int64_t>(shape.values.size());
  const int64_t begin = inputs.class_label * d;
  return {{op.mean.begin() + begin, op.mean.begin() + begin + d},
          {op.log_scale.begin() + begin, op.log_scale.begin() + begin + d}};
}

NormalParameters Parameters(const NetNormal& op, const ReferenceEvent& shape, const BaseInputs& inputs) {
  const ReferenceEvent out = EvaluateNet(op.net, *inputs.kept, inputs.context);
  const size_t d = shape.values.size();
  if (out.values.size() != 2 * d) std::abort();
  return {{out.values.begin(), out.values.begin() + d}, {out.values.begin() + d, out.values.end()}};
}

}  // namespace

NormalParameters ParametersOf(const Base& base, const ReferenceEvent& shape, const BaseInputs& inputs) {
  return std::visit([&](const auto& op) { return Parameters(op, shape, inputs); }, base);
}

double LogDensity(const NormalParameters& parameters, const std::vector<double>& z, double* magnitude) {
  const double half_log_two_pi = 0.5 * std::log(2 * std::acos(-1.0));
  double sum = 0;
  for (size_t i = 0; i < z.size(); ++i) {
    const double standardised = (z[i] - parameters.mean[i]) / std::exp(parameters.log_scale[i]);
    const double quadratic = 0.5 * standardised * standardised;
    sum += -half_log_two_pi - parameters.log_scale[i] - quadratic;
    if (magnitude != nullptr) *magnitude += half_log_two_pi + std::fabs(parameters.log_scale[i]) + quadratic;
  }
  return sum;
}

std::vector<double> LogSoftmax(const std::vector<double>& log_weight) {
  const double total = LogSumExp(log_weight);
  std::vector<double> out;
  for (double v : log_weight) out.push_back(v - total);
  return out;
}

double LogSumExp(const std::vector<double>& values) {
  const double top = *std::max_element(values.begin(), values.end());
  double sum = 0;
  for (double v : values) sum += std::exp(v - top);
  return top + std::log(sum);
}

}  // namespace glowworm
