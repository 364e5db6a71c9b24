// Flags are declared and read here; nothing else in the server reads a flag.

#include "server/flags.h"

#include <cmath>
#include <filesystem>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/flags/usage_config.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/log.h"
#include "server/version.h"

ABSL_FLAG(
    std::string, repository, "",
    "Folder of models, <model>/<version>/flow.safetensors. Default: the bundled one, beside the binary");
ABSL_FLAG(
    std::string, repository_mode, "fixed",
    "fixed: the folder is read once; poll: every --poll_interval; explicit: once, and then versions are "
    "loaded and unloaded by calls to --admin. Every mode starts with what --version_policy wants");
ABSL_FLAG(std::string, poll_interval, "5s", "How often poll mode reads the folder: 500ms, 5s, 1m");
ABSL_FLAG(std::string, version_policy, "all",
          "Versions served of each model: all, latest:N, or specific:1,3 or specific:MODEL@1,MODEL@3");
ABSL_FLAG(std::string, listen, "127.0.0.1:50051", "Address of the gRPC service; port 0 picks a free one");
ABSL_FLAG(std::string, admin, "",
          "Address of the repository calls, with the same TLS and tokens; explicit mode's default is "
          "127.0.0.1:50052");
ABSL_FLAG(std::string, health, "",
          "Address of a second health service, always plaintext, for probes; empty: none");
ABSL_FLAG(std::string, tls_cert, "",
          "PEM file of the server's certificate chain; with --tls_key, switches TLS on");
ABSL_FLAG(std::string, tls_key, "", "PEM file of its private key");
ABSL_FLAG(std::string, tls_client_ca, "",
          "PEM file of the authorities that sign clients' certificates; clients without one are refused");
ABSL_FLAG(std::string, tokens, "",
          "File of bearer tokens, a line each: read|admin NAME TOKEN (openssl rand -hex 32 makes a TOKEN)");
ABSL_FLAG(std::string, credentials_poll, "10s", "How often certificates and tokens are read again");
ABSL_FLAG(bool, insecure, false, "Allow plaintext on addresses other than this machine's loopback");
ABSL_FLAG(std::string, metrics, "127.0.0.1:9464",
          "Address of the Prometheus metrics; port 0 picks a free one, an empty value switches them off");
ABSL_FLAG(std::string, precision, "float32",
          "Of the computation: float32, float64, or bfloat16: float32 with conditioner networks in bfloat16");
ABSL_FLAG(std::string, device, "cpu",
          "What computes: cpu; cuda (every device), cuda:N or cuda:N,M; auto: cuda where there is one, or "
          "else cpu. "
          "cuda needs the plug-in libglowworm_cuda.so beside this program or in ../lib/glowworm");
ABSL_FLAG(double, max_condition_number, 1e6, "Refuse a flow with a linear layer conditioned worse than this");
ABSL_FLAG(int64_t, threads, 0,
          "Compute threads; 0: the cores that the machine and the cgroup's quota allow, or two for each CUDA "
          "device");
ABSL_FLAG(int64_t, max_queue_delay_us, 0,
          "How long, in microseconds, a batch that is not full waits for more rows; 0: leave as soon as a "
          "thread is idle");
ABSL_FLAG(int64_t, lame_duck_ms, 1000,
          "After SIGTERM, health says NOT_SERVING for this long while calls are still taken");
ABSL_FLAG(int64_t, drain_timeout_ms, 20000, "After that, calls already taken have this long to be answered");
ABSL_FLAG(
    std::string, reply_timeout, "60s",
    "A call ends with UNAVAILABLE if its client has not read a reply to its end after so long; 0s: never");
ABSL_FLAG(std::string, max_connection_age, "0s",
          "Ask clients to connect anew after this long, so that balancers spread them; 0: never");
ABSL_FLAG(std::string, max_connection_age_grace, "60s",
          "After that, calls on the old connection have this long");
ABSL_FLAG(std::string, watchdog_interval, "5s",
          "How often the server connects to itself; three failures in a row end it with 3; 0: never");
ABSL_FLAG(bool, healthcheck, false,
          "Serve nothing: ask the server at --health, or else --listen, whether it is SERVING, and exit with "
          "0 or 1");
