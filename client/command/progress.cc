// Progress: redraws its line at most ten times a second.

#include "client/command/progress.h"

#include <unistd.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace glowworm {
namespace client {
namespace {
constexpr int kBarWidth = 30;
}  // namespace

std::string ProgressText(int64_t rows, absl::optional<int64_t> total, absl::Duration elapsed) {
  const double rate = static_cast<double>(rows) / std::max(absl::ToDoubleSeconds(elapsed), 1e-3);
  if (!total || *total <= 0) return absl::StrFormat("%d rows  %.0f rows/s", rows, rate);
  const double share = std::min(1.0, static_cast<double>(rows) / static_cast<double>(*total));
  const int full = static_cast<int>(share * kBarWidth);
  return absl::StrFormat("[%s%s] %3.0f%%  %d/%d rows  %.0f rows/s", std::string(full, '#'),
                         std::string(kBarWidth - full, ' '), 100 * share, rows, *total, rate);
}

Progress::Progress(const Console& console, absl::optional<int64_t> total, TimeSource* time)
    : console_(console),
      total_(total),
      time_(time),
      terminal_(isatty(console.err) == 1),
      begin_(time->Now()),
      next_(begin_ + absl::Milliseconds(500)) {}

Progress::~Progress() {
  constexpr char kClear[] = "\r\x1b[K";
  if (drawn_ && write(console_.err, kClear, sizeof(kClear) - 1) < 0)
    return;  // the terminal has gone: nothing to clear
}

void Progress::Add(int64_t rows) {
  rows_ += rows;
  const absl::Time now = time_->Now();
  if (!terminal_ || now < next_) return;
  next_ = now + absl::Milliseconds(100);
  const std::string line = absl::StrCat("\r", ProgressText(rows_, total_, now - begin_), "\x1b[K");
  drawn_ = write(console_.err, line.data(), line.size()) > 0 || drawn_;
}

}  // namespace client
}  // namespace glowworm
