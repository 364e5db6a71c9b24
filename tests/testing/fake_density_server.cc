// FakeDensityServer over gRPC's synchronous service; its arithmetic is on vectors of double.

#include "tests/testing/fake_density_server.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <utility>

#include "grpcpp/server_builder.h"

namespace glowworm {
namespace {

std::vector<double> Numbers(const v1::Tensor& tensor) {
  std::vector<double> numbers;
  const std::string& data = tensor.data();
  const size_t size = tensor.dtype() == v1::DATA_TYPE_FLOAT64   ? 8
                      : tensor.dtype() == v1::DATA_TYPE_FLOAT32 ? 4
                                                                : 1;
  for (size_t at = 0; at + size <= data.size(); at += size) {
    if (size == 8) {
      double value;
      std::memcpy(&value, &data[at], 8);
      numbers.push_back(value);
    } else if (size == 4) {
      float value;
      std::memcpy(&value, &data[at], 4);
      numbers.push_back(value);
    } else {
      numbers.push_back(static_cast<unsigned char>(data[at]));
    }
  }
  return numbers;
}

void SetNumbers(const std::vector<double>& numbers, v1::DataType dtype, v1::Tensor* tensor) {
  const bool narrow = dtype == v1::DATA_TYPE_FLOAT32;
  tensor->set_dtype(narrow ? v1::DATA_TYPE_FLOAT32 : v1::DATA_TYPE_FLOAT64);
  std::string* data = tensor->mutable_data();
  for (double number : numbers) {
    const float value = static_cast<float>(number);
    data->append(narrow ? reinterpret_cast<const char*>(&value) : reinterpret_cast<const char*>(&number),
                 narrow ? 4 : 8);
  }
}

int64_t RowsOf(const v1::Tensor& tensor) { return tensor.shape_size() == 0 ? 0 : tensor.shape(0); }

grpc::Status Invalid(const std::string& message) { return {grpc::StatusCode::INVALID_ARGUMENT, message}; }

}  // namespace

v1::Model FakeModel(std::vector<int64_t> event_shape) {
  v1::Model model;
  model.mutable_ref()->set_name("fake");
  model.mutable_ref()->set_version(3);
  model.set_state(v1::MODEL_STATE_READY);
  int64_t size = 1;
  for (int64_t dim : event_shape) {
    model.add_event_shape(dim);
    size *= dim;
  }
  model.set_latent_size(size);
  model.set_precision("float64");
  model.set_device("cpu");
  model.set_description("a fake");
  model.set_has_calibration(true);
  model.mutable_limits()->set_max_rows(65536);
  model.mutable_limits()->set_max_samples(65536);
  model.mutable_limits()->set_max_message_bytes(4 << 20);
  model.mutable_limits()->set_max_reply_bytes((4 << 20) - (64 << 10));
  return model;
}

FakeDensityServer::FakeDensityServer(v1::Model model) : model_(std::move(model)) {
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  builder.RegisterService(this);
  server_ = builder.BuildAndStart();
  address_ = "127.0.0.1:" + std::to_string(port);
}

FakeDensityServer::~FakeDensityServer() {
  Release();
  server_->Shutdown();
}

void FakeDensityServer::SetModel(v1::Model model) {
  std::lock_guard<std::mutex> lock(mutex_);
  model_ = std::move(model);
}

v1::Model FakeDensityServer::CurrentModel() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return model_;
}

void FakeDensityServer::Script(std::vector<ScriptedFailure> failures) {
  std::lock_guard<std::mutex> lock(mutex_);
  script_.assign(failures.begin(), failures.end());
}

void FakeDensityServer::AlwaysFail(ScriptedFailure failure) {
  std::lock_guard<std::mutex> lock(mutex_);
  always_ = std::move(failure);
}

void FakeDensityServer::Hold() {
  std::lock_guard<std::mutex> lock(mutex_);
  holding_ = true;
}

void FakeDensityServer::Release() {
  std::lock_guard<std::mutex> lock(mutex_);
  holding_ = false;
  changed_.notify_all();
}

