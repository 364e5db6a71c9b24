// Runs the glowworm command in this process, with files for its three streams.

#ifndef GLOWWORM_TESTS_CLIENT_RUN_COMMAND_H_
#define GLOWWORM_TESTS_CLIENT_RUN_COMMAND_H_

#include <sys/mman.h>
#include <unistd.h>

#include <csignal>
#include <string>
#include <vector>

#include "client/command/command.h"
#include "gtest/gtest.h"

namespace glowworm {
namespace client {

struct Outcome {
  int code = -1;
  std::string out;
  std::string err;
};

inline std::string ContentOf(int fd) {
  std::string text(static_cast<size_t>(lseek(fd, 0, SEEK_END)), '\0');
  EXPECT_EQ(pread(fd, &text[0], text.size(), 0), static_cast<ssize_t>(text.size()));
  return text;
}

inline Outcome RunCommand(const std::string& server, const std::vector<std::string>& arguments,
                          const std::string& input = "") {
  signal(SIGPIPE, SIG_IGN);
  Console console;
  console.in = memfd_create("in", 0);
  console.out = memfd_create("out", 0);
  console.err = memfd_create("err", 0);
  console.default_server = server;
  EXPECT_EQ(write(console.in, input.data(), input.size()), static_cast<ssize_t>(input.size()));
  lseek(console.in, 0, SEEK_SET);
  Outcome outcome;
  outcome.code = RunGlowworm(arguments, console);
  outcome.out = ContentOf(console.out);
  outcome.err = ContentOf(console.err);
  for (int fd : {console.in, console.out, console.err}) close(fd);
  return outcome;
}

}  // namespace client
}  // namespace glowworm

#endif  // GLOWWORM_TESTS_CLIENT_RUN_COMMAND_H_
