// Picks the subcommand, prints help, and turns a status into an exit code.

#include "client/command/command.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/byte_writer.h"
#include "client/convert.h"

namespace glowworm {
namespace client {
namespace {

constexpr char kUsage[] = R"(glowworm: density estimation with normalizing flows, from the command line

Usage: glowworm COMMAND [--flag=value | --flag value]...

)";

constexpr char kUsageEnd[] = R"(
The server is --server=HOST:PORT, or else the environment's GLOWWORM_SERVER, or else 127.0.0.1:50051.
A server with TLS takes --tls or --tls_ca=FILE, and where it asks for one, a certificate: --tls_cert, --tls_key.
A bearer token is read from --token_file=FILE, or else from the file that GLOWWORM_TOKEN_FILE names.
Files: .npy (float32, float64, uint8) or .csv; "-" is a pipe.

Exit codes: 0 done; 1 the server, the connection or the output failed; 2 wrong flags or input.

Examples:
  glowworm models
  glowworm score --model=digits --input=digits.csv
  glowworm sample --model=digits --num=64 --seed=1 --png=digits.png
  glowworm COMMAND --help
)";

std::vector<Command> Commands() {
  return {ModelsCommand(), ScoreCommand(), EncodeCommand(), DecodeCommand(), SampleCommand(), BenchCommand()};
}

std::string Overview(const std::vector<Command>& commands) {
  std::string text = kUsage;
  for (const Command& command : commands)
    absl::StrAppendFormat(&text, "  %-8s %s\n", command.name, command.summary);
  return text + kUsageEnd;
}

std::string Help(const Command& command) {
  std::string text =
      absl::StrCat("glowworm ", command.name, ": ", command.summary, "\n\n", command.details, "\nFlags:\n");
  for (const FlagSpec& flag : command.flags) {
    const std::string left = absl::StrCat("--", flag.name, *flag.value == '\0' ? "" : "=", flag.value);
    absl::StrAppendFormat(&text, "  %-24s %s\n", left, flag.help);
  }
  return text +
         "\nExit codes: 0 done; 1 the server, the connection or the output failed; 2 wrong flags or input.\n";
}

// What to try, where the text does not tell: of a handshake that fails gRPC says that the socket closed.
std::string Hint(const absl::Status& status, const Flags& flags) {
  if (absl::IsUnimplemented(status) && status.message().empty())
    return "--server takes the address of glowworm-server's --listen, not that of --admin or --health";
  if (!absl::IsUnavailable(status)) return "";
  if (absl::StrContains(status.message(), "wrong version number"))
    return " (the server may speak plaintext: leave out the --tls flags)";
  if (!absl::StrContains(status.message(), "Socket closed") || flags.Has("tls_cert")) return "";
  return flags.Switch("tls") || flags.Has("tls_ca")
             ? " (the server may ask for a certificate: --tls_cert, --tls_key)"
             : " (the server may speak TLS: --tls or --tls_ca)";
}

// What the user did wrong is INVALID_ARGUMENT of our own; everything else went wrong elsewhere.
int Finish(const absl::Status& status, const Console& console, const Flags& flags = {}) {
  if (status.ok()) return kExitOk;
  const bool from_server = FromServer(status);
  // The reader of our output has seen enough: `glowworm score ... | head`.
  if (absl::IsCancelled(status) && !from_server) return kExitOk;
  const std::string code = from_server ? absl::StrCat(absl::StatusCodeToString(status.code()), ": ") : "";
  console.Note(absl::StrCat("glowworm: ", code, status.message(), from_server ? Hint(status, flags) : ""));
  return absl::IsInvalidArgument(status) && !from_server ? kExitUsage : kExitFailure;
}

absl::Status Print(const std::string& text, const Console& console) {
  absl::StatusOr<std::unique_ptr<ByteWriter>> out = ByteWriter::Open("-", console.out);
  if (!out.ok()) return out.status();
  absl::Status status = (*out)->Write(text);
  return status.ok() ? (*out)->Finish() : status;
}

}  // namespace

void Console::Note(absl::string_view text) const {
  std::string line = absl::StrCat(text, "\n");
  size_t put = 0;
  while (put < line.size()) {
    const ssize_t got = write(err, line.data() + put, line.size() - put);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return;  // nowhere left to complain
    put += static_cast<size_t>(got);
  }
}

int RunGlowworm(const std::vector<std::string>& arguments, const Console& console) {
  const std::vector<Command> commands = Commands();
  const auto wants_help = [](const std::string& word) {
    return word == "--help" || word == "-h" || word == "help";
  };
  if (arguments.empty()) {
    console.Note(Overview(commands));
    return kExitUsage;
  }
  if (wants_help(arguments[0]) && arguments.size() == 1)
    return Finish(Print(Overview(commands), console), console);
  // "glowworm help score" is "glowworm score --help".
  const bool help_first = wants_help(arguments[0]);
  const std::string& name = arguments[help_first ? 1 : 0];
  const auto command = std::find_if(commands.begin(), commands.end(),
                                    [&](const Command& known) { return name == known.name; });
  if (command == commands.end()) {
    std::vector<std::string> names;
    for (const Command& known : commands) names.push_back(known.name);
    const std::string nearest = Nearest(name, names);
    console.Note(absl::StrCat("glowworm: unknown command \"", name, "\"",
                              nearest.empty() ? "" : absl::StrCat("; did you mean ", nearest, "?"),
                              " (glowworm --help lists all)"));
    return kExitUsage;
  }
  const std::vector<std::string> rest(arguments.begin() + 1, arguments.end());
  if (help_first || std::any_of(rest.begin(), rest.end(),
                                [](const std::string& word) { return word == "--help" || word == "-h"; })) {
    return Finish(Print(Help(*command), console), console);
  }
  absl::StatusOr<Flags> flags = Flags::Parse(rest, command->flags);
  if (!flags.ok()) {
    console.Note(
        absl::StrCat("glowworm: ", flags.status().message(), " (glowworm ", command->name, " --help)"));
    return kExitUsage;
  }
  return Finish(command->run(*flags, console), console, *flags);
}

}  // namespace client
}  // namespace glowworm