void FakeDensityServer::AwaitHeld(int count) {
  std::unique_lock<std::mutex> lock(mutex_);
  changed_.wait(lock, [&] { return held_ >= count; });
}

int FakeDensityServer::row_calls() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return row_calls_;
}

int FakeDensityServer::get_model_calls() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return get_model_calls_;
}

int FakeDensityServer::most_held() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return most_held_;
}

std::vector<int64_t> FakeDensityServer::chunks() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return chunks_;
}

std::vector<v1::SampleRequest> FakeDensityServer::sample_requests() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return sample_requests_;
}

std::vector<int64_t> FakeDensityServer::versions() const {
  std::lock_guard<std::mutex> lock(mutex_);
  return versions_;
}

grpc::Status FakeDensityServer::Begin(grpc::ServerContext* context, int64_t version) {
  std::unique_lock<std::mutex> lock(mutex_);
  ++row_calls_;
  versions_.push_back(version);
  if (holding_) {
    most_held_ = std::max(most_held_, ++held_);
    changed_.notify_all();
    changed_.wait(lock, [this] { return !holding_; });
    --held_;
  }
  ScriptedFailure failure = always_;
  if (!script_.empty()) {
    failure = script_.front();
    script_.pop_front();
  }
  if (!failure.pushback_ms.empty())
    context->AddTrailingMetadata("grpc-retry-pushback-ms", failure.pushback_ms);
  return failure.code == grpc::StatusCode::OK ? grpc::Status::OK
                                              : grpc::Status(failure.code, failure.message);
}

grpc::Status FakeDensityServer::CheckLimits(int64_t rows, int64_t most,
                                            const google::protobuf::Message& request,
                                            const google::protobuf::Message& reply) {
  std::lock_guard<std::mutex> lock(mutex_);
  if (rows <= 0 || rows > most) return Invalid(std::to_string(rows) + " rows");
  if (static_cast<int64_t>(request.ByteSizeLong()) > model_.limits().max_message_bytes()) {
    return Invalid("the request is too large");
  }
  if (static_cast<int64_t>(reply.ByteSizeLong()) > model_.limits().max_reply_bytes()) {
    return Invalid("the reply is too large");
  }
  chunks_.push_back(rows);
  return grpc::Status::OK;
}

grpc::Status FakeDensityServer::ListModels(grpc::ServerContext*, const v1::ListModelsRequest*,
                                           v1::ListModelsResponse* reply) {
  std::lock_guard<std::mutex> lock(mutex_);
  *reply->add_models() = model_;
  reply->set_server_version("fake 1");
  return grpc::Status::OK;
}

grpc::Status FakeDensityServer::GetModel(grpc::ServerContext*, const v1::GetModelRequest* request,
                                         v1::Model* reply) {
  std::lock_guard<std::mutex> lock(mutex_);
  ++get_model_calls_;
  if (request->model().name() == "missing") return {grpc::StatusCode::NOT_FOUND, "no model of this name"};
  *reply = model_;
  return grpc::Status::OK;
}

// log_likelihood and row_status of LogLikelihood and Encode.
template <typename Request, typename Reply>
grpc::Status FakeDensityServer::Score(const Request& request, Reply* reply) {
  const int64_t rows = RowsOf(request.x());
  const std::vector<double> x = Numbers(request.x());
  const std::vector<double> context = Numbers(request.context());
  const int64_t contexts = RowsOf(request.context());
  if (rows <= 0) return Invalid("zero rows");
  if (contexts > 1 && contexts != rows) return Invalid("contexts do not match rows");
  if (request.class_label_size() > 1 && request.class_label_size() != rows)
    return Invalid("labels do not match rows");
  const size_t d = x.size() / static_cast<size_t>(rows);
  bool all_ok = true;
  for (int64_t i = 0; i < rows; ++i) {
    double sum = 0;
    for (size_t k = 0; k < d; ++k)
      sum -= x[static_cast<size_t>(i) * d + k] * x[static_cast<size_t>(i) * d + k] / 2;
    if (contexts > 0)
      sum += context[contexts == 1 ? 0 : static_cast<size_t>(i) * (context.size() / contexts)];
    if (request.class_label_size() > 0) sum += request.class_label(request.class_label_size() == 1 ? 0 : i);
    reply->add_log_likelihood(sum);
    reply->add_row_status(std::isnan(sum) ? v1::ROW_STATUS_NON_FINITE_INPUT : v1::ROW_STATUS_OK);
    all_ok = all_ok && !std::isnan(sum);
  }
  if (all_ok) reply->clear_row_status();
  *reply->mutable_model() = CurrentModel().ref();
  return grpc::Status::OK;
}

