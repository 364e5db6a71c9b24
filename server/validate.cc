// The checks, from the outside in: type, rank, rows, shape, length, then what goes with them.

#include "server/validate.h"

#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace glowworm {
namespace {

constexpr int kMaxRank = 4;  // (rows, c, h, w)
// A reply's model reference, seed, index, tensor header and field tags.
constexpr int64_t kReplyOverheadBytes = 512;

template <typename... Parts>
absl::Status Invalid(const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat(parts...));
}

// "(rows, 1, 8, 8)"
std::string Expected(const char* rows, const std::vector<int64_t>& row_shape) {
  return absl::StrCat("(", rows, ", ", absl::StrJoin(row_shape, ", "), ")");
}

std::string Shape(const v1::Tensor& tensor) {
  if (tensor.shape_size() > 2 * kMaxRank) return absl::StrCat("one of ", tensor.shape_size(), " dimensions");
  return absl::StrCat("(", absl::StrJoin(tensor.shape(), ", "), ")");
}

bool HasRowShape(const v1::Tensor& tensor, const std::vector<int64_t>& row_shape) {
  if (tensor.shape_size() != static_cast<int>(row_shape.size()) + 1) return false;
  for (size_t i = 0; i < row_shape.size(); ++i) {
    if (tensor.shape(static_cast<int>(i) + 1) != row_shape[i]) return false;
  }
  return true;
}

// Checks a tensor of rows of `row_shape` (or of the same numbers flattened).
absl::Status CheckTensor(const char* name, const v1::Tensor& tensor, const std::vector<int64_t>& row_shape,
                         const char* rows_wanted, int64_t max_rows) {
  const int dtype = static_cast<int>(tensor.dtype());
  if (dtype < 1 || dtype > 3) {
    return Invalid(name, ".dtype: ", dtype, " is none of FLOAT32 (1), FLOAT64 (2), UINT8 (3)");
  }
  int64_t row_size = 1;
  for (const int64_t d : row_shape) row_size *= d;
  if (tensor.shape_size() < 1 || tensor.shape(0) < 0) {
    return Invalid(name, ".shape: expected ", Expected(rows_wanted, row_shape), ", got ", Shape(tensor));
  }
  if (!HasRowShape(tensor, row_shape) && !HasRowShape(tensor, {row_size})) {
    return Invalid(name, ".shape: expected ", Expected(rows_wanted, row_shape), ", got ", Shape(tensor));
  }
  const int64_t rows = tensor.shape(0);
  if (rows == 0) return Invalid(name, ".shape: expected at least one row, got none");
  if (rows > max_rows)
    return Invalid(name, ".shape: ", rows, " rows, at most ", max_rows, " are taken in one call");
  int64_t bytes = 0;
  const bool overflows =
      __builtin_mul_overflow(rows, row_size * ByteSize(static_cast<DataType>(dtype)), &bytes);
  if (overflows || bytes != static_cast<int64_t>(tensor.data().size())) {
    return Invalid(name, ".data: ", tensor.data().size(), " bytes, ", Shape(tensor), " of ",
                   v1::DataType_Name(tensor.dtype()), " takes ",
                   overflows ? "more than fits" : absl::StrCat(bytes));
  }
  return absl::OkStatus();
}

absl::Status CheckContext(bool present, const v1::Tensor& context, const FlowInfo& flow, int64_t rows) {
  if (flow.context_size == 0) {
    return present ? Invalid("context: this flow takes none, got one") : absl::OkStatus();
  }
  const std::string wanted = rows == 1 ? "1" : absl::StrCat("1 or ", rows);
  if (!present) {
    return Invalid("context: missing, this flow takes ", Expected(wanted.c_str(), {flow.context_size}));
  }
  absl::Status status = CheckTensor("context", context, {flow.context_size}, wanted.c_str(),
                                    std::numeric_limits<int64_t>::max());
  if (status.ok() && context.shape(0) != 1 && context.shape(0) != rows) {
    status = Invalid("context.shape: expected ", wanted, " rows, got ", context.shape(0));
  }
  return status;
}

bool IsClass(int32_t label, const FlowInfo& flow) { return label >= 0 && label < flow.num_classes; }

