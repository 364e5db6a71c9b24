// glowworm-server. Exit codes: 0 after SIGTERM or SIGINT, 1 if it could not serve, 2 for a flag out of its
// range, 1 for one that Abseil cannot parse (and for --help); a second signal ends it at once with 128 + its
// number. With --healthcheck: 0 if the server that it asks is SERVING, or else 1. Tested by tests/e2e.

#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "server/flags.h"
#include "server/healthcheck.h"
#include "server/log.h"
#include "server/server.h"
#include "server/stop_signal.h"

namespace {

// Each connection takes a descriptor, and gRPC stops accepting for good when they run out.
void RaiseDescriptorLimit() {
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

int Serve(const glowworm::ServerOptions& options) {
  auto server = glowworm::Server::Start(options);
  if (!server.ok()) {
    glowworm::LogError(std::string(server.status().message()));
    return 1;
  }
  std::atomic<bool> stopping{false}, failed{false};
  std::thread announcer([&server, &stopping, &failed] {
    absl::Status status = (*server)->WaitUntilLoaded();
    if (stopping) return;
    if (status.ok()) status = (*server)->Announce();
    if (status.ok()) return;
    glowworm::LogError(std::string(status.message()));
    failed = true;
    kill(getpid(), SIGTERM);  // wakes the main thread
  });
  glowworm::WaitForStopSignal();
  stopping = true;
  (*server)->StopLoading();
  announcer.join();
  std::thread([port_file = options.port_file] {
    const int number = glowworm::WaitForStopSignal();
    glowworm::RemovePortFile(port_file);
    _exit(128 + number);
  }).detach();
  (*server)->Stop();
  return failed ? 1 : 0;
}

}  // namespace

int main(int argc, char** argv) {
  const absl::StatusOr<glowworm::ServerOptions> options = glowworm::ParseCommandLine(argc, argv);
  if (!options.ok()) {
    std::fprintf(stderr, "glowworm-server: %s\n", std::string(options.status().message()).c_str());
    return 2;
  }
  if (options->healthcheck) {
    const absl::Status status = glowworm::Healthcheck(*options);
    if (!status.ok()) std::fprintf(stderr, "glowworm-server: %s\n", std::string(status.message()).c_str());
    return status.ok() ? 0 : 1;
  }
  // Debian builds Abseil with its search for deadlocks on, which every lock of gRPC pays for.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  glowworm::BlockStopSignals();
  glowworm::StartLog(options->log_level);
  RaiseDescriptorLimit();
  const int code = Serve(*options);
  glowworm::StopLog();
  return code;
}
