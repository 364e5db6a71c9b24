// Tensors move by their strings, never by value; numbers are laid out as the wire has them (little-endian,
// row-major).

#include "server/convert.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "server/validate.h"

namespace glowworm {
namespace {

constexpr size_t kMaxMessageBytes = 1024;

std::string MessageText(const absl::Status& status) {
  std::string text(status.message().substr(0, kMaxMessageBytes));
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < ' ') c = ' ';
  }
  return text;
}

// REQUIRES: the tensor's shape and length are checked.
InputRows Take(v1::Tensor* tensor) {
  InputRows out;
  const int64_t rows = tensor->shape(0);
  out.bytes = std::move(*tensor->mutable_data());
  out.dtype = static_cast<DataType>(tensor->dtype());
  out.row_bytes = static_cast<int64_t>(out.bytes.size()) / rows;
  out.one_for_all = rows == 1;
  return out;
}

OutputRows Room(int64_t rows, int64_t row_size, DataType dtype) {
  OutputRows out;
  out.dtype = dtype;
  out.row_bytes = row_size * ByteSize(dtype);
  out.bytes.resize(static_cast<size_t>(rows * out.row_bytes));
  return out;
}

template <typename Request>
std::shared_ptr<EncodePayload> TakeEncode(Request* request, const FlowInfo& flow) {
  auto out = std::make_shared<EncodePayload>();
  out->rows = request->x().shape(0);
  out->x = Take(request->mutable_x());
  if (request->has_context()) out->context = Take(request->mutable_context());
  out->class_label.Swap(request->mutable_class_label());
  out->log_likelihood.Resize(static_cast<int>(out->rows), 0);
  out->status.resize(static_cast<size_t>(out->rows));
  return out;
}

// row_status is empty when every row is OK.
void FillStatus(const std::vector<RowStatus>& status, google::protobuf::RepeatedField<int>* out) {
  if (std::all_of(status.begin(), status.end(), [](RowStatus s) { return s == RowStatus::kOk; })) return;
  out->Reserve(static_cast<int>(status.size()));
  for (const RowStatus s : status) out->Add(static_cast<int>(s));
}

// (rows, row_shape)
void FillTensor(OutputRows* rows, int64_t count, const std::vector<int64_t>& row_shape, v1::Tensor* out) {
  out->set_dtype(static_cast<v1::DataType>(rows->dtype));
  out->add_shape(count);
  for (const int64_t d : row_shape) out->add_shape(d);
  *out->mutable_data() = std::move(rows->bytes);
}

int64_t Bytes(const InputRows& rows) { return static_cast<int64_t>(rows.bytes.size()); }
int64_t Bytes(const OutputRows& rows) { return static_cast<int64_t>(rows.bytes.size()); }

}  // namespace

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), MessageText(status));
}

void SetError(const absl::Status& status, v1::Error* error) {
  error->set_code(static_cast<int>(status.code()));
  error->set_message(MessageText(status));
}

std::shared_ptr<EncodePayload> TakeRows(v1::LogLikelihoodRequest* request, const FlowInfo& flow) {
  std::shared_ptr<EncodePayload> out = TakeEncode(request, flow);
  if (flow.has_calibration) out->tail_probability.Resize(static_cast<int>(out->rows), 0);
  return out;
}

std::shared_ptr<EncodePayload> TakeRows(v1::EncodeRequest* request, const FlowInfo& flow) {
  const DataType dtype = ReplyDataType(request->x().dtype());
  std::shared_ptr<EncodePayload> out = TakeEncode(request, flow);
  out->z = Room(out->rows, flow.latent_size, dtype);
  return out;
}

std::shared_ptr<DecodePayload> TakeRows(v1::DecodeRequest* request, const FlowInfo& flow) {
  auto out = std::make_shared<DecodePayload>();
  out->rows = request->z().shape(0);
  out->x = Room(out->rows, flow.event_size, ReplyDataType(request->z().dtype()));
  out->z = Take(request->mutable_z());
  if (request->has_context()) out->context = Take(request->mutable_context());
  out->status.resize(static_cast<size_t>(out->rows));
  return out;
}