ABSL_FLAG(bool, exit_on_load_error, false, "Exit with 1 if any model fails to load, not only if all do");
ABSL_FLAG(int64_t, max_message_bytes, 4 << 20, "Bytes of one request");
ABSL_FLAG(int64_t, max_reply_bytes, (4 << 20) - (64 << 10),
          "Bytes of one reply; checked before anything is computed");
ABSL_FLAG(int64_t, max_batch_rows, 1024,
          "Rows that one thread takes at once; on the CPU never more than 256");
ABSL_FLAG(int64_t, max_queue_rows, 65536,
          "Rows waiting per model and kind of work; also the most of one request");
ABSL_FLAG(int64_t, max_queue_bytes, int64_t{256} << 20,
          "Bytes of requests and replies held per model and kind of work");
ABSL_FLAG(int64_t, max_process_bytes, int64_t{1} << 30,
          "Bytes of requests and replies held by the whole process");
ABSL_FLAG(int64_t, max_samples, 65536, "num_samples of one Sample call; never more than max_queue_rows");
ABSL_FLAG(std::string, port_file, "",
          "Write the addresses here once every model is loaded or has failed: a line each for --listen, "
          "--metrics, --admin and --health");
ABSL_FLAG(std::string, log_level, "info",
          "debug, info, warning, error or off; info tells of calls that fail or bring an x-request-id, debug "
          "of all");

