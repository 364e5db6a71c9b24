#include "server/port_credentials.h"

#include <grpc/grpc.h>
#include <grpc/grpc_security.h>

#include <string>
#include <utility>

#include "absl/strings/string_view.h"

namespace glowworm {
namespace {

absl::string_view TextOf(const grpc_slice& slice) {
  return absl::string_view(reinterpret_cast<const char*>(GRPC_SLICE_START_PTR(slice)),
                           GRPC_SLICE_LENGTH(slice));
}

// What the handshakes of one port ask for.
class Handshakes {
 public:
  explicit Handshakes(std::shared_ptr<const Latest<TlsMaterial>> material) : material_(std::move(material)) {}

  // gRPC's callback, at the start and at each handshake; it may be on several threads at once.
  static grpc_ssl_certificate_config_reload_status Fetch(void* handshakes,
                                                         grpc_ssl_server_certificate_config** config) {
    return static_cast<Handshakes*>(handshakes)->Fetch(config);
  }

 private:
  grpc_ssl_certificate_config_reload_status Fetch(grpc_ssl_server_certificate_config** config) {
    std::shared_ptr<const TlsMaterial> latest = material_->Get();
    MutexLock lock(&mutex_);
    if (latest == given_) return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_UNCHANGED;
    const grpc_ssl_pem_key_cert_pair pair = {latest->private_key.c_str(), latest->cert_chain.c_str()};
    // gRPC 1.51 wants authorities in every config, also of a server that asks for no certificate and so
    // never looks at them: its own chain then.
    const std::string& ca = latest->client_ca.empty() ? latest->cert_chain : latest->client_ca;
    *config = grpc_ssl_server_certificate_config_create(ca.c_str(), &pair, 1);  // copies
    given_ = std::move(latest);
    return GRPC_SSL_CERTIFICATE_CONFIG_RELOAD_NEW;
  }

  const std::shared_ptr<const Latest<TlsMaterial>> material_;
  Mutex mutex_;
  std::shared_ptr<const TlsMaterial> given_ ABSL_GUARDED_BY(mutex_);
};

// What lives as long as the core's credentials do, which may be longer than PortCredentials.
struct Port {
  CallCheck check;                         // null: none
  std::unique_ptr<Handshakes> handshakes;  // null: plaintext
};

void DestroyPort(void* state) { delete static_cast<Port*>(state); }

// gRPC's callback: the headers have come, nothing else of the call has been read.
void CheckCall(void* state, grpc_auth_context*, const grpc_metadata* metadata, size_t count,
               grpc_process_auth_metadata_done_cb done, void* user_data) {
  CallHeaders headers;
  for (size_t i = 0; i < count; ++i) {
    const absl::string_view key = TextOf(metadata[i].key);
    if (key == ":path") headers.path = TextOf(metadata[i].value);
    if (key == "authorization") headers.authorization.push_back(TextOf(metadata[i].value));
  }
  const absl::Status status = static_cast<const Port*>(state)->check(headers);
  done(user_data, nullptr, 0, nullptr, 0, static_cast<grpc_status_code>(status.code()),
       status.ok() ? nullptr : std::string(status.message()).c_str());
}

class PortCredentials final : public grpc::ServerCredentials {
 public:
  PortCredentials(grpc_server_credentials* core, std::unique_ptr<Port> port) : core_(core) {
    const auto process = port->check == nullptr ? nullptr : CheckCall;
    grpc_server_credentials_set_auth_metadata_processor(core_, {process, DestroyPort, port.release()});
  }
  ~PortCredentials() override { grpc_server_credentials_release(core_); }
  PortCredentials(const PortCredentials&) = delete;
  PortCredentials& operator=(const PortCredentials&) = delete;

  // Not used: the check is given to the constructor.
  void SetAuthMetadataProcessor(const std::shared_ptr<grpc::AuthMetadataProcessor>&) override {}

 private:
  int AddPortToServer(const std::string& address, grpc_server* server) override {
    return grpc_server_add_http2_port(server, address.c_str(), core_);
  }

  grpc_server_credentials* const core_;
};

}  // namespace

std::shared_ptr<grpc::ServerCredentials> PlaintextCredentials(CallCheck check) {
  auto port = std::make_unique<Port>();
  port->check = std::move(check);
  return std::make_shared<PortCredentials>(grpc_insecure_server_credentials_create(), std::move(port));
}

std::shared_ptr<grpc::ServerCredentials> TlsCredentials(std::shared_ptr<const Latest<TlsMaterial>> material,
                                                        CallCheck check) {
  const auto request = material->Get()->client_ca.empty()
                           ? GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE
                           : GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY;
  auto port = std::make_unique<Port>();
  port->check = std::move(check);
  port->handshakes = std::make_unique<Handshakes>(std::move(material));
  grpc_ssl_server_credentials_options* options =
      grpc_ssl_server_credentials_create_options_using_config_fetcher(request, Handshakes::Fetch,
                                                                      port->handshakes.get());
  return std::make_shared<PortCredentials>(grpc_ssl_server_credentials_create_with_options(options),
                                           std::move(port));
}

}  // namespace glowworm
