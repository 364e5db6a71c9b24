// glowworm-train. Exit codes: 0 with a flow written; 1 if training failed (it blew up, or the serving library
// disagreed); 2 for flags, data and folders that are not as they should be; 130 after SIGINT or SIGTERM, with
// a checkpoint saved. Tested by tests/e2e/train_test.py.

#include <malloc.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <ctime>
#include <string>
#include <vector>

#include "model/train/flags.h"
#include "model/train/stop_request.h"
#include "model/train/train_command.h"

namespace {

using glowworm::train::Config;

double NowSeconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::string NowDate() {
  const std::time_t now = std::time(nullptr);
  std::tm utc;
  gmtime_r(&now, &utc);
  char text[16];
  std::strftime(text, sizeof(text), "%Y-%m-%d", &utc);
  return text;
}

int ExitCode(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return 0;
    case absl::StatusCode::kCancelled:
      return 130;
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kInternal:
      return 1;
    default:
      return 2;
  }
}

int Fail(const absl::Status& status) {
  if (!status.ok()) std::fprintf(stderr, "glowworm-train: %s\n", std::string(status.message()).c_str());
  return ExitCode(status);
}

// Each step frees and takes the same large blocks: kept, instead of given back to the system and cleared
// anew.
void KeepFreedMemory() {
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, -1);
  mallopt(M_TOP_PAD, 64 << 20);
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> arguments(argv + 1, argv + argc);
  for (const std::string& argument : arguments) {
    if (argument == "--help" || argument == "-h") {
      std::fputs(glowworm::train::HelpText().c_str(), stdout);
      return 0;
    }
  }
  const absl::StatusOr<Config> config = glowworm::train::ReadConfig(arguments);
  if (!config.ok()) return Fail(config.status());
  KeepFreedMemory();
  signal(SIGXFSZ, SIG_IGN);  // a file above its limit is a sentence, as a full disk is, and not the end
  glowworm::train::StopRequest stop;
  glowworm::train::Console console;
  console.terminal = isatty(STDOUT_FILENO) != 0;
  console.now_seconds = NowSeconds;
  console.now_date = NowDate;
  console.stop_requested = [&stop] { return stop.requested(); };
  return Fail(glowworm::train::TrainCommand(*config, console));
}
