// Chunk arithmetic and checks. Sizes are those of the protobuf wire format, rounded up.

#include "client/chunk.h"

#include <algorithm>
#include <limits>

#include "absl/strings/str_cat.h"

namespace glowworm {
namespace client {
namespace {

constexpr int64_t kMessageOverhead = 2048;  // model name, tags, shapes, a shared context's header
constexpr int64_t kLabelBytes = 10;         // a varint of any int32
constexpr int64_t kStatusBytes = 2;

// Rows of `row_bytes` that fit `limit`, if there is a limit.
int64_t RowsIn(int64_t limit, int64_t row_bytes, int64_t rows) {
  if (limit <= 0) return rows;
  return std::min(rows, (limit - kMessageOverhead) / std::max<int64_t>(row_bytes, 1));
}

int64_t ReplyRowBytes(const v1::Model& model, Method method, v1::DataType dtype) {
  const int64_t number = dtype == v1::DATA_TYPE_FLOAT32 ? 4 : 8;
  switch (method) {
    case Method::kLogLikelihood:
      return 2 * 8 + kStatusBytes;
    case Method::kEncode:
      return model.latent_size() * number + 8 + kStatusBytes;
    case Method::kDecode:
      return Product(model.event_shape()) * number + kStatusBytes;
    case Method::kSample:
      return Product(model.event_shape()) * number + 8 + kLabelBytes + kStatusBytes;
  }
  return 0;
}

absl::Status Mismatch(const char* field, int64_t got, int64_t want) {
  return absl::InternalError(
      absl::StrCat("the server's reply has ", got, " values of ", field, " for ", want, " rows"));
}

// Fills in OK where the reply has no statuses.
template <typename Reply>
absl::StatusOr<std::vector<v1::RowStatus>> ReadStatuses(const Reply& reply, int64_t rows) {
  std::vector<v1::RowStatus> statuses(rows, v1::ROW_STATUS_OK);
  if (reply.row_status_size() == 0) return statuses;
  if (reply.row_status_size() != rows) return Mismatch("row_status", reply.row_status_size(), rows);
  for (int64_t i = 0; i < rows; ++i) statuses[i] = reply.row_status(static_cast<int>(i));
  return statuses;
}

absl::StatusOr<Array> ReadRows(v1::Tensor* tensor, const char* field, int64_t rows) {
  absl::StatusOr<Array> array = ToArray(std::move(*tensor));
  if (!array.ok()) return absl::InternalError(absl::StrCat("the server's reply: ", array.status().message()));
  if (array->rows() != rows) return Mismatch(field, array->rows(), rows);
  return array;
}

template <typename T>
void AppendVector(std::vector<T>* all, const std::vector<T>& part) {
  all->insert(all->end(), part.begin(), part.end());
}

absl::Status AppendRows(Array* all, const Array& part) {
  absl::Status status = all->Append(part);
  return status.ok() ? status : absl::InternalError(absl::StrCat("the server's replies: ", status.message()));
}

}  // namespace

int64_t RowsPerChunk(const v1::Model& model, Method method, v1::DataType dtype,
                     const ClientOptions& options) {
  int64_t rows = std::max<int64_t>(options.max_chunk_rows, 1);
  const int64_t most = method == Method::kSample ? model.limits().max_samples() : model.limits().max_rows();
  if (most > 0) rows = std::min(rows, most);
  if (method != Method::kSample) {
    const int64_t values = method == Method::kDecode ? model.latent_size() : Product(model.event_shape());
    const int64_t row_bytes = values * ValueBytes(dtype) + model.context_size() * 8 + kLabelBytes;
    rows = RowsIn(model.limits().max_message_bytes(), row_bytes, rows);
  }
  const int64_t reply_row_bytes = ReplyRowBytes(model, method, dtype);
  rows = RowsIn(model.limits().max_reply_bytes(), reply_row_bytes, rows);
  rows = RowsIn(options.max_receive_bytes, reply_row_bytes, rows);
  return std::max<int64_t>(rows, 1);
}

absl::Status CheckBlock(const Array& x, const Conditions& conditions) {
  absl::Status status = x.Validate();
  if (!status.ok()) return status;
  const int64_t rows = x.rows();
  if (!conditions.context.empty()) {
    status = conditions.context.Validate();
    if (!status.ok()) return absl::InvalidArgumentError(absl::StrCat("context: ", status.message()));
    if (conditions.context.rows() != 1 && conditions.context.rows() != rows) {
      return absl::InvalidArgumentError(absl::StrCat("context has ", conditions.context.rows(),
                                                     " rows; expected 1, or one for each of the ", rows,
                                                     " rows"));
    }
  }
  const int64_t labels = static_cast<int64_t>(conditions.class_label.size());
  if (labels > 1 && labels != rows) {
    return absl::InvalidArgumentError(absl::StrCat(
        "there are ", labels, " class labels; expected 1, or one for each of the ", rows, " rows"));
  }
  return absl::OkStatus();
}

void SetModel(const ModelRef& model, v1::ModelRef* message) {
  message->set_name(model.name);
  message->set_version(model.version);
}

v1::Tensor ToTensor(Array array) {
  v1::Tensor tensor;
  tensor.set_dtype(array.dtype);
  tensor.mutable_shape()->Add(array.shape.begin(), array.shape.end());
  tensor.set_data(std::move(array.data));
  return tensor;
}

absl::StatusOr<Array> ToArray(v1::Tensor tensor) {
  Array array;
  array.dtype = tensor.dtype();
  array.shape.assign(tensor.shape().begin(), tensor.shape().end());
  array.data = std::move(*tensor.mutable_data());
  absl::Status status = array.Validate();
  if (!status.ok()) return status;
  return array;
}

absl::StatusOr<Scores> ReadReply(v1::LogLikelihoodResponse reply, int64_t rows) {
  if (reply.log_likelihood_size() != rows)
    return Mismatch("log_likelihood", reply.log_likelihood_size(), rows);
  if (reply.tail_probability_size() != 0 && reply.tail_probability_size() != rows) {
    return Mismatch("tail_probability", reply.tail_probability_size(), rows);
  }
  absl::StatusOr<std::vector<v1::RowStatus>> statuses = ReadStatuses(reply, rows);
  if (!statuses.ok()) return statuses.status();
  Scores scores;
  scores.log_likelihood.assign(reply.log_likelihood().begin(), reply.log_likelihood().end());
  scores.tail_probability.assign(reply.tail_probability().begin(), reply.tail_probability().end());
  scores.row_status = *std::move(statuses);
  return scores;
}

absl::StatusOr<Encoded> ReadReply(v1::EncodeResponse reply, int64_t rows) {
  if (reply.log_likelihood_size() != rows)
    return Mismatch("log_likelihood", reply.log_likelihood_size(), rows);
  absl::StatusOr<Array> z = ReadRows(reply.mutable_z(), "z", rows);
  if (!z.ok()) return z.status();
  absl::StatusOr<std::vector<v1::RowStatus>> statuses = ReadStatuses(reply, rows);
  if (!statuses.ok()) return statuses.status();
  Encoded encoded;
  encoded.z = *std::move(z);
  encoded.log_likelihood.assign(reply.log_likelihood().begin(), reply.log_likelihood().end());
  encoded.row_status = *std::move(statuses);
  return encoded;
}

absl::StatusOr<Decoded> ReadReply(v1::DecodeResponse reply, int64_t rows) {
  absl::StatusOr<Array> x = ReadRows(reply.mutable_x(), "x", rows);
  if (!x.ok()) return x.status();
  absl::StatusOr<std::vector<v1::RowStatus>> statuses = ReadStatuses(reply, rows);
  if (!statuses.ok()) return statuses.status();
  Decoded decoded;
  decoded.x = *std::move(x);
  decoded.row_status = *std::move(statuses);
  return decoded;
}

absl::StatusOr<Samples> ReadReply(v1::SampleResponse reply, int64_t rows) {
  absl::StatusOr<Array> x = ReadRows(reply.mutable_x(), "x", rows);
  if (!x.ok()) return x.status();
  absl::StatusOr<std::vector<v1::RowStatus>> statuses = ReadStatuses(reply, rows);
  if (!statuses.ok()) return statuses.status();
  if (reply.log_likelihood_size() != 0 && reply.log_likelihood_size() != rows) {
    return Mismatch("log_likelihood", reply.log_likelihood_size(), rows);
  }
  if (reply.class_label_size() != 0 && reply.class_label_size() != rows) {
    return Mismatch("class_label", reply.class_label_size(), rows);
  }
  Samples samples;
  samples.x = *std::move(x);
  samples.seed = reply.seed();
  samples.first_index = reply.first_index();
  samples.log_likelihood.assign(reply.log_likelihood().begin(), reply.log_likelihood().end());
  samples.class_label.assign(reply.class_label().begin(), reply.class_label().end());
  samples.row_status = *std::move(statuses);
  return samples;
}

absl::Status Append(Scores* all, const Scores& part) {
  // The flow has a calibration or has not: a mixture of both comes of two versions.
  if (!all->row_status.empty() && all->tail_probability.empty() != part.tail_probability.empty()) {
    return absl::InternalError("only some of the server's replies have tail probabilities");
  }
  AppendVector(&all->log_likelihood, part.log_likelihood);
  AppendVector(&all->tail_probability, part.tail_probability);
  AppendVector(&all->row_status, part.row_status);
  return absl::OkStatus();
}

absl::Status Append(Encoded* all, const Encoded& part) {
  AppendVector(&all->log_likelihood, part.log_likelihood);
  AppendVector(&all->row_status, part.row_status);
  return AppendRows(&all->z, part.z);
}

absl::Status Append(Decoded* all, const Decoded& part) {
  AppendVector(&all->row_status, part.row_status);
  return AppendRows(&all->x, part.x);
}

absl::Status Append(Samples* all, const Samples& part) {
  if (all->x.empty()) {
    *all = part;
    return absl::OkStatus();
  }
  AppendVector(&all->log_likelihood, part.log_likelihood);
  AppendVector(&all->class_label, part.class_label);
  AppendVector(&all->row_status, part.row_status);
  return AppendRows(&all->x, part.x);
}

}  // namespace client
}  // namespace glowworm
