// The command line of glowworm-server: every flag, its default and its range.
//
// ParseCommandLine reads it; options.h judges the values. Tested by tests/server/flags_test.cc and
// tests/e2e/startup_test.py.

#ifndef GLOWWORM_SERVER_FLAGS_H_
#define GLOWWORM_SERVER_FLAGS_H_

#include <string>

#include "absl/status/statusor.h"
#include "server/options.h"

namespace glowworm {

// Reads argv into checked options; with healthcheck they are unchecked. --help and --version print and exit;
// a flag that does not exist, or whose value does not parse, ends the process with 1, as Abseil has it.
// InvalidArgument otherwise.
absl::StatusOr<ServerOptions> ParseCommandLine(int argc, char** argv);

// The bundled repository, found from where the binary lies: ../share/glowworm/repository (as a package lays
// it out) or ../../deploy/repository (in the build tree); empty if neither exists.
std::string DefaultRepository();

}  // namespace glowworm

#endif  // GLOWWORM_SERVER_FLAGS_H_
