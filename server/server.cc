// Start and stop, in order.

#include "server/server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>

#include <algorithm>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/clock.h"
#include "server/cpu_quota.h"
#include "server/log.h"
#include "server/served_model.h"
#include "server/version.h"

namespace glowworm {
namespace {

constexpr int kMaxMetadataBytes = 8 << 10;
constexpr int kMaxStreamsPerConnection = 100;
constexpr int kHandshakeTimeoutMs = 10'000;
constexpr int kKeepaliveTimeMs = 30'000;
constexpr int kKeepaliveTimeoutMs = 10'000;
constexpr int kClientPingIntervalMs = 10'000;  // a client that pings more often is struck
constexpr int kMaxPingStrikes = 2;
constexpr int kMaxConnectionIdleMs = 5 * 60'000;
// Shutdown waits this long, whole, for any stream or connection that is merely idle.
constexpr absl::Duration kShutdownGrace = absl::Seconds(1);

std::string WithPort(const std::string& address, int port) {
  return absl::StrCat(ParseHostPort(address)->host, ":", port);
}

}  // namespace

void RemovePortFile(const std::string& path) {
  std::error_code error;
  const std::filesystem::file_status file = std::filesystem::symlink_status(path, error);
  if (std::filesystem::is_regular_file(file)) std::remove(path.c_str());
}

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const ServerOptions& options) {
  std::unique_ptr<Server> server(new Server(options));
  absl::Status status = server->StartPool();
  if (status.ok()) status = server->OpenRepository();
  if (status.ok() && !options.metrics.empty()) status = server->metrics_->Listen(options.metrics);
  if (status.ok()) status = server->StartGrpc();
  if (!status.ok()) return status;
  RemovePortFile(options.port_file);  // of an earlier run: one that still serves would have the port
  status = server->repository_->StartLoading();
  if (!status.ok()) return status;
  return server;
}

Server::Server(const ServerOptions& options) : options_(options), metrics_(std::make_unique<Metrics>()) {}

Server::~Server() {
  if (repository_ != nullptr) {  // before anything that the loading thread uses
    repository_->StopLoading();
    repository_->JoinLoader();
  }
  if (grpc_ != nullptr) grpc_->Shutdown(absl::ToChronoTime(absl::Now()));
}

absl::Status Server::StartPool() {
  PoolOptions pool;
  pool.workers = options_.threads > 0 ? options_.threads : DefaultWorkers();
  pool.max_bytes = options_.max_process_bytes;
  absl::StatusOr<std::unique_ptr<ComputePool>> created = ComputePool::Create(std::move(pool));
  if (!created.ok()) return created.status();
  pool_ = *std::move(created);
  return absl::OkStatus();
}

absl::Status Server::OpenRepository() {
  absl::StatusOr<std::unique_ptr<ModelRepository>> opened = ModelRepository::Open(
      options_.repository,
      [this](const std::string& name, int64_t version, const std::string& path) {
        return Load(name, version, path);
      },
      [this](const ModelEntry& entry) { ModelChanged(entry); });
  if (!opened.ok()) return opened.status();
  repository_ = *std::move(opened);
  return absl::OkStatus();
}

absl::Status Server::StartGrpc() {
  context_.repository = repository_.get();
  context_.metrics = metrics_.get();
  context_.unknown_model = metrics_->ForModel("", "");
  context_.limits = options_.request_limits();
  context_.max_call_bytes = std::min(options_.max_queue_bytes, options_.max_process_bytes);
  context_.compute_threads = pool_->workers();

  grpc::EnableDefaultHealthCheckService(true);
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  builder.AddListeningPort(options_.listen, grpc::InsecureServerCredentials(), &port_);
  builder.RegisterService(&service_);
  builder.SetMaxReceiveMessageSize(static_cast<int>(options_.max_message_bytes));
  // A compressed message is unpacked without a bound: a megabyte would become a gigabyte.
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_DEFLATE, false);
  builder.SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_GZIP, false);
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);  // two servers must not share a port by accident
  builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMaxMetadataBytes);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxStreamsPerConnection);
  builder.AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, kHandshakeTimeoutMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveTimeMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, kClientPingIntervalMs);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PING_STRIKES, kMaxPingStrikes);
  builder.AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, kMaxConnectionIdleMs);
  grpc_ = builder.BuildAndStart();
  if (grpc_ == nullptr || port_ == 0) {
    return absl::UnavailableError(absl::StrCat("cannot listen for gRPC on ", options_.listen,
                                               ": the port is taken or the address is not this machine's"));
  }
  grpc::HealthCheckServiceInterface* health = grpc_->GetHealthCheckService();
  health->SetServingStatus(false);  // until models are loaded
  for (const ModelEntry& entry : repository_->List()) health->SetServingStatus(entry.name, false);
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const ServedModel>> Server::Load(const std::string& name, int64_t version,
                                                                const std::string& path) {
  const absl::Time start = RealClock()->Now();
  std::shared_ptr<ModelMetrics> metrics = metrics_->ForModel(name, absl::StrCat(version));
  model_metrics_.push_back(metrics);
  FlowOptions flow_options;
  flow_options.precision = options_.precision;
  flow_options.workers = pool_->workers();
  flow_options.max_condition_number = options_.max_condition_number;
  BatcherOptions batching;
  batching.max_batch_rows = options_.max_batch_rows;
  batching.max_queue_rows = options_.max_queue_rows;
  batching.max_queue_bytes = options_.max_queue_bytes;
  batching.max_queue_delay = options_.max_queue_delay;
  try {
    absl::StatusOr<std::unique_ptr<const Flow>> flow = Flow::Load(path, flow_options);
    if (!flow.ok()) return flow.status();
    const double condition_number = (*flow)->info().max_condition_number;
    auto model = ServedModel::Create(name, version, *std::move(flow), metrics, batching, pool_.get());
    if (model.ok()) metrics->Loaded(RealClock()->Now() - start, condition_number);
    return model;
  } catch (const std::exception&) {  // out of memory: the file is refused, the server goes on
    return absl::ResourceExhaustedError("there is not enough memory to load this flow");
  }
}

