// Health: what grpc.health.v1 says of the server, the same on every listener.
//
// Services: "" and "readiness" (calls are taken), "startup" (the first load is over), "liveness" (the process
// is not stuck; the watchdog's alone, never the queue's or the models'), and one for each model. Thread-safe.
// Tested by tests/server/health_test.cc.

#ifndef GLOWWORM_SERVER_HEALTH_H_
#define GLOWWORM_SERVER_HEALTH_H_

#include <grpcpp/health_check_service_interface.h>

#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "server/mutex.h"

namespace glowworm {

inline constexpr char kLiveness[] = "liveness";
inline constexpr char kReadiness[] = "readiness";
inline constexpr char kStartup[] = "startup";

class Health {
 public:
  // Also tells `listener` what is known so far. REQUIRES: it outlives the calls below.
  void AddListener(grpc::HealthCheckServiceInterface* listener);

  // No-op for a model that bears one of the names above: a bad file must not end the process by its liveness.
  void SetModel(const std::string& model, bool serving);
  void SetReady(bool ready);  // "" and "readiness"
  void SetStarted() { Set(kStartup, true); }
  void SetLive(bool live);

  // Everything but liveness is NOT_SERVING for good.
  void Shutdown();

 private:
  void Set(const std::string& service, bool serving);
  void SetLocked(const std::string& service, bool serving) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Mutex mutex_;
  std::vector<grpc::HealthCheckServiceInterface*> listeners_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, bool> serving_ ABSL_GUARDED_BY(mutex_) = {
      {"", false}, {kReadiness, false}, {kStartup, false}, {kLiveness, true}};
  bool shut_down_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace glowworm

#endif  // GLOWWORM_SERVER_HEALTH_H_