absl::Status CheckClass(const std::string& field, int32_t label, const FlowInfo& flow) {
  if (flow.num_classes == 0) return Invalid(field, ": this flow has no classes, got ", label);
  if (!IsClass(label, flow)) {
    return Invalid(field, ": ", label, " is not in 0 .. ", flow.num_classes - 1);
  }
  return absl::OkStatus();
}

absl::Status CheckClasses(const google::protobuf::RepeatedField<int32_t>& labels, const FlowInfo& flow,
                          int64_t rows) {
  if (labels.empty()) return absl::OkStatus();
  if (flow.num_classes == 0) return Invalid("class_label: this flow has no classes, got ", labels.size());
  if (labels.size() != 1 && labels.size() != rows) {
    return Invalid("class_label: expected none, 1 or ", rows, " (one per row), got ", labels.size());
  }
  for (int i = 0; i < labels.size(); ++i) {  // a text is made for the first bad label only
    if (!IsClass(labels[i], flow)) return CheckClass(absl::StrCat("class_label[", i, "]"), labels[i], flow);
  }
  return absl::OkStatus();
}

// REQUIRES: rows, row_bytes > 0.
absl::Status CheckReply(int64_t rows, int64_t row_bytes, const RequestLimits& limits) {
  const int64_t fit = (limits.max_reply_bytes - kReplyOverheadBytes) / row_bytes;
  if (rows <= fit) return absl::OkStatus();
  // In double: rows * row_bytes may not fit an integer.
  const double bytes = static_cast<double>(rows) * static_cast<double>(row_bytes) + kReplyOverheadBytes;
  return Invalid("the reply to ", rows, " rows could take ",
                 bytes < 1e15 ? absl::StrCat(static_cast<int64_t>(bytes)) : absl::StrCat(bytes),
                 " bytes, the server sends at most ", limits.max_reply_bytes,
                 fit > 0 ? absl::StrCat(": ask for at most ", fit, " rows a call") : "");
}

// Each row's bytes in a reply, at most; a status is one byte, a class label a varint of at most five.
int64_t EncodeReplyRowBytes(const FlowInfo& flow, int64_t z_number_bytes) {
  return 8 + (flow.has_calibration ? 8 : 0) + 1 + flow.latent_size * z_number_bytes;
}
int64_t SampleReplyRowBytes(const v1::SampleRequest& request, const FlowInfo& flow) {
  return flow.event_size * ByteSize(ReplyDataType(request.dtype())) +
         (request.with_log_likelihood() ? 8 : 0) + (flow.num_classes > 0 ? 5 : 0) + 1;
}

// What LogLikelihood and Encode have in common.
template <typename Request>
absl::Status CheckEncode(const Request& request, const FlowInfo& flow, const RequestLimits& limits) {
  if (!request.has_x())
    return Invalid("x: missing, expected a tensor of shape ", Expected("rows", flow.event_shape));
  absl::Status status = CheckTensor("x", request.x(), flow.event_shape, "rows", limits.max_rows);
  if (!status.ok()) return status;
  const int64_t rows = request.x().shape(0);
  status = CheckContext(request.has_context(), request.context(), flow, rows);
  if (!status.ok()) return status;
  return CheckClasses(request.class_label(), flow, rows);
}

// All of a SampleRequest but its number of samples.
absl::Status CheckSample(const v1::SampleRequest& request, const FlowInfo& flow) {
  if (request.num_samples() < 1)
    return Invalid("num_samples: expected at least 1, got ", request.num_samples());
  const uint64_t last = static_cast<uint64_t>(request.num_samples()) - 1;
  if (request.first_index() > std::numeric_limits<uint64_t>::max() - last) {
    return Invalid("first_index: ", request.first_index(), " plus ", request.num_samples(),
                   " samples goes beyond the last index, 18446744073709551615");
  }
  if (request.has_temperature() && !(std::isfinite(request.temperature()) && request.temperature() >= 0)) {
    return Invalid("temperature: expected a finite number of at least 0, got ", request.temperature());
  }
  const int dtype = static_cast<int>(request.dtype());
  if (dtype < 0 || dtype > 2) return Invalid("dtype: ", dtype, " is neither FLOAT32 (1) nor FLOAT64 (2)");
  absl::Status status = CheckContext(request.has_context(), request.context(), flow, 1);
  if (status.ok() && request.has_class_label())
    status = CheckClass("class_label", request.class_label(), flow);
  return status;
}

}  // namespace