std::shared_ptr<SamplePayload> MakeRows(const v1::SampleRequest& request, const FlowInfo& flow, uint64_t seed,
                                        uint64_t first_index, int64_t rows) {
  auto out = std::make_shared<SamplePayload>();
  out->rows = rows;
  out->seed = seed;
  out->first_index = first_index;
  if (request.has_temperature()) out->temperature = request.temperature();
  if (request.has_class_label()) out->class_label = request.class_label();
  if (request.has_context()) {
    v1::Tensor copy = request.context();  // one row
    out->context = Take(&copy);
  }
  out->x = Room(rows, flow.event_size, ReplyDataType(request.dtype()));
  if (request.with_log_likelihood()) out->log_likelihood.Resize(static_cast<int>(rows), 0);
  if (flow.num_classes > 0) out->class_drawn.Resize(static_cast<int>(rows), 0);
  out->status.resize(static_cast<size_t>(rows));
  return out;
}

int64_t Bytes(const EncodePayload& p) {
  return Bytes(p.x) + Bytes(p.context) + Bytes(p.z) + 4 * p.class_label.size() + 8 * p.log_likelihood.size() +
         8 * p.tail_probability.size() + 4 * p.rows;
}

int64_t Bytes(const DecodePayload& p) { return Bytes(p.z) + Bytes(p.context) + Bytes(p.x) + 4 * p.rows; }

int64_t Bytes(const SamplePayload& p) {
  return Bytes(p.context) + Bytes(p.x) + 8 * p.log_likelihood.size() + 4 * p.class_drawn.size() + 4 * p.rows;
}

void FillReply(EncodePayload* payload, const FlowInfo& flow, v1::LogLikelihoodResponse* reply) {
  reply->mutable_log_likelihood()->Swap(&payload->log_likelihood);
  reply->mutable_tail_probability()->Swap(&payload->tail_probability);
  FillStatus(payload->status, reply->mutable_row_status());
}

void FillReply(EncodePayload* payload, const FlowInfo& flow, v1::EncodeResponse* reply) {
  FillTensor(&payload->z, payload->rows, {flow.latent_size}, reply->mutable_z());
  reply->mutable_log_likelihood()->Swap(&payload->log_likelihood);
  FillStatus(payload->status, reply->mutable_row_status());
}

void FillReply(DecodePayload* payload, const FlowInfo& flow, v1::DecodeResponse* reply) {
  FillTensor(&payload->x, payload->rows, flow.event_shape, reply->mutable_x());
  FillStatus(payload->status, reply->mutable_row_status());
}

void FillReply(SamplePayload* payload, const FlowInfo& flow, v1::SampleResponse* reply) {
  FillTensor(&payload->x, payload->rows, flow.event_shape, reply->mutable_x());
  reply->set_seed(payload->seed);
  reply->set_first_index(payload->first_index);
  reply->mutable_log_likelihood()->Swap(&payload->log_likelihood);
  reply->mutable_class_label()->Swap(&payload->class_drawn);
  FillStatus(payload->status, reply->mutable_row_status());
}

void FillModel(const FlowInfo& flow, v1::Model* model) {
  for (const int64_t d : flow.event_shape) model->add_event_shape(d);
  model->set_context_size(flow.context_size);
  model->set_num_classes(static_cast<int32_t>(flow.num_classes));
  model->set_latent_size(flow.latent_size);
  model->set_parameters(flow.parameters);
  model->set_device(flow.device);
  model->set_precision(flow.precision);
  model->set_description(flow.description);
  for (const LayerSummary& layer : flow.layers) {
    v1::LayerInfo* info = model->add_layers();
    info->set_name(layer.name);
    info->set_kind(layer.kind);
    info->set_condition_number(layer.condition_number);
    info->set_log_abs_det(layer.log_abs_det);
    info->set_min_abs_s(layer.min_abs_s);
    info->set_max_abs_s(layer.max_abs_s);
  }
  model->set_max_condition_number(flow.max_condition_number);
  for (const auto& [key, value] : flow.provenance) (*model->mutable_provenance())[key] = value;
  model->set_has_calibration(flow.has_calibration);
  model->set_sha256(flow.sha256);
}

}  // namespace glowworm
