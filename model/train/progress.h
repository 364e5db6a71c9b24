// What a person sees while a flow is trained: one line that is drawn over in a terminal, one line an epoch,
// and a summary at the end (histogram.h follows it). Tested by tests/model/train/report_test.cc.

#ifndef GLOWWORM_MODEL_TRAIN_PROGRESS_H_
#define GLOWWORM_MODEL_TRAIN_PROGRESS_H_

#include <cstdint>
#include <cstdio>
#include <string>

#include "model/train/training_record.h"

namespace glowworm {
namespace train {

// Where a running epoch stands.
struct StepProgress {
  int64_t epoch = 0, epochs = 0;  // counted from 1
  int64_t rows = 0, epoch_rows = 0;
  double train_nats = 0;  // mean over the epoch so far
  double rows_per_second = 0;
  double seconds_left = 0;  // of the whole training; < 0: not known yet
};

// "epoch 3/50 [=====>     ] 45 % train 12.34 nats, 5120 rows/s, 12 min left".
// At most `width` columns: the bar shrinks first, then the end is cut. REQUIRES: width >= 0
std::string ProgressLine(const StepProgress& progress, int width = 80);
// "epoch 3/50 train 12.34 validation 12.50 nats (3.01 bits/dim) cond 12.1 5120 rows/s *"; * marks the best so
// far.
std::string EpochLine(const EpochRecord& record, int64_t epochs);
// "45 s", "12 min", "1 h 20 min", "3 d 4 h"; "unknown" of what is negative or not finite.
std::string DurationText(double seconds);
// Nats or bits with as many digits as tell two trainings apart: "-0.123", "12.34", "2345.6".
std::string NatsText(double nats);

// Several lines: what was trained, how it ended, the log-likelihoods, conditioning, time and file.
std::string SummaryText(const TrainingSummary& summary);

// Draws to `out`, which outlives it. In a terminal at most 10 times a second on the time given, never wider
// than the terminal (80 columns where it does not tell); elsewhere the epochs alone. Not thread-safe.
class Progress {
 public:
  Progress(std::FILE* out, bool terminal) : out_(out), terminal_(terminal) {}
  ~Progress() { Erase(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void OnStep(const StepProgress& progress, double now_seconds);
  void OnEpoch(const EpochRecord& record, int64_t epochs);
  // Takes the drawn line away. Call it before anything else is written to the terminal.
  void Erase();

 private:
  void Put(const std::string& text);

  std::FILE* const out_;
  const bool terminal_;
  bool drawn_ = false;        // a progress line stands in the terminal
  double drawn_at_ = -1e300;  // seconds
};

}  // namespace train
}  // namespace glowworm

#endif  // GLOWWORM_MODEL_TRAIN_PROGRESS_H_
