// Implements model/lu.h with Eigen's triangular solves, all in float64.

#include "model/lu.h"

#include <cmath>
#include <numeric>
#include <utility>

#include "Eigen/Dense"
#include "absl/status/status.h"

namespace glowworm {
namespace {

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
using Vector = Eigen::VectorXd;

Matrix UnitLower(const PluFactors& f, int64_t c) {
  Matrix lower = Matrix::Identity(c, c);
  size_t next = 0;
  for (int64_t i = 1; i < c; ++i) {
    for (int64_t j = 0; j < i; ++j) lower(i, j) = f.lower[next++];
  }
  return lower;
}

Matrix UpperWithDiagonal(const PluFactors& f, int64_t c) {
  Matrix upper = Matrix::Zero(c, c);
  size_t next = 0;
  for (int64_t i = 0; i < c; ++i) {
    upper(i, i) = f.sign_s[i] * std::exp(f.log_abs_s[i]);
    for (int64_t j = i + 1; j < c; ++j) upper(i, j) = f.upper[next++];
  }
  return upper;
}

// (P v)_i = v_{permutation[i]}: row i of P A is row permutation[i] of A.
Matrix PermuteRows(const std::vector<int64_t>& permutation, const Matrix& a) {
  Matrix out(a.rows(), a.cols());
  for (int64_t i = 0; i < a.rows(); ++i) out.row(i) = a.row(permutation[i]);
  return out;
}

// P^T A: row permutation[i] of the result is row i of A.
Matrix PermuteRowsBack(const std::vector<int64_t>& permutation, const Matrix& a) {
  Matrix out(a.rows(), a.cols());
  for (int64_t i = 0; i < a.rows(); ++i) out.row(permutation[i]) = a.row(i);
  return out;
}

std::vector<double> Flatten(const Matrix& m) { return std::vector<double>(m.data(), m.data() + m.size()); }

// W^-1 B.
Matrix SolveAll(const PluFactors& f, int64_t c, const Matrix& b) {
  Matrix x = f.side == Side::kOutput ? PermuteRowsBack(f.permutation, b) : b;
  UnitLower(f, c).triangularView<Eigen::UnitLower>().solveInPlace(x);
  UpperWithDiagonal(f, c).triangularView<Eigen::Upper>().solveInPlace(x);
  return f.side == Side::kInput ? PermuteRowsBack(f.permutation, x) : x;
}

double LargestSingularValue(const Eigen::Map<const Matrix>& a) {
  constexpr int kMaxIterations = 200;
  constexpr double kConverged = 1e-4;  // of the estimate, per iteration
  // A start with a component along every axis, none of them special.
  Vector v(a.cols());
  for (int64_t i = 0; i < a.cols(); ++i) v[i] = 1.0 + 0.5 * std::sin(1.0 + static_cast<double>(i));
  v.normalize();
  double sigma = 0;
  for (int i = 0; i < kMaxIterations; ++i) {
    const Vector w = a.transpose() * (a * v);
    const double norm = w.norm();
    if (!(norm > 0) || !std::isfinite(norm)) return std::sqrt(norm);
    const double next = std::sqrt(norm);
    v = w / norm;
    if (std::abs(next - sigma) <= kConverged * next) return next;
    sigma = next;
  }
  return sigma;
}

}  // namespace

PackedLu::PackedLu(PluFactors factors)
    : factors_(std::move(factors)), channels_(static_cast<int64_t>(factors_.permutation.size())) {}

absl::StatusOr<PackedLu> PackedLu::Factor(const std::vector<double>& weight, int64_t channels) {
  const Eigen::Map<const Matrix> w(weight.data(), channels, channels);
  const Eigen::PartialPivLU<Matrix> lu(w);
  PluFactors f;
  f.permutation.resize(channels);
  f.log_abs_s.resize(channels);
  f.sign_s.resize(channels);
  for (int64_t i = 0; i < channels; ++i) {
    // Eigen gives Pe W = L U, row i of W standing in row indices[i] of Pe W; so W = Pe^T L U.
    f.permutation[i] = lu.permutationP().indices()[i];
    const double s = lu.matrixLU()(i, i);
    if (s == 0 || !std::isfinite(s)) return absl::InvalidArgumentError("the full weight is singular");
    f.log_abs_s[i] = std::log(std::abs(s));
    f.sign_s[i] = s < 0 ? -1 : 1;
    for (int64_t j = 0; j < i; ++j) f.lower.push_back(lu.matrixLU()(i, j));
    for (int64_t j = i + 1; j < channels; ++j) f.upper.push_back(lu.matrixLU()(i, j));
  }
  return PackedLu(std::move(f));
}

double PackedLu::LogAbsDet() const {
  return std::accumulate(factors_.log_abs_s.begin(), factors_.log_abs_s.end(), 0.0);
}

std::vector<double> PackedLu::Compose() const {
  const Matrix lu = UnitLower(factors_, channels_) * UpperWithDiagonal(factors_, channels_);
  if (factors_.side == Side::kOutput) return Flatten(PermuteRows(factors_.permutation, lu));
  // (L U) P: column permutation[i] of the result is column i of L U.
  Matrix out(channels_, channels_);
  for (int64_t i = 0; i < channels_; ++i) out.col(factors_.permutation[i]) = lu.col(i);
  return Flatten(out);
}

std::vector<double> PackedLu::ComposeInverse() const {
  return Flatten(SolveAll(factors_, channels_, Matrix::Identity(channels_, channels_)));
}

std::vector<double> PackedLu::Solve(const std::vector<double>& y) const {
  return Flatten(SolveAll(factors_, channels_, Eigen::Map<const Matrix>(y.data(), channels_, 1)));
}

double ConditionNumber(const std::vector<double>& weight, const std::vector<double>& inverse,
                       int64_t channels) {
  const Eigen::Map<const Matrix> w(weight.data(), channels, channels);
  const Eigen::Map<const Matrix> v(inverse.data(), channels, channels);
  return LargestSingularValue(w) * LargestSingularValue(v);
}

}  // namespace glowworm
