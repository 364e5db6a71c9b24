// The command line of glowworm-server: every flag, its default and its range.
//
// ParseCommandLine reads it; CheckOptions judges the values. Tested by tests/server/flags_test.cc and
// tests/e2e/startup_test.py.

#ifndef GLOWWORM_SERVER_FLAGS_H_
#define GLOWWORM_SERVER_FLAGS_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "model/flow.h"
#include "server/validate.h"

namespace glowworm {

struct ServerOptions {
  std::string repository;  // folder of <model>/<version>/flow.safetensors
  std::string listen = "127.0.0.1:50051";
  std::string metrics = "127.0.0.1:9464";  // empty: no metrics listener
  std::string port_file;                   // empty: none
  Precision precision = Precision::kFloat32;
  double max_condition_number = 1e6;
  int threads = 0;  // 0: as many as the machine and the cgroup's quota allow
  bool exit_on_load_error = false;

  absl::Duration max_queue_delay;
  absl::Duration lame_duck = absl::Seconds(1);
  absl::Duration drain_timeout = absl::Seconds(20);

  int64_t max_message_bytes = 4 << 20;
  int64_t max_reply_bytes = (4 << 20) - (64 << 10);
  int64_t max_batch_rows = 256;
  int64_t max_queue_rows = 65536;
  int64_t max_queue_bytes = int64_t{256} << 20;
  int64_t max_process_bytes = int64_t{1} << 30;
  int64_t max_samples = 65536;
  std::string log_level = "info";

  // max_samples is cut to max_queue_rows: more could never be queued.
  RequestLimits request_limits() const;
};

// Splits "127.0.0.1:50051" or "[::1]:50051". InvalidArgument says what is wrong.
struct HostPort {
  std::string host;  // with its brackets
  int port = 0;
};
absl::StatusOr<HostPort> ParseHostPort(absl::string_view text);

// The values as a whole. InvalidArgument names the flag and its range.
absl::Status CheckOptions(const ServerOptions& options);

// Reads argv into checked options. --help and --version print and exit; a flag that does not exist, or whose
// value does not parse, ends the process with 1, as Abseil has it. InvalidArgument otherwise.
absl::StatusOr<ServerOptions> ParseCommandLine(int argc, char** argv);

// The bundled repository, found from where the binary lies: ../share/glowworm/repository (as a package lays
// it out) or
// ../../deploy/repository (in the build tree); empty if neither exists.
std::string DefaultRepository();

}  // namespace glowworm

#endif  // GLOWWORM_SERVER_FLAGS_H_