void Server::ModelChanged(const ModelEntry& entry) {
  const std::string which = absl::StrCat(" model=", entry.name, " version=", entry.version);
  if (entry.state == ModelState::kFailed) {
    // Its folder may be what failed, and then Load made none.
    model_metrics_.push_back(metrics_->ForModel(entry.name, absl::StrCat(entry.version)));
    LogError(absl::StrCat("failed", which, " error=\"", entry.error.message(), "\""));
    return;
  }
  const FlowInfo& info = entry.served->info();
  LogInfo(absl::StrCat("loaded", which, " parameters=", info.parameters, " precision=", info.precision,
                       " max_condition_number=", info.max_condition_number));
  if (++ready_versions_[entry.name] == 1) grpc_->GetHealthCheckService()->SetServingStatus(entry.name, true);
}

absl::Status Server::WaitUntilLoaded() {
  if (!repository_->WaitUntilLoaded()) return absl::CancelledError("the server stops before it has loaded");
  int ready = 0, failed = 0;
  for (const ModelEntry& entry : repository_->List()) {
    ready += entry.state == ModelState::kReady ? 1 : 0;
    failed += entry.state == ModelState::kFailed ? 1 : 0;
  }
  if (ready == 0) {
    return absl::FailedPreconditionError(failed == 0
                                             ? "the repository holds no <model>/<version>/flow.safetensors"
                                             : "no model could be loaded");
  }
  if (failed > 0 && options_.exit_on_load_error) {
    return absl::FailedPreconditionError(absl::StrCat(failed, " of the models could not be loaded"));
  }
  return absl::OkStatus();
}

absl::Status Server::Announce() {
  grpc_->GetHealthCheckService()->SetServingStatus("", true);
  if (!options_.port_file.empty()) {
    const std::string unfinished = options_.port_file + ".tmp";
    std::ofstream file(unfinished, std::ios::trunc);
    file << address() << "\n" << metrics_address() << "\n";
    file.close();
    if (!file || std::rename(unfinished.c_str(), options_.port_file.c_str()) != 0) {
      return absl::UnavailableError("--port_file: cannot be written");
    }
  }
  LogInfo(absl::StrCat("serving address=", address(), " metrics=", metrics_address(),
                       " threads=", pool_->workers(), " server_version=", kServerVersion));
  return absl::OkStatus();
}

void Server::Stop() {
  LogInfo(absl::StrCat("stopping lame_duck_seconds=", absl::ToDoubleSeconds(options_.lame_duck)));
  repository_->StopLoading();
  grpc_->GetHealthCheckService()->Shutdown();  // for good: a model that finishes loading changes nothing
  absl::SleepFor(options_.lame_duck);
  repository_->JoinLoader();  // from here on the list of models stands

  context_.streams.Drain();
  std::vector<std::shared_ptr<const ServedModel>> models;
  for (const ModelEntry& entry : repository_->List()) {
    if (entry.served != nullptr) models.push_back(entry.served);
  }
  for (const auto& model : models) model->Drain();
  const absl::Time deadline = pool_->clock()->Now() + options_.drain_timeout;
  bool idle = true;
  for (const auto& model : models) idle = model->WaitUntilIdle(deadline) && idle;
  if (!idle) {
    LogWarning("drain timeout: the calls that are left end with UNAVAILABLE");
    for (const auto& model : models) model->Abandon();
  }
  grpc_->Shutdown(absl::ToChronoTime(absl::Now() + kShutdownGrace));
  RemovePortFile(options_.port_file);
  LogInfo(absl::StrCat("stopped drained=", idle ? "true" : "false"));
}

std::string Server::address() const { return WithPort(options_.listen, port_); }

std::string Server::metrics_address() const {
  return options_.metrics.empty() ? "none" : WithPort(options_.metrics, metrics_->port());
}

}  // namespace glowworm
