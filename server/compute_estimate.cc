#include "server/compute_estimate.h"

namespace glowworm {
namespace {

int RungOf(int64_t rows) {
  int rung = 0;
  while (rung + 1 < static_cast<int>(kLadder.size()) && kLadder[rung] < rows) ++rung;
  return rung;
}

}  // namespace

int64_t RoundUpToLadder(int64_t rows) { return kLadder[RungOf(rows)]; }

std::array<double, kLadder.size()> ComputeEstimate::FilledWith(double value) {
  std::array<double, kLadder.size()> filled;
  filled.fill(value);
  return filled;
}

void ComputeEstimate::Record(int64_t rows, absl::Duration compute) {
  double& average = seconds_[RungOf(rows)];
  const double seconds = absl::ToDoubleSeconds(compute);
  average = average == kNotTimed ? seconds : average + kWeight * (seconds - average);
}

absl::Duration ComputeEstimate::AtLeast(int64_t rows) const {
  for (int rung = RungOf(rows); rung >= 0; --rung) {
    if (seconds_[rung] != kNotTimed) return absl::Seconds(seconds_[rung]);
  }
  return absl::ZeroDuration();
}

absl::Duration ComputeEstimate::Expected(int64_t rows) const {
  const int wanted = RungOf(rows);
  for (int rung = wanted; rung < static_cast<int>(kLadder.size()); ++rung) {
    if (seconds_[rung] != kNotTimed) return absl::Seconds(seconds_[rung]);
  }
  for (int rung = wanted - 1; rung >= 0; --rung) {
    if (seconds_[rung] == kNotTimed) continue;
    return absl::Seconds(seconds_[rung] * static_cast<double>(rows) / static_cast<double>(kLadder[rung]));
  }
  return expected_row_ * rows;
}

}  // namespace glowworm