namespace glowworm {
namespace {

constexpr char kDefaultAdmin[] = "127.0.0.1:50052";

absl::StatusOr<Precision> ParsePrecision(const std::string& text) {
  if (text == "float32") return Precision::kFloat32;
  if (text == "float64") return Precision::kFloat64;
  if (text == "bfloat16") return Precision::kBfloat16;
  return absl::InvalidArgumentError(
      absl::StrCat("--precision: expected float32, float64 or bfloat16, got '", Sanitized(text, 32), "'"));
}

absl::StatusOr<RepositoryMode> ParseRepositoryMode(const std::string& text) {
  if (text == "fixed") return RepositoryMode::kFixed;
  if (text == "poll") return RepositoryMode::kPoll;
  if (text == "explicit") return RepositoryMode::kExplicit;
  return absl::InvalidArgumentError(
      absl::StrCat("--repository_mode: expected fixed, poll or explicit, got '", Sanitized(text, 32), "'"));
}

// "5s", "500ms"; a plain number is of seconds.
absl::Status ReadDuration(const char* flag, const std::string& text, absl::Duration* out) {
  double seconds = 0;
  if (absl::SimpleAtod(text, &seconds) && std::isfinite(seconds)) {
    *out = absl::Seconds(seconds);
    return absl::OkStatus();
  }
  if (absl::ParseDuration(text, out)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "--", flag, ": expected a duration, for example 500ms or 5s, got '", Sanitized(text, 32), "'"));
}

absl::Status ReadDurations(ServerOptions* out) {
  const struct {
    const char* flag;
    std::string text;
    absl::Duration* value;
  } durations[] = {
      {"poll_interval", absl::GetFlag(FLAGS_poll_interval), &out->poll_interval},
      {"credentials_poll", absl::GetFlag(FLAGS_credentials_poll), &out->credentials_poll},
      {"reply_timeout", absl::GetFlag(FLAGS_reply_timeout), &out->reply_timeout},
      {"max_connection_age", absl::GetFlag(FLAGS_max_connection_age), &out->max_connection_age},
      {"max_connection_age_grace", absl::GetFlag(FLAGS_max_connection_age_grace),
       &out->max_connection_age_grace},
      {"watchdog_interval", absl::GetFlag(FLAGS_watchdog_interval), &out->watchdog_interval},
  };
  for (const auto& duration : durations) {
    absl::Status status = ReadDuration(duration.flag, duration.text, duration.value);
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<ServerOptions> ParseCommandLine(int argc, char** argv) {
  absl::SetProgramUsageMessage(
      "serves trained normalizing flows over gRPC.\n  glowworm-server --repository=DIR");
  absl::FlagsUsageConfig usage;
  usage.contains_helpshort_flags = usage.contains_help_flags = usage.contains_helppackage_flags =
      [](absl::string_view file) { return absl::EndsWith(file, "server/flags.cc"); };
  usage.version_string = [] { return absl::StrCat("glowworm-server ", kServerVersion, "\n"); };
  usage.normalize_filename = [](absl::string_view) { return std::string("server/flags.cc"); };
  absl::SetFlagsUsageConfig(usage);
  const std::vector<char*> rest = absl::ParseCommandLine(argc, argv);
  if (rest.size() > 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("expected flags only, got '", Sanitized(rest[1], 64), "'"));
  }

  ServerOptions out;
  const absl::StatusOr<Precision> precision = ParsePrecision(absl::GetFlag(FLAGS_precision));
  if (!precision.ok()) return precision.status();

  const absl::StatusOr<RepositoryMode> mode = ParseRepositoryMode(absl::GetFlag(FLAGS_repository_mode));
  if (!mode.ok()) return mode.status();
  absl::StatusOr<VersionPolicy> policy = ParseVersionPolicy(absl::GetFlag(FLAGS_version_policy));
  if (!policy.ok()) return policy.status();
  absl::Status status = ReadDurations(&out);
  if (!status.ok()) return status;

  out.repository_mode = *mode;
  out.version_policy = *std::move(policy);
  out.repository = absl::GetFlag(FLAGS_repository);
  if (out.repository.empty()) out.repository = DefaultRepository();
  out.listen = absl::GetFlag(FLAGS_listen);
  out.metrics = absl::GetFlag(FLAGS_metrics);
  out.admin = absl::GetFlag(FLAGS_admin);
  if (out.admin.empty() && out.repository_mode == RepositoryMode::kExplicit) out.admin = kDefaultAdmin;
  out.health = absl::GetFlag(FLAGS_health);
  out.port_file = absl::GetFlag(FLAGS_port_file);
  out.tls_cert = absl::GetFlag(FLAGS_tls_cert);
  out.tls_key = absl::GetFlag(FLAGS_tls_key);
  out.tls_client_ca = absl::GetFlag(FLAGS_tls_client_ca);
  out.tokens = absl::GetFlag(FLAGS_tokens);
  out.insecure = absl::GetFlag(FLAGS_insecure);
  out.precision = *precision;
  out.device = absl::GetFlag(FLAGS_device);
  out.max_condition_number = absl::GetFlag(FLAGS_max_condition_number);
  out.threads = absl::GetFlag(FLAGS_threads);
  out.exit_on_load_error = absl::GetFlag(FLAGS_exit_on_load_error);
  out.max_queue_delay = absl::Microseconds(absl::GetFlag(FLAGS_max_queue_delay_us));
  out.lame_duck = absl::Milliseconds(absl::GetFlag(FLAGS_lame_duck_ms));
  out.drain_timeout = absl::Milliseconds(absl::GetFlag(FLAGS_drain_timeout_ms));
  out.max_message_bytes = absl::GetFlag(FLAGS_max_message_bytes);
  out.max_reply_bytes = absl::GetFlag(FLAGS_max_reply_bytes);
  out.max_batch_rows = absl::GetFlag(FLAGS_max_batch_rows);
  out.max_queue_rows = absl::GetFlag(FLAGS_max_queue_rows);
  out.max_queue_bytes = absl::GetFlag(FLAGS_max_queue_bytes);
  out.max_process_bytes = absl::GetFlag(FLAGS_max_process_bytes);
  out.max_samples = absl::GetFlag(FLAGS_max_samples);
  out.log_level = absl::GetFlag(FLAGS_log_level);
  out.healthcheck = absl::GetFlag(FLAGS_healthcheck);
  if (out.healthcheck) return out;  // it needs an address alone, and judges that itself
  status = CheckOptions(out);
  if (!status.ok()) return status;
  return out;
}

std::string DefaultRepository() {
  std::error_code error;
  const std::filesystem::path binary = std::filesystem::read_symlink("/proc/self/exe", error);
  if (error) return "";
  const std::filesystem::path bin = binary.parent_path();
  for (const auto& candidate : {bin / "../share/glowworm/repository", bin / "../../deploy/repository"}) {
    if (std::filesystem::is_directory(candidate, error)) return candidate.lexically_normal().string();
  }
  return "";
}

}  // namespace glowworm
