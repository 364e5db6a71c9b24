// Progress: a line on a terminal that says how far long work has come; silent elsewhere and for the first
// half second. Tested by tests/client/progress_test.cc.

#ifndef GLOWWORM_CLIENT_COMMAND_PROGRESS_H_
#define GLOWWORM_CLIENT_COMMAND_PROGRESS_H_

#include <cstdint>
#include <string>

#include "absl/time/time.h"
#include "absl/types/optional.h"
#include "client/command/command.h"
#include "client/time_source.h"

namespace glowworm {
namespace client {

// "[#####               ] 25%  500/2000 rows  1000 rows/s"; without a total, rows and rate only.
std::string ProgressText(int64_t rows, absl::optional<int64_t> total, absl::Duration elapsed);

// Not thread-safe.
class Progress {
 public:
  // Shows itself only if console.err is a terminal.
  Progress(const Console& console, absl::optional<int64_t> total, TimeSource* time = RealTime());
  ~Progress();  // clears the line
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void Add(int64_t rows);

 private:
  const Console& console_;
  const absl::optional<int64_t> total_;
  TimeSource* const time_;
  const bool terminal_;
  const absl::Time begin_;
  absl::Time next_;  // when to draw again
  int64_t rows_ = 0;
  bool drawn_ = false;
};

}  // namespace client
}  // namespace glowworm

#endif  // GLOWWORM_CLIENT_COMMAND_PROGRESS_H_
