// Start and stop, in order.

#include "server/server.h"

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
#include "server/idle_thread.h"
#include "server/log.h"
#include "server/out_of_resources.h"
#include "server/served_model.h"
#include "server/version.h"

namespace glowworm {
namespace {

// Shutdown waits this long, whole, for any stream or connection that is merely idle.
constexpr absl::Duration kShutdownGrace = absl::Seconds(1);

}  // namespace

void RemovePortFile(const std::string& path) {
  std::error_code error;
  const std::filesystem::file_status file = std::filesystem::symlink_status(path, error);
  if (std::filesystem::is_regular_file(file)) std::remove(path.c_str());
}

absl::StatusOr<std::unique_ptr<Server>> Server::Start(const ServerOptions& options) {
  std::unique_ptr<Server> server(new Server(options));
  absl::Status status = server->ReadCredentials();
  if (status.ok()) status = server->OpenDevices();
  if (status.ok()) status = server->StartPool();
  if (status.ok()) status = server->OpenRepository();
  if (status.ok() && !options.metrics.empty()) status = server->metrics_->Listen(options.metrics);
  if (status.ok()) status = server->StartListeners();
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
  for (const auto* listener : {&public_, &admin_, &probe_}) {
    if (*listener != nullptr) (*listener)->Shutdown(absl::ZeroDuration());
  }
}

absl::Status Server::ReadCredentials() {
  absl::StatusOr<std::unique_ptr<Credentials>> created = Credentials::Create(options_, metrics_.get());
  if (!created.ok()) return created.status();
  credentials_ = *std::move(created);
  return absl::OkStatus();
}

absl::Status Server::OpenDevices() {
  const bool cpu_alone = options_.device == "auto" && options_.precision == Precision::kBfloat16;
  absl::StatusOr<std::shared_ptr<const Devices>> opened = Devices::Open(cpu_alone ? "cpu" : options_.device);
  if (!opened.ok()) {
    return absl::Status(opened.status().code(),
                        absl::StrCat("--device=", options_.device, ": ", opened.status().message()));
  }
  devices_ = *std::move(opened);
  metrics_->Watch(devices_);
  if (options_.device == "auto" && devices_->on_cpu()) {
    LogInfo(absl::StrCat(
        "computing device=cpu reason=",
        LogText(cpu_alone ? "bfloat16 is computed on the CPU only" : devices_->fallback_reason())));
  }
  for (const DeviceUse& use : devices_->Use()) {
    LogInfo(absl::StrCat("computing device=cuda:", use.ordinal, " name=", LogText(use.name),
                         " memory_total_bytes=", use.memory_total_bytes));
  }
  return absl::OkStatus();
}

// One thread copies to and from a CUDA device while another has it compute.
int Server::Threads() const {
  if (options_.threads > 0) return static_cast<int>(options_.threads);
  return devices_->on_cpu() ? DefaultWorkers() : 2 * devices_->count();
}

absl::Status Server::StartPool() {
  const MayRunOut here;
  PoolOptions pool;
  pool.workers = Threads();
  pool.max_bytes = options_.max_process_bytes;
  absl::StatusOr<std::unique_ptr<ComputePool>> created = ComputePool::Create(std::move(pool));
  if (!created.ok()) return created.status();
  pool_ = *std::move(created);
  return absl::OkStatus();
}

absl::Status Server::OpenRepository() {
  RepositoryOptions options;
  options.root = options_.repository;
  options.mode = options_.repository_mode;
  options.poll_interval = options_.poll_interval;
  options.policy = options_.version_policy;
  options.patience = options_.drain_timeout;
  absl::StatusOr<std::unique_ptr<ModelRepository>> opened = ModelRepository::Open(
      std::move(options),
      [this](const std::string& name, int64_t version, const std::string& path) {
        return Load(name, version, path);
      },
      [this](const ModelEntry& entry) { ModelChanged(entry); });
  if (!opened.ok()) return opened.status();
  repository_ = *std::move(opened);
  return absl::OkStatus();
}

ListenerOptions Server::ListenerAt(const std::string& address,
                                   std::shared_ptr<grpc::ServerCredentials> credentials) const {
  ListenerOptions out;
  out.address = address;
  out.credentials = std::move(credentials);
  out.max_message_bytes = options_.max_message_bytes;
  out.max_arriving_bytes = std::max(options_.max_process_bytes, 4 * options_.max_message_bytes);
  out.max_connection_age = options_.max_connection_age;
  out.max_connection_age_grace = options_.max_connection_age_grace;
  return out;
}

absl::Status Server::StartListeners() {
  context_.models = &repository_->registry();
  admin_service_.SetRepository(repository_.get());
  context_.metrics = metrics_.get();
  if (credentials_->uses_tokens() || credentials_->asks_for_certificates())
    context_.credentials = credentials_.get();
  context_.unknown_model = metrics_->ForModel("", "");
  context_.limits = options_.request_limits();
  context_.max_call_bytes = std::min(options_.max_queue_bytes, options_.max_process_bytes);
  context_.compute_threads = pool_->workers();
  context_.reply_timeout.Start(options_.reply_timeout);
  for (const ModelEntry& entry : repository_->registry().List()) health_.SetModel(entry.name, false);

  const auto start = [this](const ListenerOptions& options, const std::vector<grpc::Service*>& services,
                            std::unique_ptr<Listener>* out) {
    absl::StatusOr<std::unique_ptr<Listener>> started = Listener::Start(options, services);
    if (!started.ok()) return started.status();
    *out = *std::move(started);
    health_.AddListener((*out)->health());
    return absl::OkStatus();
  };
  absl::Status status;
  if (!options_.health.empty()) {
    status = start(ListenerAt(options_.health, grpc::InsecureServerCredentials()), {}, &probe_);
  }
  if (status.ok() && !options_.admin.empty()) {
    status = start(ListenerAt(options_.admin, credentials_->For(Role::kAdmin)), {&admin_service_}, &admin_);
  }
  ListenerOptions open = ListenerAt(options_.listen, credentials_->For(Role::kRead));
  open.reflection = true;
  if (status.ok()) status = start(open, {&service_}, &public_);
  return status;
}

absl::StatusOr<std::shared_ptr<const ServedModel>> Server::Load(const std::string& name, int64_t version,
                                                                const std::string& path) {
  const absl::Time start = RealClock()->Now();
  std::shared_ptr<ModelMetrics> metrics = metrics_->ForModel(name, absl::StrCat(version));
  model_metrics_[{name, version}] = metrics;
  FlowOptions flow_options;
  flow_options.precision = options_.precision;
  flow_options.workers = pool_->workers();
  flow_options.devices = devices_;
  flow_options.max_condition_number = options_.max_condition_number;
  BatcherOptions batching;
  batching.max_batch_rows = options_.max_batch_rows;
  batching.max_queue_rows = options_.max_queue_rows;
  batching.max_queue_bytes = options_.max_queue_bytes;
  batching.max_queue_delay = options_.max_queue_delay;
  absl::StatusOr<std::shared_ptr<const ServedModel>> model = nullptr;
  const auto load = [&] {
    try {
      const MayRunOut here;
      absl::StatusOr<std::unique_ptr<const Flow>> flow = Flow::Load(path, flow_options);
      if (!flow.ok()) {
        model = flow.status();
        return;
      }
      const double condition_number = (*flow)->info().max_condition_number;
      model = ServedModel::Create(name, version, *std::move(flow), metrics, batching, pool_.get());
      if (model.ok()) metrics->Loaded(RealClock()->Now() - start, condition_number);
    } catch (const std::exception&) {  // out of memory: the file is refused, the server goes on
      model = absl::ResourceExhaustedError("there is not enough memory to load this flow");
    }
  };
  if (announced_.load()) {
    idle_thread_.Run(load);  // others are served meanwhile
  } else {
    load();
  }
  return model;
}

void Server::ModelChanged(const ModelEntry& entry) {
  const std::string which = absl::StrCat(" model=", entry.name, " version=", entry.version);
  const ModelRegistry& models = repository_->registry();
  health_.SetModel(entry.name, models.Serves(entry.name));
  if (!entry.error.ok()) {
    // Its folder may be what failed, and then Load made none.
    model_metrics_.emplace(std::pair(entry.name, entry.version),
                           metrics_->ForModel(entry.name, absl::StrCat(entry.version)));
    metrics_->LoadEnded(entry.name, /*ok=*/false);
    LogError(absl::StrCat("failed", which, " error=", LogText(entry.error.message()),
                          entry.served == nullptr ? "" : " kept=\"the version that was ready\""));
  } else if (entry.state == ModelState::kReady) {
    metrics_->LoadEnded(entry.name, /*ok=*/true);
    const FlowInfo& info = entry.served->info();
    LogInfo(absl::StrCat("loaded", which, " parameters=", info.parameters, " precision=", info.precision,
                         " max_condition_number=", info.max_condition_number));
  } else if (entry.state == ModelState::kUnloading) {
    model_metrics_[{entry.name, entry.version}]->Unloading();
    LogInfo(absl::StrCat("unloading", which));
  } else {
    model_metrics_.erase({entry.name, entry.version});
    LogInfo(absl::StrCat("unloaded", which));
  }
}

absl::Status Server::WaitUntilLoaded() {
  if (!repository_->WaitUntilLoaded()) return absl::CancelledError("the server stops before it has loaded");
  int ready = 0, failed = 0;
  for (const ModelEntry& entry : repository_->registry().List()) {
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
  announced_.store(true);
  health_.SetStarted();
  health_.SetReady(true);
  if (!options_.port_file.empty()) {
    const std::string unfinished = options_.port_file + ".tmp";
    std::ofstream file(unfinished, std::ios::trunc);
    for (const std::string& line : {address(), metrics_address(), admin_address(), health_address()}) {
      file << line << "\n";
    }
    file.close();
    if (!file || std::rename(unfinished.c_str(), options_.port_file.c_str()) != 0) {
      return absl::UnavailableError("--port_file: cannot be written");
    }
  }
  LogInfo(absl::StrCat("serving address=", address(), " metrics=", metrics_address(),
                       " admin=", admin_address(), " health=", health_address(), " device=", devices_->name(),
                       " threads=", pool_->workers(), " server_version=", kServerVersion));
  return absl::OkStatus();
}

void Server::Stop() {
  LogInfo(absl::StrCat("stopping lame_duck_seconds=", absl::ToDoubleSeconds(options_.lame_duck)));
  repository_->StopLoading();
  health_.Shutdown();  // for good: a model that finishes loading changes nothing
  absl::SleepFor(options_.lame_duck);
  context_.streams.Drain();
  const absl::Time deadline = pool_->clock()->Now() + options_.drain_timeout;
  const auto drain = [this] {
    std::vector<std::shared_ptr<const ServedModel>> models = repository_->registry().InUse();
    for (const auto& model : models) model->Drain();
    return models;
  };
  drain();                    // so that a load that is under way finds idle cores,
  repository_->JoinLoader();  // from here on the list of models stands,
  const std::vector<std::shared_ptr<const ServedModel>> models = drain();  // and nothing is missed
  bool idle = true;
  for (const auto& model : models) idle = model->WaitUntilIdle(deadline) && idle;
  if (!idle) {
    LogWarning("drain timeout: the calls that are left end with UNAVAILABLE");
    for (const auto& model : models) model->Abandon();
  }
  for (const auto* listener : {&public_, &admin_, &probe_}) {
    if (*listener != nullptr) (*listener)->Shutdown(kShutdownGrace);
  }
  RemovePortFile(options_.port_file);
  LogInfo(absl::StrCat("stopped drained=", idle ? "true" : "false"));
}

std::string Server::metrics_address() const {
  return options_.metrics.empty()
             ? "none"
             : absl::StrCat(ParseHostPort(options_.metrics)->host, ":", metrics_->port());
}

}  // namespace glowworm