bool IsModelName(absl::string_view name) {
  if (name.empty() || name.size() > kMaxNameBytes || name[0] == '.' || name[0] == '-') return false;
  for (const char c : name) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '.' && c != '_' && c != '-') return false;
  }
  return true;
}

absl::Status ValidateModelRef(const v1::ModelRef& ref) {
  if (!ref.name().empty() && !IsModelName(ref.name())) {
    return Invalid("model.name: expected letters, digits, '.', '_' and '-', at most ", kMaxNameBytes,
                   ", not starting with '.' or '-'; got a name of ", ref.name().size(),
                   " bytes that is not like that");
  }
  if (ref.version() < 0) {
    return Invalid("model.version: expected 0 (the newest) or a positive number, got ", ref.version());
  }
  return absl::OkStatus();
}

DataType ReplyDataType(v1::DataType dtype) {
  return dtype == v1::DATA_TYPE_FLOAT32 ? DataType::kFloat32 : DataType::kFloat64;
}

absl::Status Validate(const v1::LogLikelihoodRequest& request, const FlowInfo& flow,
                      const RequestLimits& limits) {
  if (request.request_id().size() > kMaxRequestIdBytes) {
    return Invalid("request_id: ", request.request_id().size(), " bytes, at most ", kMaxRequestIdBytes);
  }
  absl::Status status = CheckEncode(request, flow, limits);
  if (!status.ok()) return status;
  RequestLimits left = limits;
  left.max_reply_bytes -= static_cast<int64_t>(request.request_id().size());
  return CheckReply(request.x().shape(0), EncodeReplyRowBytes(flow, 0), left);
}

absl::Status Validate(const v1::EncodeRequest& request, const FlowInfo& flow, const RequestLimits& limits) {
  absl::Status status = CheckEncode(request, flow, limits);
  if (!status.ok()) return status;
  return CheckReply(request.x().shape(0),
                    EncodeReplyRowBytes(flow, ByteSize(ReplyDataType(request.x().dtype()))), limits);
}

absl::Status Validate(const v1::DecodeRequest& request, const FlowInfo& flow, const RequestLimits& limits) {
  const std::vector<int64_t> row_shape = {flow.latent_size};
  if (!request.has_z())
    return Invalid("z: missing, expected a tensor of shape ", Expected("rows", row_shape));
  absl::Status status = CheckTensor("z", request.z(), row_shape, "rows", limits.max_rows);
  if (!status.ok()) return status;
  const int64_t rows = request.z().shape(0);
  status = CheckContext(request.has_context(), request.context(), flow, rows);
  if (!status.ok()) return status;
  return CheckReply(rows, flow.event_size * ByteSize(ReplyDataType(request.z().dtype())) + 1, limits);
}

absl::Status Validate(const v1::SampleRequest& request, const FlowInfo& flow, const RequestLimits& limits) {
  absl::Status status = CheckSample(request, flow);
  if (!status.ok()) return status;
  if (request.num_samples() > limits.max_samples) {
    return Invalid("num_samples: ", request.num_samples(), ", at most ", limits.max_samples,
                   " a call; StreamSamples takes any number");
  }
  return CheckReply(request.num_samples(), SampleReplyRowBytes(request, flow), limits);
}

absl::Status ValidateStream(const v1::SampleRequest& request, const FlowInfo& flow,
                            const RequestLimits& limits) {
  absl::Status status = CheckSample(request, flow);
  return status.ok() ? CheckReply(1, SampleReplyRowBytes(request, flow), limits) : status;
}

int64_t SamplesPerReply(const v1::SampleRequest& request, const FlowInfo& flow, const RequestLimits& limits) {
  return (limits.max_reply_bytes - kReplyOverheadBytes) / SampleReplyRowBytes(request, flow);
}

}  // namespace glowworm
