// Flags are declared, read and judged here; nothing else in the server reads a flag.

#include "server/flags.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
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
ABSL_FLAG(std::string, listen, "127.0.0.1:50051", "Address of the gRPC service; port 0 picks a free one");
ABSL_FLAG(std::string, metrics, "127.0.0.1:9464",
          "Address of the Prometheus metrics; port 0 picks a free one, an empty value switches them off");
ABSL_FLAG(std::string, precision, "float32",
          "Of the computation: float32, float64, or bfloat16: float32 with conditioner networks in bfloat16");
ABSL_FLAG(std::string, device, "cpu", "cpu (this build has no other)");
ABSL_FLAG(double, max_condition_number, 1e6, "Refuse a flow with a linear layer conditioned worse than this");
ABSL_FLAG(int64_t, threads, 0, "Compute threads; 0: the cores that the machine and the cgroup's quota allow");
ABSL_FLAG(int64_t, max_queue_delay_us, 0,
          "How long, in microseconds, a batch that is not full waits for more rows; 0: leave as soon as a "
          "thread is idle");
ABSL_FLAG(int64_t, lame_duck_ms, 1000,
          "After SIGTERM, health says NOT_SERVING for this long while calls are still taken");
ABSL_FLAG(int64_t, drain_timeout_ms, 20000, "After that, calls already taken have this long to be answered");
ABSL_FLAG(bool, exit_on_load_error, false, "Exit with 1 if any model fails to load, not only if all do");
ABSL_FLAG(int64_t, max_message_bytes, 4 << 20, "Bytes of one request");
ABSL_FLAG(int64_t, max_reply_bytes, (4 << 20) - (64 << 10),
          "Bytes of one reply; checked before anything is computed");
ABSL_FLAG(int64_t, max_batch_rows, 256, "Rows that one thread takes at once");
ABSL_FLAG(int64_t, max_queue_rows, 65536,
          "Rows waiting per model and kind of work; also the most of one request");
ABSL_FLAG(int64_t, max_queue_bytes, int64_t{256} << 20,
          "Bytes of requests and replies held per model and kind of work");
ABSL_FLAG(int64_t, max_process_bytes, int64_t{1} << 30,
          "Bytes of requests and replies held by the whole process");
ABSL_FLAG(int64_t, max_samples, 65536, "num_samples of one Sample call; never more than max_queue_rows");
ABSL_FLAG(std::string, port_file, "",
          "Write the addresses here once every model is loaded or has failed: line 1 gRPC, line 2 metrics");
ABSL_FLAG(std::string, log_level, "info",
          "debug, info, warning, error or off; info tells of calls that fail or bring an x-request-id, debug "
          "of all");

