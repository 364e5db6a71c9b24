#include "server/listener.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/impl/server_builder_option.h>
#include <grpcpp/resource_quota.h>
#include <grpcpp/server_builder.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/options.h"

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

// Reflection for this server alone or not at all; where its library is linked, every server has it by itself.
class Reflection final : public grpc::ServerBuilderOption {
 public:
  explicit Reflection(bool on) : on_(on) {}
  void UpdateArguments(grpc::ChannelArguments*) override {}
  void UpdatePlugins(std::vector<std::unique_ptr<grpc::ServerBuilderPlugin>>* plugins) override {
    using Plugin = grpc::reflection::ProtoServerReflectionPlugin;
    const auto is_reflection = [](const auto& plugin) {
      return dynamic_cast<Plugin*>(plugin.get()) != nullptr;
    };
    plugins->erase(std::remove_if(plugins->begin(), plugins->end(), is_reflection), plugins->end());
    if (on_) plugins->push_back(std::make_unique<Plugin>());
  }

 private:
  const bool on_;
};

void SetBounds(const ListenerOptions& options, grpc::ServerBuilder* builder) {
  builder->SetMaxReceiveMessageSize(static_cast<int>(options.max_message_bytes));
  grpc::ResourceQuota arriving("arriving");
  arriving.Resize(static_cast<size_t>(std::max(options.max_arriving_bytes, kMinArrivingBytes)));
  builder->SetResourceQuota(arriving);
  // A compressed message is unpacked without a bound: a megabyte would become a gigabyte.
  builder->SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_DEFLATE, false);
  builder->SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_GZIP, false);
  builder->AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);  // two servers must not share a port by accident
  builder->AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMaxMetadataBytes);
  builder->AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxStreamsPerConnection);
  builder->AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, kHandshakeTimeoutMs);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveTimeMs);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, kClientPingIntervalMs);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MAX_PING_STRIKES, kMaxPingStrikes);
  builder->AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, kMaxConnectionIdleMs);
  if (options.max_connection_age > absl::ZeroDuration()) {
    builder->AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS,
                                static_cast<int>(absl::ToInt64Milliseconds(options.max_connection_age)));
    builder->AddChannelArgument(
        GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS,
        static_cast<int>(absl::ToInt64Milliseconds(options.max_connection_age_grace)));
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<Listener>> Listener::Start(const ListenerOptions& options,
                                                          const std::vector<grpc::Service*>& services) {
  grpc::EnableDefaultHealthCheckService(true);  // process-wide
  std::unique_ptr<Listener> listener(new Listener);
  int port = 0;
  grpc::ServerBuilder builder;
  builder.AddListeningPort(options.address, options.credentials, &port);
  for (grpc::Service* service : services) builder.RegisterService(service);
  if (services.empty()) builder.RegisterCallbackGenericService(&listener->nothing_);
  builder.SetOption(std::make_unique<Reflection>(options.reflection));
  SetBounds(options, &builder);
  listener->grpc_ = builder.BuildAndStart();
  if (listener->grpc_ == nullptr || port == 0) {
    return absl::UnavailableError(absl::StrCat("cannot listen for gRPC on ", options.address,
                                               ": the port is taken or the address is not this machine's"));
  }
  listener->health()->SetServingStatus(false);
  listener->address_ = absl::StrCat(ParseHostPort(options.address)->host, ":", port);
  return listener;
}

Listener::~Listener() {
  if (grpc_ != nullptr) Shutdown(absl::ZeroDuration());
}

void Listener::Shutdown(absl::Duration grace) { grpc_->Shutdown(absl::ToChronoTime(absl::Now() + grace)); }

}  // namespace glowworm