grpc::Status FakeDensityServer::LogLikelihood(grpc::ServerContext* context,
                                              const v1::LogLikelihoodRequest* request,
                                              v1::LogLikelihoodResponse* reply) {
  grpc::Status status = Begin(context, request->model().version());
  if (status.ok()) status = Score(*request, reply);
  if (!status.ok()) return status;
  const v1::Model model = CurrentModel();
  for (double value : reply->log_likelihood()) {
    if (model.has_calibration()) reply->add_tail_probability(1 / (1 - value));
  }
  return CheckLimits(RowsOf(request->x()), model.limits().max_rows(), *request, *reply);
}

grpc::Status FakeDensityServer::Encode(grpc::ServerContext* context, const v1::EncodeRequest* request,
                                       v1::EncodeResponse* reply) {
  grpc::Status status = Begin(context, request->model().version());
  if (status.ok()) status = Score(*request, reply);
  if (!status.ok()) return status;
  std::vector<double> z = Numbers(request->x());
  for (double& value : z) value *= 2;
  const int64_t rows = RowsOf(request->x());
  SetNumbers(z, request->x().dtype(), reply->mutable_z());
  reply->mutable_z()->add_shape(rows);
  reply->mutable_z()->add_shape(static_cast<int64_t>(z.size()) / rows);
  return CheckLimits(rows, CurrentModel().limits().max_rows(), *request, *reply);
}

grpc::Status FakeDensityServer::Decode(grpc::ServerContext* context, const v1::DecodeRequest* request,
                                       v1::DecodeResponse* reply) {
  grpc::Status status = Begin(context, request->model().version());
  if (!status.ok()) return status;
  std::vector<double> x = Numbers(request->z());
  for (double& value : x) value /= 2;
  SetNumbers(x, request->z().dtype(), reply->mutable_x());
  reply->mutable_x()->add_shape(RowsOf(request->z()));
  const v1::Model model = CurrentModel();
  reply->mutable_x()->mutable_shape()->MergeFrom(model.event_shape());
  *reply->mutable_model() = model.ref();
  return CheckLimits(RowsOf(request->z()), model.limits().max_rows(), *request, *reply);
}

grpc::Status FakeDensityServer::Sample(grpc::ServerContext* context, const v1::SampleRequest* request,
                                       v1::SampleResponse* reply) {
  grpc::Status status = Begin(context, request->model().version());
  if (!status.ok()) return status;
  const v1::Model model = CurrentModel();
  {
    std::lock_guard<std::mutex> lock(mutex_);
    sample_requests_.push_back(*request);
  }
  if (request->num_samples() <= 0 || request->num_samples() > model.limits().max_samples()) {
    return Invalid("num_samples");
  }
  reply->set_seed(request->has_seed() ? request->seed() : 77);
  reply->set_first_index(request->first_index());
  *reply->mutable_model() = model.ref();
  std::vector<double> x;
  for (int64_t i = 0; i < request->num_samples(); ++i) {
    const double start =
        static_cast<double>(reply->seed() + request->first_index() + static_cast<uint64_t>(i));
    for (int64_t d = 0; d < model.latent_size(); ++d) x.push_back(start + static_cast<double>(d) / 1000);
    if (request->with_log_likelihood()) reply->add_log_likelihood(-start);
  }
  SetNumbers(x, request->dtype(), reply->mutable_x());
  reply->mutable_x()->add_shape(request->num_samples());
  reply->mutable_x()->mutable_shape()->MergeFrom(model.event_shape());
  return CheckLimits(request->num_samples(), model.limits().max_samples(), *request, *reply);
}

}  // namespace glowworm
