// The glowworm command: see command.h. This file only meets the operating system.

#include <csignal>
#include <cstdlib>
#include <string>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "client/command/command.h"

int main(int argc, char** argv) {
  // Debian builds Abseil with its search for deadlocks on, which every lock of gRPC pays for: `bench` would
  // measure it.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  signal(SIGPIPE, SIG_IGN);  // a reader that goes away shows as a failed write
  // gRPC's own log lines ("failed to connect") would only repeat what our messages say.
  setenv("GRPC_VERBOSITY", "NONE", /*overwrite=*/0);
  glowworm::client::Console console;
  const char* server = getenv("GLOWWORM_SERVER");
  if (server != nullptr && *server != '\0') console.default_server = server;
  const char* token_file = getenv("GLOWWORM_TOKEN_FILE");
  if (token_file != nullptr) console.default_token_file = token_file;
  return glowworm::client::RunGlowworm(std::vector<std::string>(argv + 1, argv + argc), console);
}
