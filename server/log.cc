// The log, by spdlog: an asynchronous logger over standard error.

#include "server/log.h"

#include <grpc/support/log.h>
#include <spdlog/async.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <memory>

#include "absl/strings/str_cat.h"

namespace glowworm {
namespace {

constexpr size_t kQueuedLines = 8192;

spdlog::level::level_enum LevelOf(LogLevel level) {
  constexpr spdlog::level::level_enum kLevels[] = {spdlog::level::debug, spdlog::level::info,
                                                   spdlog::level::warn, spdlog::level::err};
  return kLevels[static_cast<int>(level)];
}

void LogGrpcMessage(gpr_log_func_args* args) {
  if (Logs(LogLevel::kDebug)) Log(LogLevel::kDebug, absl::StrCat("grpc: ", Sanitized(args->message, 512)));
}

}  // namespace

bool IsLogLevel(absl::string_view level) {
  return level == "debug" || level == "info" || level == "warning" || level == "error" || level == "off";
}

void StartLog(absl::string_view level) {
  spdlog::init_thread_pool(kQueuedLines, 1);
  spdlog::set_default_logger(std::make_shared<spdlog::async_logger>(
      "glowworm", std::make_shared<spdlog::sinks::stderr_sink_mt>(), spdlog::thread_pool(),
      spdlog::async_overflow_policy::overrun_oldest));
  spdlog::set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l %v", spdlog::pattern_time_type::utc);
  spdlog::set_level(spdlog::level::from_str(std::string(level)));
  gpr_set_log_function(LogGrpcMessage);
}

void StopLog() {
  gpr_set_log_function(nullptr);
  gpr_set_log_verbosity(GPR_LOG_SEVERITY_ERROR);
  spdlog::shutdown();
}

void Log(LogLevel level, absl::string_view line) {
  const auto forbidden = [](char c) { return c < ' ' || c > '~'; };
  std::string clean;
  if (std::any_of(line.begin(), line.end(), forbidden)) {
    clean = std::string(line);
    std::replace_if(clean.begin(), clean.end(), forbidden, '_');
    line = clean;
  }
  spdlog::log(LevelOf(level), spdlog::string_view_t(line.data(), line.size()));
}

bool Logs(LogLevel level) { return spdlog::should_log(LevelOf(level)); }

std::string Sanitized(absl::string_view text, size_t max_bytes) {
  std::string out(text.substr(0, max_bytes));
  for (char& c : out) {
    if (c <= ' ' || c > '~' || c == '"' || c == '\\') c = '_';
  }
  return out;
}

std::string LogText(absl::string_view text) {
  std::string out = absl::StrCat("\"", text, "\"");
  std::replace(out.begin() + 1, out.end() - 1, '"', '\'');
  return out;
}

}  // namespace glowworm
