// Reads linear layers: LU and QR factors, and full matrices, which must have a determinant.
// Entry: ReadLinear(). Tested by tests/model/flow_file_layer_test.cc.

#include <cmath>

#include "Eigen/Dense"
#include "absl/strings/str_cat.h"
#include "model/flow_file_parts.h"

namespace glowworm {
namespace {

// diag s: log_abs_s and sign_s, which is filled in where absent.
bool ReadDiagonal(Fields* fields, int64_t channels, std::vector<double>* log_abs_s,
                  std::vector<double>* sign_s) {
  if (!fields->Floats("log_abs_s", {{channels}}, log_abs_s) ||
      !fields->OptionalFloats("sign_s", {channels}, sign_s)) {
    return false;
  }
  for (const double value : *log_abs_s) {
    if (std::abs(value) > kMaxLogAbsS) {
      return fields->Fail(
          absl::StrCat("log_abs_s holds ", value, "; -", kMaxLogAbsS, " to ", kMaxLogAbsS, " is expected"));
    }
  }
  for (const double sign : *sign_s) {
    if (sign != 1 && sign != -1) {
      return fields->Fail(absl::StrCat("sign_s holds ", sign, "; 1 or -1 is expected"));
    }
  }
  if (sign_s->empty()) sign_s->assign(static_cast<size_t>(channels), 1.0);
  return true;
}

bool ReadPlu(Fields* fields, int64_t channels, PluFactors* plu) {
  const int64_t strict = channels * (channels - 1) / 2;
  return fields->Indices("permutation", channels, channels, &plu->permutation) &&
         fields->Enum("side", kSideNames, &plu->side) && fields->Floats("lower", {{strict}}, &plu->lower) &&
         fields->Floats("upper", {{strict}}, &plu->upper) &&
         ReadDiagonal(fields, channels, &plu->log_abs_s, &plu->sign_s) && fields->Done();
}

bool ReadQr(Fields* fields, int64_t channels, QrFactors* qr) {
  std::vector<int64_t> shape;
  if (!fields->Floats("reflectors", {{kAnyOrNone, channels}}, &qr->reflectors, &shape)) return false;
  qr->num_reflectors = shape[0];
  for (int64_t k = 0; k < qr->num_reflectors; ++k) {
    double square = 0;
    for (int64_t c = 0; c < channels; ++c) {
      const double q = qr->reflectors[static_cast<size_t>(k * channels + c)];
      square += q * q;
    }
    // Lengths whose square under- or overflows cannot be divided by either.
    if (!std::isnormal(square)) {
      return fields->Fail(absl::StrCat("reflector ", k, " has the squared length ", square,
                                       "; a positive, finite one is expected"));
    }
  }
  return fields->Floats("upper", {{channels * (channels - 1) / 2}}, &qr->upper) &&
         ReadDiagonal(fields, channels, &qr->log_abs_s, &qr->sign_s) && fields->Done();
}

bool ReadFull(Fields* fields, int64_t channels, FullMatrix* full) {
  if (!fields->Floats("weight", {{channels, channels}}, &full->weight) || !fields->Done()) return false;
  using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;
  const Eigen::PartialPivLU<Matrix> lu(Eigen::Map<const Matrix>(full->weight.data(), channels, channels));
  double log_abs_det = 0;
  for (Eigen::Index c = 0; c < channels; ++c) log_abs_det += std::log(std::abs(lu.matrixLU()(c, c)));
  if (std::isfinite(log_abs_det)) return true;
  return fields->Fail(absl::StrCat("the weight is singular: log|det| is ", log_abs_det));
}

}  // namespace

bool ReadLinear(FlowSource* source, const Json* json, const Place& place, int64_t channels, Linear* linear) {
  Fields fields(source, json, place);
  const std::string kind = fields.OneOf({"plu", "qr", "full"});
  if (kind.empty()) return false;
  const Json* body = fields.Need(kind);
  if (!fields.OptionalFloats("bias", {channels}, &linear->bias) || !fields.Done()) return false;
  Fields matrix(source, body, place.Field(kind));
  if (kind == "plu") return ReadPlu(&matrix, channels, &linear->matrix.emplace<PluFactors>());
  if (kind == "qr") return ReadQr(&matrix, channels, &linear->matrix.emplace<QrFactors>());
  return ReadFull(&matrix, channels, &linear->matrix.emplace<FullMatrix>());
}

}  // namespace glowworm
