// The server's log: one structured line an event, on standard error, written by a thread of its own so that a
// slow terminal never holds up an answer (when the queue is full, the oldest lines are dropped). Tested by
// tests/e2e/startup_test.py.

#ifndef GLOWWORM_SERVER_LOG_H_
#define GLOWWORM_SERVER_LOG_H_

#include <string>

#include "absl/strings/string_view.h"

namespace glowworm {

// Starts logging at `level`: debug, info, warning, error or off. gRPC's own messages appear at debug.
// REQUIRES: IsLogLevel(level); called once, before threads start.
void StartLog(absl::string_view level);
bool IsLogLevel(absl::string_view level);

// Writes what is queued. Nothing may be logged afterwards.
void StopLog();

enum class LogLevel { kDebug, kInfo, kWarning, kError };
// Whatever `line` holds, one line is written: bytes that are no printable ASCII become '_'.
void Log(LogLevel level, absl::string_view line);
// Whether it would be written, so that a caller need not build the line.
bool Logs(LogLevel level);

inline void LogInfo(absl::string_view line) { Log(LogLevel::kInfo, line); }
inline void LogWarning(absl::string_view line) { Log(LogLevel::kWarning, line); }
inline void LogError(absl::string_view line) { Log(LogLevel::kError, line); }

// A text from outside as a log line or a header may hold it: at most `max_bytes` bytes, and anything but
// printable ASCII without quotes and spaces becomes '_'.
std::string Sanitized(absl::string_view text, size_t max_bytes);

// A text with spaces as the value of a key: in quotes, and with none inside.
std::string LogText(absl::string_view text);

}  // namespace glowworm

#endif  // GLOWWORM_SERVER_LOG_H_
