// Implements model/linear_map.h.

#include "model/linear_map.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

#include "Eigen/Dense"
#include "absl/status/status.h"
#include "model/lu.h"

namespace glowworm {
namespace {

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// W = Q R with R = U + diag s: an upper triangle is an LU whose L is the identity, so PackedLu holds R, and Q
// is applied to the rows of R (W = Q R) and to the columns of R^-1 (W^-1 = R^-1 Q^T).
struct QrParts {
  PackedLu upper;
  Matrix q;  // (C, C)
};

QrParts UnpackQr(const QrFactors& f, int64_t c) {
  PluFactors r;
  r.permutation.resize(c);
  std::iota(r.permutation.begin(), r.permutation.end(), int64_t{0});
  r.lower.assign(c * (c - 1) / 2, 0.0);
  r.upper = f.upper;
  r.log_abs_s = f.log_abs_s;
  r.sign_s = f.sign_s;
  Matrix q = Matrix::Identity(c, c);
  for (int64_t k = 0; k < f.num_reflectors; ++k) {  // H_1 acts first: Q <- H_k Q
    const Eigen::Map<const Eigen::VectorXd> v(f.reflectors.data() + k * c, c);
    const Eigen::RowVectorXd projection = v.transpose() * q;
    q.noalias() -= (2.0 / v.squaredNorm()) * v * projection;
  }
  return {PackedLu(std::move(r)), std::move(q)};
}

std::vector<double> Flatten(const Matrix& m) { return std::vector<double>(m.data(), m.data() + m.size()); }

void Describe(const PackedLu& lu, LinearMap* map) {
  const auto [low, high] = std::minmax_element(lu.log_abs_s().begin(), lu.log_abs_s().end());
  map->log_abs_det = lu.LogAbsDet();
  map->min_abs_s = std::exp(*low);
  map->max_abs_s = std::exp(*high);
}

}  // namespace

absl::StatusOr<LinearMap> ComposeLinear(const Linear& linear, int64_t channels) {
  LinearMap map;
  if (const auto* qr = std::get_if<QrFactors>(&linear.matrix)) {
    const QrParts parts = UnpackQr(*qr, channels);
    const std::vector<double> r = parts.upper.Compose();
    const std::vector<double> r_inverse = parts.upper.ComposeInverse();
    map.weight = Flatten(parts.q * Eigen::Map<const Matrix>(r.data(), channels, channels));
    map.inverse =
        Flatten(Eigen::Map<const Matrix>(r_inverse.data(), channels, channels) * parts.q.transpose());
    Describe(parts.upper, &map);
  } else if (const auto* plu = std::get_if<PluFactors>(&linear.matrix)) {
    const PackedLu lu(*plu);
    map.weight = lu.Compose();
    map.inverse = lu.ComposeInverse();
    Describe(lu, &map);
  } else {
    const auto& full = std::get<FullMatrix>(linear.matrix);
    absl::StatusOr<PackedLu> lu = PackedLu::Factor(full.weight, channels);
    if (!lu.ok()) return lu.status();
    map.weight = full.weight;
    map.inverse = lu->ComposeInverse();
    Describe(*lu, &map);
  }
  const auto finite = [](double v) { return std::isfinite(v); };
  if (!std::all_of(map.weight.begin(), map.weight.end(), finite) ||
      !std::all_of(map.inverse.begin(), map.inverse.end(), finite)) {
    return absl::InvalidArgumentError("its matrix or inverse overflows float64");
  }
  map.condition_number = ConditionNumber(map.weight, map.inverse, channels);
  return map;
}

}  // namespace glowworm
