// ServerOptions: what the server is told at start, and which values it refuses. Made by flags.h from the
// command line, or by a test. Tested by tests/server/flags_test.cc.

#ifndef GLOWWORM_SERVER_OPTIONS_H_
#define GLOWWORM_SERVER_OPTIONS_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "model/flow.h"
#include "server/validate.h"
#include "server/version_policy.h"

namespace glowworm {

// How the repository's folder is followed after the start.
enum class RepositoryMode {
  kFixed,     // read once
  kPoll,      // read again every poll_interval
  kExplicit,  // versions come and go by the admin listener's calls
};

struct ServerOptions {
  std::string repository;  // folder of <model>/<version>/flow.safetensors
  RepositoryMode repository_mode = RepositoryMode::kFixed;
  absl::Duration poll_interval = absl::Seconds(5);
  VersionPolicy version_policy;

  // Addresses, HOST:PORT; port 0 picks a free one.
  std::string listen = "127.0.0.1:50051";
  std::string metrics = "127.0.0.1:9464";  // empty: no metrics listener
  std::string admin;                       // empty: no admin listener
  std::string health;                      // empty: no plaintext health listener
  std::string port_file;                   // empty: none

  // Security of `listen` and `admin`. Files; empty: not used.
  std::string tls_cert, tls_key;  // PEM; both or neither
  std::string tls_client_ca;      // PEM: clients must show a certificate that this signs
  std::string tokens;             // see token_file.h
  absl::Duration credentials_poll = absl::Seconds(10);  // how often those files are read again
  bool insecure = false;                                // plaintext may leave the loopback

  Precision precision = Precision::kFloat32;
  std::string device = "cpu";  // as Devices::Open takes it
  double max_condition_number = 1e6;
  // 0: as many as the machine and the cgroup's quota allow; on CUDA devices two for each.
  int64_t threads = 0;
  bool exit_on_load_error = false;

  absl::Duration max_queue_delay;
  absl::Duration lame_duck = absl::Seconds(1);
  absl::Duration drain_timeout = absl::Seconds(20);
  absl::Duration reply_timeout = absl::Seconds(60);  // of a reply that its client does not read; zero: none
  absl::Duration max_connection_age;                 // zero: none
  absl::Duration max_connection_age_grace = absl::Seconds(60);
  absl::Duration watchdog_interval = absl::Seconds(5);  // zero: no watchdog

  int64_t max_message_bytes = 4 << 20;
  int64_t max_reply_bytes = (4 << 20) - (64 << 10);
  int64_t max_batch_rows = 1024;  // or a tile of the flow, which on the CPU is 256 rows or less
  int64_t max_queue_rows = 65536;
  int64_t max_queue_bytes = int64_t{256} << 20;
  int64_t max_process_bytes = int64_t{1} << 30;
  int64_t max_samples = 65536;
  std::string log_level = "info";
  bool healthcheck = false;  // not to serve, but to ask who does: see healthcheck.h

  // max_samples is cut to max_queue_rows: more could never be queued.
  RequestLimits request_limits() const;
};

// Splits "127.0.0.1:50051" or "[::1]:50051". InvalidArgument says what is wrong.
struct HostPort {
  std::string host;  // with its brackets
  int port = 0;
};
absl::StatusOr<HostPort> ParseHostPort(absl::string_view text);
// Whether the host of a HOST:PORT names this machine alone: 127.0.0.0/8, [::1] or localhost.
bool IsLoopback(absl::string_view address);

// The values as a whole. InvalidArgument names the flag and its range.
absl::Status CheckOptions(const ServerOptions& options);

}  // namespace glowworm

#endif  // GLOWWORM_SERVER_OPTIONS_H_
