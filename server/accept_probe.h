// AcceptProbe: whether this process's listeners still accept connections.
//
// gRPC 1.51 closes a listener's loop for good when accept() fails once, as it does when descriptors run out
// (CVE-2023-4785). The kernel goes on to complete connections, so a connect proves nothing; the probe
// waits until the server itself has done something to the connection: sent its first bytes, or closed it.
// A port that speaks TLS does so too, since what the probe sends is no TLS. Tested by
// tests/server/accept_probe_test.cc.

#ifndef GLOWWORM_SERVER_ACCEPT_PROBE_H_
#define GLOWWORM_SERVER_ACCEPT_PROBE_H_

#include <sys/socket.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace glowworm {

// Not thread-safe.
class AcceptProbe {
 public:
  // Looks the hosts up, once. Unavailable names the address whose host is not known.
  static absl::StatusOr<std::unique_ptr<AcceptProbe>> Create(const std::vector<std::string>& addresses);
  ~AcceptProbe();
  AcceptProbe(const AcceptProbe&) = delete;
  AcceptProbe& operator=(const AcceptProbe&) = delete;

  // Connects to each address in turn. Blocks for `timeout` or a little more, all together. Unavailable says
  // which address does not accept, or that no descriptor is left.
  absl::Status Run(absl::Duration timeout);

 private:
  struct Endpoint {
    sockaddr_storage address;
    socklen_t size;
  };
  struct Target {
    std::string name;                 // HOST:PORT
    std::vector<Endpoint> endpoints;  // all that the host's name stands for
  };

  AcceptProbe() = default;
  // Whether all spares are held; waits until `deadline` for them.
  bool Reserve(absl::Time deadline);
  void Release();
  absl::Status Reach(const Target& target, absl::Time deadline);

  std::vector<Target> targets_;
  // Held between probes, which make no connection without them: else a probe would take the last descriptors
  // of a full server, and break the accept() that it looks after. One for each end of the connection, and one
  // for gRPC's next accept(), which takes a descriptor even to learn that nobody waits. -1: none.
  int spare_[3] = {-1, -1, -1};
};

}  // namespace glowworm

#endif  // GLOWWORM_SERVER_ACCEPT_PROBE_H_
