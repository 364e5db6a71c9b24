// Listener: one gRPC port, with the bounds that every port of ours has: message and metadata sizes, calls at
// once, pings, handshake and idle times, no compression, no shared port. Tested by
// tests/server/lifecycle_test.cc, tests/e2e/bad_request_test.py and tests/attack/direct_test.py.

#ifndef GLOWWORM_SERVER_LISTENER_H_
#define GLOWWORM_SERVER_LISTENER_H_

#include <grpcpp/generic/async_generic_service.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace glowworm {

constexpr int64_t kMinArrivingBytes = 64 << 20;

struct ListenerOptions {
  std::string address;  // HOST:PORT; port 0 picks a free one
  std::shared_ptr<grpc::ServerCredentials> credentials;
  int64_t max_message_bytes = 4 << 20;
  // Of all connections together, what has arrived and is no whole message yet: gRPC judges a message's size
  // only once it has all of it. Beyond, it resets streams. At least kMinArrivingBytes.
  int64_t max_arriving_bytes = int64_t{1} << 30;
  bool reflection = false;
  absl::Duration max_connection_age;  // zero: none
  absl::Duration max_connection_age_grace;
};

// Thread-safe.
class Listener {
 public:
  // Serves `services` and grpc.health.v1, which says NOT_SERVING of everything until it is told otherwise.
  // Unavailable if the address cannot be had. REQUIRES: the services outlive the listener.
  static absl::StatusOr<std::unique_ptr<Listener>> Start(const ListenerOptions& options,
                                                         const std::vector<grpc::Service*>& services);
  // Shutdown(zero), if it has not been shut down.
  ~Listener();
  Listener(const Listener&) = delete;
  Listener& operator=(const Listener&) = delete;

  // "127.0.0.1:50051", with the port that was picked.
  const std::string& address() const { return address_; }
  grpc::HealthCheckServiceInterface* health() const { return grpc_->GetHealthCheckService(); }

  // Takes no further call; cancels those that are left after `grace`, and waits until each has ended. Lasts
  // the whole of `grace` if a stream or connection is merely idle.
  void Shutdown(absl::Duration grace);

 private:
  Listener() = default;

  // Answers UNIMPLEMENTED, where there are no services: gRPC starts no server with health alone.
  grpc::CallbackGenericService nothing_;
  std::unique_ptr<grpc::Server> grpc_;
  std::string address_;
};

}  // namespace glowworm

#endif  // GLOWWORM_SERVER_LISTENER_H_
