// Server: everything that glowworm-server is, from its options to its last answer: listeners, repository,
// compute threads, metrics, health, and the order in which they start and stop. Tested by
// tests/e2e/startup_test.py and shutdown_test.py, and by tests/server/service_test.cc.

#ifndef GLOWWORM_SERVER_SERVER_H_
#define GLOWWORM_SERVER_SERVER_H_

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "model/devices.h"
#include "server/admin_service.h"
#include "server/call_record.h"
#include "server/compute_pool.h"
#include "server/credentials.h"
#include "server/density_service.h"
#include "server/health.h"
#include "server/idle_thread.h"
#include "server/listener.h"
#include "server/metrics.h"
#include "server/model_repository.h"
#include "server/options.h"

namespace glowworm {

// Removes the file if it is there and a regular one. No-op for "".
void RemovePortFile(const std::string& path);

class Server {
 public:
  // Listens, and begins to load the repository. The status says in one sentence what is in the way.
  // REQUIRES: CheckOptions(options) is OK.
  static absl::StatusOr<std::unique_ptr<Server>> Start(const ServerOptions& options);
  // Waits for the load that is under way. REQUIRES: Stop has returned, or no call has arrived.
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  // Waits until every model is ready or has failed, or StopLoading. FailedPrecondition if none is ready, or
  // if one is not and options.exit_on_load_error is set; Cancelled after
  // StopLoading.
  absl::Status WaitUntilLoaded();
  // Loads no further model.
  void StopLoading() { repository_->StopLoading(); }
  // Health says SERVING, and the port file is written. Unavailable if it cannot be.
  absl::Status Announce();

  // Health NOT_SERVING, lame duck, no more admission, drain, end. Blocks for as long as that takes: at most
  // lame_duck + drain_timeout + a second or so, and the rest of a load that is under way.
  void Stop();

  // "127.0.0.1:50051", with the port that was picked.
  std::string address() const { return public_->address(); }
  // "none" without that listener.
  std::string metrics_address() const;
  std::string admin_address() const { return AddressOf(admin_); }
  std::string health_address() const { return AddressOf(probe_); }
  const Metrics& metrics() const { return *metrics_; }

  // What health says of "liveness"; true at first.
  void SetLive(bool live) { health_.SetLive(live); }
  // Whether what flows are computed on still answers; blocks for about a millisecond a device.
  absl::Status CheckDevices() const { return devices_->Check(); }

 private:
  explicit Server(const ServerOptions& options);
  absl::Status ReadCredentials();
  absl::Status OpenDevices();
  int Threads() const;
  absl::Status StartPool();
  absl::Status OpenRepository();
  absl::Status StartListeners();
  ListenerOptions ListenerAt(const std::string& address,
                             std::shared_ptr<grpc::ServerCredentials> credentials) const;
  static std::string AddressOf(const std::unique_ptr<Listener>& listener) {
    return listener == nullptr ? "none" : listener->address();
  }
  absl::StatusOr<std::shared_ptr<const ServedModel>> Load(const std::string& name, int64_t version,
                                                          const std::string& path);
  void ModelChanged(const ModelEntry& entry);

  const ServerOptions options_;
  std::unique_ptr<Metrics> metrics_;
  std::unique_ptr<Credentials> credentials_;
  std::shared_ptr<const Devices> devices_;
  std::unique_ptr<ComputePool> pool_;
  // Also of models that failed, by name and version; the loading thread's.
  std::map<std::pair<std::string, int64_t>, std::shared_ptr<ModelMetrics>> model_metrics_;
  IdleThread idle_thread_;  // loads models once there are calls; the loading thread's
  std::unique_ptr<ModelRepository> repository_;
  std::atomic<bool> announced_{false};  // calls are expected: loads keep out of their way
  ServiceContext context_;
  DensityService service_{&context_};
  AdminService admin_service_{&context_};
  Health health_;
  std::unique_ptr<Listener> probe_;  // health alone, in plaintext; null unless asked for
  std::unique_ptr<Listener> admin_;  // repository calls; null unless asked for
  std::unique_ptr<Listener> public_;
};

}  // namespace glowworm

#endif  // GLOWWORM_SERVER_SERVER_H_
