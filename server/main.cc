// glowworm-server. Exit codes: 0 after SIGTERM or SIGINT, 1 if it could not serve, 2 for a flag out of its
// range, 1 for one that Abseil cannot parse (and for --help), 3 if the watchdog found that it takes no
// connections any more, or that a device is lost; a second signal ends it at once with 128 + its number. With
// --healthcheck: 0 if the server that it asks is SERVING, or else 1. Tested by tests/e2e.

#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <cstdio>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "server/accept_probe.h"
#include "server/clock.h"
#include "server/flags.h"
#include "server/healthcheck.h"
#include "server/log.h"
#include "server/out_of_resources.h"
#include "server/server.h"
#include "server/stop_signal.h"
#include "server/watchdog.h"

namespace {

constexpr int kCannotServe = 1;
constexpr int kStuck = 3;
// A stuck server that has not ended so long after its drain is ended.
constexpr absl::Duration kStuckGrace = absl::Seconds(10);

// Each connection takes a descriptor, and gRPC stops accepting for good when they run out.
void RaiseDescriptorLimit() {
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
}

// Why the server ends, if not by a signal from outside. Thread-safe.
class Ending {
 public:
  // Wakes the main thread as a signal would; later reasons than the first do not count.
  void Begin(int exit_code) {
    if (begun_.exchange(true)) return;
    exit_code_ = exit_code;
    kill(getpid(), SIGTERM);
  }
  // Waits for Begin or a signal. The exit code.
  int Await() {
    glowworm::WaitForStopSignal();
    begun_ = true;
    return exit_code_;
  }
  bool begun() const { return begun_; }

 private:
  std::atomic<bool> begun_{false};
  std::atomic<int> exit_code_{0};
};

// Null if it is switched off. `ending` and `server` outlive it.
std::unique_ptr<glowworm::Watchdog> StartWatchdog(const glowworm::ServerOptions& options,
                                                  glowworm::Server* server, Ending* ending) {
  if (options.watchdog_interval <= absl::ZeroDuration()) return nullptr;
  std::vector<std::string> addresses;
  for (const std::string& address : {server->address(), server->admin_address(), server->health_address()}) {
    if (address != "none") addresses.push_back(address);
  }
  auto created = glowworm::AcceptProbe::Create(addresses);
  if (!created.ok()) {
    glowworm::LogWarning(absl::StrCat("there is no watchdog: ", created.status().message()));
    return nullptr;
  }
  std::shared_ptr<glowworm::AcceptProbe> probe = *std::move(created);
  return std::make_unique<glowworm::Watchdog>(
      options.watchdog_interval,
      [probe, server, timeout = options.watchdog_interval] {
        const absl::Status accepts = probe->Run(timeout);
        return accepts.ok() ? server->CheckDevices() : accepts;
      },
      [server, ending, port_file = options.port_file](const absl::Status& status) {
        glowworm::LogError(absl::StrCat("the server cannot serve any more and ends: ", status.message()));
        server->SetLive(false);
        glowworm::RemovePortFile(port_file);
        ending->Begin(kStuck);
      },
      glowworm::RealClock());
}

// Blocks of a megabyte go back to the system when they are freed. (glibc would otherwise raise its bound to
// the largest block freed so far, and keep what a few models take: tests/reliability/reload_memory_test.py.)
void ReturnLargeBlocks() { mallopt(M_MMAP_THRESHOLD, 1 << 20); }

int Serve(const glowworm::ServerOptions& options) {
  auto server = glowworm::Server::Start(options);
  if (!server.ok()) {
    glowworm::LogError(std::string(server.status().message()));
    return kCannotServe;
  }
  Ending ending;
  std::thread announcer([&server, &ending] {
    absl::Status status = (*server)->WaitUntilLoaded();
    if (ending.begun()) return;
    if (status.ok()) status = (*server)->Announce();
    if (status.ok()) return;
    glowworm::LogError(std::string(status.message()));
    ending.Begin(kCannotServe);
  });
  const std::unique_ptr<glowworm::Watchdog> watchdog = StartWatchdog(options, server->get(), &ending);
  const int code = ending.Await();
  if (watchdog != nullptr) watchdog->Stop();
  (*server)->StopLoading();
  announcer.join();
  std::thread([port_file = options.port_file] {
    const int number = glowworm::WaitForStopSignal();
    glowworm::RemovePortFile(port_file);
    _exit(128 + number);
  }).detach();
  if (code == kStuck) {  // calls on the connections that there are may still be answered, but not for ever
    std::thread([limit = options.lame_duck + options.drain_timeout + kStuckGrace] {
      absl::SleepFor(limit);
      _exit(kStuck);
    }).detach();
  }
  (*server)->Stop();
  return code;
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
  glowworm::EndWhenOutOfResources();
  // Debian builds Abseil with its search for deadlocks on, which every lock of gRPC pays for.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  glowworm::BlockStopSignals();
  glowworm::StartLog(options->log_level);
  RaiseDescriptorLimit();
  ReturnLargeBlocks();
  const int code = Serve(*options);
  glowworm::StopLog();
  return code;
}
