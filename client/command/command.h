// The glowworm command: its subcommands, their help, and how an outcome becomes an exit code.
// Only entry: RunGlowworm(). Tested by tests/client/command_test.cc.

#ifndef GLOWWORM_CLIENT_COMMAND_COMMAND_H_
#define GLOWWORM_CLIENT_COMMAND_COMMAND_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "client/command/flags.h"

namespace glowworm {
namespace client {

// The descriptors that a command reads and writes; not owned.
struct Console {
  int in = 0;
  int out = 1;
  int err = 2;
  std::string default_server = "127.0.0.1:50051";
  std::string default_token_file;  // empty: none

  void Note(absl::string_view text) const;  // one line on err
};

struct Command {
  const char* name;
  const char* summary;
  const char* details;  // paragraphs and examples for --help
  std::vector<FlagSpec> flags;
  absl::Status (*run)(const Flags& flags, const Console& console);
};

Command ModelsCommand();
Command ScoreCommand();
Command EncodeCommand();
Command DecodeCommand();
Command SampleCommand();
Command BenchCommand();

enum ExitCode { kExitOk = 0, kExitFailure = 1, kExitUsage = 2 };

// Runs "glowworm ARGUMENTS..." and returns its exit code. SIGPIPE must be ignored.
int RunGlowworm(const std::vector<std::string>& arguments, const Console& console);

}  // namespace client
}  // namespace glowworm

#endif  // GLOWWORM_CLIENT_COMMAND_COMMAND_H_
