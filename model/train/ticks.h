// Round numbers for the axes of a picture and the bins of a histogram. Tested by
// tests/model/train/training_plot_test.cc.

#ifndef GLOWWORM_MODEL_TRAIN_TICKS_H_
#define GLOWWORM_MODEL_TRAIN_TICKS_H_

#include <string>
#include <vector>

namespace glowworm {
namespace train {

struct Tick {
  double value = 0;
  std::string text;
};

// high - low, but never so little that its ticks would differ in the fifth digit only.
double VisibleRange(double low, double high);
// The smallest of 1, 2 and 5 times a power of ten that fits into `range` at most `most` times. REQUIRES:
// range > 0, most >= 1
double RoundStep(double range, int most);
// With as many decimals as `step` has: "-0.25". REQUIRES: step > 0
std::string StepText(double value, double step);

// Multiples of a round step of at least `least_step` in [low, high], at most `most` + 1. REQUIRES: low < high
std::vector<Tick> LinearTicks(double low, double high, int most, double least_step = 0);
// Powers of ten in [low, high], some of them where there are many, and 2 and 5 times them where there are
// few. REQUIRES: 0 < low < high
std::vector<Tick> LogTicks(double low, double high, int most);

}  // namespace train
}  // namespace glowworm

#endif  // GLOWWORM_MODEL_TRAIN_TICKS_H_