namespace glowworm {
namespace {

constexpr int64_t kMiB = 1 << 20;

struct Range {
  const char* flag;
  int64_t value, low, high;
};

absl::Status CheckRange(const Range& range) {
  if (range.value >= range.low && range.value <= range.high) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--", range.flag, ": expected ", range.low, " .. ", range.high, ", got ", range.value));
}

absl::Status CheckAddress(const char* flag, const std::string& address) {
  const absl::StatusOr<HostPort> parsed = ParseHostPort(address);
  if (parsed.ok()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("--", flag, ": ", parsed.status().message()));
}

absl::StatusOr<Precision> ParsePrecision(const std::string& text) {
  if (text == "float32") return Precision::kFloat32;
  if (text == "float64") return Precision::kFloat64;
  if (text == "bfloat16") return Precision::kBfloat16;
  return absl::InvalidArgumentError(
      absl::StrCat("--precision: expected float32, float64 or bfloat16, got '", Sanitized(text, 32), "'"));
}

absl::Status CheckDevice(const std::string& text) {
  if (text == "cpu") return absl::OkStatus();
  if (text == "cuda")
    return absl::InvalidArgumentError("--device=cuda: this build computes on the CPU only; use --device=cpu");
  return absl::InvalidArgumentError(absl::StrCat("--device: expected cpu, got '", Sanitized(text, 32), "'"));
}

}  // namespace

RequestLimits ServerOptions::request_limits() const {
  return RequestLimits{max_queue_rows, std::min(max_samples, max_queue_rows), max_message_bytes,
                       max_reply_bytes};
}

absl::StatusOr<HostPort> ParseHostPort(absl::string_view text) {
  const std::string wrong = absl::StrCat(
      "expected HOST:PORT, for example 127.0.0.1:50051 or [::1]:50051, got '", Sanitized(text, 64), "'");
  const size_t colon = text.rfind(':');
  if (colon == absl::string_view::npos || colon == 0) return absl::InvalidArgumentError(wrong);
  HostPort out;
  out.host = std::string(text.substr(0, colon));
  const bool bracketed = out.host.front() == '[' && out.host.back() == ']';
  if (!bracketed && out.host.find_first_of(":[], +") != std::string::npos)
    return absl::InvalidArgumentError(wrong);
  const absl::string_view port = text.substr(colon + 1);
  if (port.empty() || port.find_first_not_of("0123456789") != absl::string_view::npos ||
      !absl::SimpleAtoi(port, &out.port) || out.port > 65535) {
    return absl::InvalidArgumentError(wrong);
  }
  return out;
}

absl::Status CheckOptions(const ServerOptions& o) {
  const int64_t hour_ms = absl::ToInt64Milliseconds(absl::Hours(1));
  const Range ranges[] = {
      {"threads", o.threads, 0, 1024},
      {"max_queue_delay_us", absl::ToInt64Microseconds(o.max_queue_delay), 0, 10 * 1000 * 1000},
      {"lame_duck_ms", absl::ToInt64Milliseconds(o.lame_duck), 0, hour_ms},
      {"drain_timeout_ms", absl::ToInt64Milliseconds(o.drain_timeout), 0, hour_ms},
      {"max_message_bytes", o.max_message_bytes, 1024, 1024 * kMiB},
      {"max_reply_bytes", o.max_reply_bytes, 4096, 1024 * kMiB},
      {"max_batch_rows", o.max_batch_rows, 1, 256},
      {"max_queue_rows", o.max_queue_rows, 1, int64_t{1} << 30},
      {"max_queue_bytes", o.max_queue_bytes, 4096, int64_t{1} << 44},
      {"max_process_bytes", o.max_process_bytes, 4096, int64_t{1} << 44},
      {"max_samples", o.max_samples, 1, int64_t{1} << 30},
  };
  for (const Range& range : ranges) {
    absl::Status status = CheckRange(range);
    if (!status.ok()) return status;
  }
  if (!(o.max_condition_number >= 1)) {  // also NaN
    return absl::InvalidArgumentError(
        absl::StrCat("--max_condition_number: expected at least 1, got ", o.max_condition_number));
  }
  if (!IsLogLevel(o.log_level)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--log_level: expected debug, info, warning, error or off, got '", Sanitized(o.log_level, 32), "'"));
  }
  if (o.repository.empty()) {
    return absl::InvalidArgumentError(
        "--repository: not given, and no bundled repository lies beside the binary");
  }
  absl::Status status = CheckPrecision(o.precision);
  if (!status.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--precision=", PrecisionName(o.precision), ": ", status.message()));
  }
  status = CheckAddress("listen", o.listen);
  if (status.ok() && !o.metrics.empty()) status = CheckAddress("metrics", o.metrics);
  return status;
}

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
  absl::Status status = CheckDevice(absl::GetFlag(FLAGS_device));
  if (!status.ok()) return status;
  const int64_t threads = absl::GetFlag(FLAGS_threads);
  status = CheckRange({"threads", threads, 0, 1024});
  if (!status.ok()) return status;

  out.repository = absl::GetFlag(FLAGS_repository);
  if (out.repository.empty()) out.repository = DefaultRepository();
  out.listen = absl::GetFlag(FLAGS_listen);
  out.metrics = absl::GetFlag(FLAGS_metrics);
  out.port_file = absl::GetFlag(FLAGS_port_file);
  out.precision = *precision;
  out.max_condition_number = absl::GetFlag(FLAGS_max_condition_number);
  out.threads = static_cast<int>(threads);
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
