// ComputeEstimate: how long a batch takes, learned from the batches that ran; and the ladder of tile sizes.
// Tested by tests/server/batcher_parts_test.cc.

#ifndef GLOWWORM_SERVER_COMPUTE_ESTIMATE_H_
#define GLOWWORM_SERVER_COMPUTE_ESTIMATE_H_

#include <array>
#include <cstdint>

#include "absl/time/time.h"

namespace glowworm {

// Tile sizes that executors prepare for; a batch is padded to the next one, so rows up to it cost nothing
// more. (CUDA's executor has fewer of them; the CPU's has none above 256.)
inline constexpr std::array<int64_t, 15> kLadder = {1,  2,  4,   8,   16,  24,  32,  48,
                                                    64, 96, 128, 192, 256, 512, 1024};

// The smallest rung that holds `rows`, at most 1024.
int64_t RoundUpToLadder(int64_t rows);

// One moving average for each rung, because a batch's cost is not proportional to its rows: a rate learned
// from single rows would be far too slow for a full tile. Not thread-safe.
class ComputeEstimate {
 public:
  // Weight of the newest batch: a change of load shows after a few batches, one outlier fades as fast.
  static constexpr double kWeight = 0.25;

  // expected_row: what one row takes before anything has been timed; zero: unknown.
  explicit ComputeEstimate(absl::Duration expected_row) : expected_row_(expected_row) {}

  // A batch of `rows` took `compute`.
  void Record(int64_t rows, absl::Duration compute);

  // A batch of `rows` takes at least this, by the largest timed rung that is not larger; zero if none was.
  // Used to refuse: it errs towards admitting.
  absl::Duration AtLeast(int64_t rows) const;

  // A batch of `rows` takes about this, or rather less: scaled up from smaller batches where no larger one
  // was timed, and from expected_row at first. Used to leave in time: it errs towards leaving early.
  absl::Duration Expected(int64_t rows) const;

 private:
  static constexpr double kNotTimed = -1;

  const absl::Duration expected_row_;
  std::array<double, kLadder.size()> seconds_ = FilledWith(kNotTimed);

  static std::array<double, kLadder.size()> FilledWith(double value);
};

}  // namespace glowworm

#endif  // GLOWWORM_SERVER_COMPUTE_ESTIMATE_H_
