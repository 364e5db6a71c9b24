// Implements tests/bench/log_det.h.

#include "tests/bench/log_det.h"

#include <Eigen/Dense>
#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>

namespace glowworm {
namespace bench {
namespace {

PluFactors DrawFactors(int64_t channels) {
  std::mt19937_64 bits(static_cast<uint64_t>(channels));
  // Off-diagonal entries this small keep the triangular factors' condition numbers near 1.
  std::normal_distribution<double> entry(0, 0.3 / std::sqrt(static_cast<double>(channels)));
  std::normal_distribution<double> log_scale(0, 0.1);
  PluFactors factors;
  factors.permutation.resize(channels);
  std::iota(factors.permutation.begin(), factors.permutation.end(), 0);
  std::shuffle(factors.permutation.begin(), factors.permutation.end(), bits);
  factors.lower.resize(channels * (channels - 1) / 2);
  factors.upper.resize(factors.lower.size());
  factors.log_abs_s.resize(channels);
  factors.sign_s.assign(channels, 1);
  for (double& value : factors.lower) value = entry(bits);
  for (double& value : factors.upper) value = entry(bits);
  for (double& value : factors.log_abs_s) value = log_scale(bits);
  return factors;
}

}  // namespace

LogDet::LogDet(int64_t channels) : lu_(DrawFactors(channels)), weight_(lu_.Compose()) {}

double LogDet::FromMatrix() const {
  using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const Eigen::Map<const Matrix> weight(weight_.data(), lu_.channels(), lu_.channels());
  const Eigen::PartialPivLU<Matrix> lu(weight);
  return lu.matrixLU().diagonal().array().abs().log().sum();
}

}  // namespace bench
}  // namespace glowworm
