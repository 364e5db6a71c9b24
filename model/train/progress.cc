// Lines for a person. Tested by tests/model/train/report_test.cc.

#include "model/train/progress.h"

#include <sys/ioctl.h>

#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace glowworm {
namespace train {
namespace {

constexpr int kDefaultWidth = 80;
constexpr int kNarrowestBar = 8, kWidestBar = 30;  // columns
constexpr double kSecondsBetweenDraws = 0.1;
constexpr char kErase[] = "\r\x1b[K";  // to the line's start, then clear to its end

// "[=====>     ]", `width` columns; empty where that is too narrow to tell anything.
std::string Bar(double share, int width) {
  if (width < kNarrowestBar) return "";
  const int inner = width - 2;
  const int done = static_cast<int>(share * inner);
  std::string bar(static_cast<size_t>(done), '=');
  if (done < inner) bar += '>';
  bar.resize(static_cast<size_t>(inner), ' ');
  return absl::StrCat("[", bar, "] ");
}

std::string RateText(double rows_per_second) {
  return absl::StrFormat(rows_per_second < 10 ? "%.2g rows/s" : "%.0f rows/s", rows_per_second);
}

int TerminalWidth(std::FILE* out) {
  struct winsize size = {};
  if (ioctl(fileno(out), TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return kDefaultWidth;
  return size.ws_col;
}

std::string SummaryLine(absl::string_view what, absl::string_view value) {
  return absl::StrFormat("  %-14s %s\n", what, value);
}

std::string ConditioningText(const Conditioning& conditioning) {
  std::string text = absl::StrFormat("cond(W) at most %.3g", conditioning.max_condition_number);
  if (!conditioning.worst_layer.empty()) absl::StrAppend(&text, " (", conditioning.worst_layer, ")");
  if (conditioning.max_s > 0) {
    absl::StrAppendFormat(&text, ", s from %.3g to %.3g", conditioning.min_s, conditioning.max_s);
  }
  return text;
}

}  // namespace

std::string NatsText(double nats) {
  const double size = std::fabs(nats);
  return absl::StrFormat("%.*f", size < 10 ? 3 : size < 1000 ? 2 : 1, nats);
}

std::string DurationText(double seconds) {
  if (!(seconds >= 0) || seconds > 1e15) return "unknown";
  const int64_t s = std::llround(seconds);
  if (s < 100) return absl::StrCat(s, " s");
  const int64_t minutes = (s + 30) / 60, hours = (s + 1800) / 3600;
  if (minutes < 60) return absl::StrCat(minutes, " min");
  if (hours < 48) return absl::StrCat(minutes / 60, " h ", minutes % 60, " min");
  return absl::StrCat(hours / 24, " d ", hours % 24, " h");
}

std::string ProgressLine(const StepProgress& progress, int width) {
  const double share =
      progress.epoch_rows > 0
          ? std::min(1.0, static_cast<double>(progress.rows) / static_cast<double>(progress.epoch_rows))
          : 0;
  const std::string start = absl::StrCat("epoch ", progress.epoch, "/", progress.epochs, " ");
  std::string rest = absl::StrFormat("%2.0f %% train %s nats, %s", std::floor(100 * share),
                                     NatsText(progress.train_nats), RateText(progress.rows_per_second));
  if (progress.seconds_left >= 0) absl::StrAppend(&rest, ", ", DurationText(progress.seconds_left), " left");
  const int space = width - static_cast<int>(start.size() + rest.size()) - 1;
  std::string line = absl::StrCat(start, Bar(share, std::min(space, kWidestBar)), rest);
  if (line.size() > static_cast<size_t>(width)) line.resize(static_cast<size_t>(width));
  return line;
}

std::string EpochLine(const EpochRecord& record, int64_t epochs) {
  std::string line = absl::StrFormat("epoch %d/%d train %s validation %s nats (%.3f bits/dim)", record.epoch,
                                     epochs, NatsText(record.train_nats), NatsText(record.validation_nats),
                                     record.validation_bits_per_dim);
  const double condition = record.conditioning.max_condition_number;
  if (condition != 0) absl::StrAppendFormat(&line, " cond %.3g", condition);
  absl::StrAppend(&line, " ", RateText(record.rows_per_second), record.best ? " *" : "");
  return line;
}

std::string SummaryText(const TrainingSummary& summary) {
  std::string text = absl::StrCat(summary.name, ": ", summary.stopped_because, "; ",
                                  DurationText(summary.seconds), ", ", summary.steps, " steps\n");
  absl::StrAppend(
      &text, SummaryLine("parameters", absl::StrCat(summary.parameters)),
      SummaryLine("best epoch", absl::StrCat(summary.best_epoch, " of ", summary.epochs)),
      SummaryLine("train", NatsText(summary.train_nats) + " nats"),
      SummaryLine("validation", NatsText(summary.validation_nats) + " nats"),
      SummaryLine("test", absl::StrFormat("%s +- %.2g nats (%.3f bits/dim)", NatsText(summary.test_nats),
                                          summary.test_standard_error, summary.test_bits_per_dim)));
  if (summary.conditioning.max_condition_number != 0) {
    absl::StrAppend(&text, SummaryLine("linear layers", ConditioningText(summary.conditioning)));
  }
  absl::StrAppend(&text,
                  SummaryLine("agreement", absl::StrFormat("log p of libtorch and of the server within %.1e",
                                                           summary.test_disagreement)),
                  SummaryLine("file", summary.out));
  return text;
}

void Progress::OnStep(const StepProgress& progress, double now_seconds) {
  if (!terminal_ || now_seconds - drawn_at_ < kSecondsBetweenDraws) return;
  // The last column stays free: a terminal may wrap once it is filled.
  Put(absl::StrCat(kErase, ProgressLine(progress, TerminalWidth(out_) - 1)));
  drawn_ = true;
  drawn_at_ = now_seconds;
}

void Progress::OnEpoch(const EpochRecord& record, int64_t epochs) {
  Erase();
  Put(EpochLine(record, epochs) + "\n");
}

void Progress::Erase() {
  if (drawn_) Put(kErase);
  drawn_ = false;
}

// One call, so that a terminal never shows half a line.
void Progress::Put(const std::string& text) {
  std::fputs(text.c_str(), out_);
  std::fflush(out_);
}

}  // namespace train
}  // namespace glowworm
