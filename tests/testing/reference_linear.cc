// See reference_linear.h. Tested by tests/model/reference_test.cc.

#include "tests/testing/reference_linear.h"

#include <cmath>
#include <cstdlib>
#include <utility>
#include <variant>

namespace glowworm {
namespace {

using Matrix = std::vector<double>;  // (n, n), row-major

Matrix Identity(int64_t n) {
  Matrix out(n * n, 0);
  for (int64_t i = 0; i < n; ++i) out[i * n + i] = 1;
  return out;
}

Matrix Multiply(const Matrix& a, const Matrix& b, int64_t n) {
  Matrix out(n * n, 0);
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t k = 0; k < n; ++k) {
      for (int64_t j = 0; j < n; ++j) out[i * n + j] += a[i * n + k] * b[k * n + j];
    }
  }
  return out;
}

// L: unit diagonal, strictly lower entries row by row.
Matrix LowerMatrix(const std::vector<double>& entries, int64_t n) {
  Matrix out = Identity(n);
  int64_t next = 0;
  for (int64_t i = 0; i < n; ++i) {
    for (int64_t j = 0; j < i; ++j) out[i * n + j] = entries[next++];
  }
  return out;
}

// U + diag s: strictly upper entries row by row.
Matrix UpperMatrix(const std::vector<double>& entries, const std::vector<double>& log_abs_s,
                   const std::vector<double>& sign_s, int64_t n) {
  Matrix out(n * n, 0);
  int64_t next = 0;
  for (int64_t i = 0; i < n; ++i) {
    out[i * n + i] = sign_s[i] * std::exp(log_abs_s[i]);
    for (int64_t j = i + 1; j < n; ++j) out[i * n + j] = entries[next++];
  }
  return out;
}

Matrix Compose(const PluFactors& plu, int64_t n) {
  Matrix p(n * n, 0);
  for (int64_t i = 0; i < n; ++i) p[i * n + plu.permutation[i]] = 1;  // (P v)_i = v_{permutation[i]}
  const Matrix l = LowerMatrix(plu.lower, n);
  const Matrix u = UpperMatrix(plu.upper, plu.log_abs_s, plu.sign_s, n);
  if (plu.side == Side::kOutput) return Multiply(p, Multiply(l, u, n), n);
  return Multiply(l, Multiply(u, p, n), n);
}

Matrix Compose(const QrFactors& qr, int64_t n) {
  Matrix q = Identity(n);
  for (int64_t k = 0; k < qr.num_reflectors; ++k) {
    const double* v = qr.reflectors.data() + k * n;
    double norm2 = 0;
    for (int64_t i = 0; i < n; ++i) norm2 += v[i] * v[i];
    Matrix h = Identity(n);
    for (int64_t i = 0; i < n; ++i) {
      for (int64_t j = 0; j < n; ++j) h[i * n + j] -= 2 * v[i] * v[j] / norm2;
    }
    q = Multiply(h, q, n);  // H_1 acts first
  }
  return Multiply(q, UpperMatrix(qr.upper, qr.log_abs_s, qr.sign_s, n), n);
}

Matrix Compose(const FullMatrix& full, int64_t) { return full.weight; }

double Sum(const std::vector<double>& values) {
  double sum = 0;
  for (double v : values) sum += v;
  return sum;
}

// Swaps the row with the largest entry of column k, at or below the diagonal, into place; aborts on a zero
// column.
void Pivot(Matrix& matrix, std::vector<double>& rhs, int64_t n, int64_t columns, int64_t k) {
  int64_t best = k;
  for (int64_t i = k + 1; i < n; ++i) {
    if (std::fabs(matrix[i * n + k]) > std::fabs(matrix[best * n + k])) best = i;
  }
  if (matrix[best * n + k] == 0) std::abort();
  if (best == k) return;
  for (int64_t j = 0; j < n; ++j) std::swap(matrix[k * n + j], matrix[best * n + j]);
  for (int64_t j = 0; j < columns; ++j) std::swap(rhs[k * columns + j], rhs[best * columns + j]);
}

// Leaves an upper triangular matrix, the same steps applied to the right-hand sides.
void Eliminate(Matrix& matrix, std::vector<double>& rhs, int64_t n, int64_t columns) {
  for (int64_t k = 0; k < n; ++k) {
    Pivot(matrix, rhs, n, columns, k);
    for (int64_t i = k + 1; i < n; ++i) {
      const double factor = matrix[i * n + k] / matrix[k * n + k];
      for (int64_t j = k; j < n; ++j) matrix[i * n + j] -= factor * matrix[k * n + j];
      for (int64_t j = 0; j < columns; ++j) rhs[i * columns + j] -= factor * rhs[k * columns + j];
    }
  }
}

}  // namespace

std::vector<double> ComposeMatrix(const Linear& linear, int64_t channels) {
  return std::visit([&](const auto& factors) { return Compose(factors, channels); }, linear.matrix);
}

double ReferenceLogAbsDet(const Linear& linear, int64_t channels) {
  if (const auto* plu = std::get_if<PluFactors>(&linear.matrix)) return Sum(plu->log_abs_s);
  if (const auto* qr = std::get_if<QrFactors>(&linear.matrix)) return Sum(qr->log_abs_s);
  return LogAbsDetByElimination(std::get<FullMatrix>(linear.matrix).weight, channels);
}

double LogAbsDetByElimination(std::vector<double> matrix, int64_t n) {
  std::vector<double> none;
  Eliminate(matrix, none, n, 0);
  double sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += std::log(std::fabs(matrix[i * n + i]));
  return sum;
}

std::vector<double> Solve(std::vector<double> matrix, std::vector<double> rhs, int64_t n, int64_t columns) {
  Eliminate(matrix, rhs, n, columns);
  for (int64_t i = n - 1; i >= 0; --i) {
    for (int64_t c = 0; c < columns; ++c) {
      double sum = rhs[i * columns + c];
      for (int64_t j = i + 1; j < n; ++j) sum -= matrix[i * n + j] * rhs[j * columns + c];
      rhs[i * columns + c] = sum / matrix[i * n + i];
    }
  }
  return rhs;
}

}  // namespace glowworm
