// Ranges and relations; nothing here reads a flag or a file.

#include "server/options.h"

#include <arpa/inet.h>

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "model/devices.h"
#include "server/log.h"

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

absl::Status CheckDuration(const char* flag, absl::Duration value, absl::Duration low, absl::Duration high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("--", flag, ": expected ", absl::FormatDuration(low), " .. ",
                                                 absl::FormatDuration(high), ", got ",
                                                 absl::FormatDuration(value)));
}

absl::Status CheckDurations(const ServerOptions& o) {
  const struct {
    const char* flag;
    absl::Duration value, low;
  } durations[] = {
      {"poll_interval", o.poll_interval, absl::Milliseconds(10)},
      {"credentials_poll", o.credentials_poll, absl::Seconds(1)},
      {"reply_timeout", o.reply_timeout, absl::ZeroDuration()},
      {"max_connection_age", o.max_connection_age, absl::ZeroDuration()},
      {"max_connection_age_grace", o.max_connection_age_grace, absl::ZeroDuration()},
      {"watchdog_interval", o.watchdog_interval, absl::ZeroDuration()},
  };
  for (const auto& d : durations) {
    absl::Status status = CheckDuration(d.flag, d.value, d.low, absl::Hours(24));
    if (!status.ok()) return status;
  }
  // What the watchdog waits for takes as long on a busy machine.
  if (o.watchdog_interval > absl::ZeroDuration() && o.watchdog_interval < absl::Seconds(1)) {
    return absl::InvalidArgumentError(absl::StrCat("--watchdog_interval: expected 0 or 1s .. 24h, got ",
                                                   absl::FormatDuration(o.watchdog_interval)));
  }
  return absl::OkStatus();
}

// What the files and addresses together let in.
absl::Status CheckSecurity(const ServerOptions& o) {
  const bool tls = !o.tls_cert.empty();
  if (tls == o.tls_key.empty()) {
    return absl::InvalidArgumentError("--tls_cert and --tls_key: expected both or neither");
  }
  if (!tls && !o.tls_client_ca.empty()) {
    return absl::InvalidArgumentError("--tls_client_ca: expected with --tls_cert and --tls_key");
  }
  for (const auto& [flag, address] : {std::pair("listen", o.listen), std::pair("admin", o.admin)}) {
    if (tls || address.empty() || IsLoopback(address)) continue;
    if (!o.tokens.empty()) {
      return absl::InvalidArgumentError(absl::StrCat("--tokens: would travel in the clear to --", flag, "=",
                                                     address, "; give --tls_cert and --tls_key"));
    }
    if (!o.insecure) {
      return absl::InvalidArgumentError(absl::StrCat(
          "--", flag, ": ", address,
          " is not this machine alone; give --tls_cert and --tls_key, or --insecure for plaintext"));
    }
  }
  if (!o.admin.empty() && !IsLoopback(o.admin) && o.tokens.empty() && o.tls_client_ca.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--admin: ", o.admin,
        " is not this machine alone, so that anybody could load and unload models; give --tokens or "
        "--tls_client_ca"));
  }
  return absl::OkStatus();
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

bool IsLoopback(absl::string_view address) {
  const absl::StatusOr<HostPort> parsed = ParseHostPort(address);
  if (!parsed.ok()) return false;
  if (parsed->host == "localhost" || parsed->host == "[::1]") return true;
  in_addr ip;
  return inet_pton(AF_INET, parsed->host.c_str(), &ip) == 1 && (ntohl(ip.s_addr) >> 24) == 127;
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
      {"max_batch_rows", o.max_batch_rows, 1, 1024},
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
  absl::Status status = Devices::CheckSpec(o.device);
  if (!status.ok()) return absl::InvalidArgumentError(absl::StrCat("--device: ", status.message()));
  const bool cuda_only = o.device != "cpu" && o.device != "auto";
  if (cuda_only && o.precision == Precision::kBfloat16) {
    return absl::InvalidArgumentError(
        absl::StrCat("--precision=bfloat16: bfloat16 is computed on the CPU only; with --device=", o.device,
                     " expected float32 or float64"));
  }
  if (!cuda_only) status = CheckPrecision(o.precision);
  if (!status.ok()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--precision=", PrecisionName(o.precision), ": ", status.message()));
  }
  status = CheckAddress("listen", o.listen);
  if (status.ok() && !o.metrics.empty()) status = CheckAddress("metrics", o.metrics);
  if (status.ok() && !o.admin.empty()) status = CheckAddress("admin", o.admin);
  if (status.ok() && !o.health.empty()) status = CheckAddress("health", o.health);
  if (status.ok()) status = CheckDurations(o);
  if (status.ok()) status = CheckSecurity(o);
  return status;
}

}  // namespace glowworm
