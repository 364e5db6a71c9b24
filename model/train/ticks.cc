// Round numbers. Tested by tests/model/train/training_plot_test.cc.

#include "model/train/ticks.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_format.h"

namespace glowworm {
namespace train {
namespace {

constexpr double kLeastRelativeRange = 1e-4;
constexpr double kSlack = 1e-9;  // of a step: 0.3 / 0.1 is a little less than 3

bool IsPlain(double value) { return value == 0 || (std::fabs(value) >= 1e-4 && std::fabs(value) < 1e6); }

// "5e-7", without the padding of printf's %e.
std::string PowerText(int digit, int exponent) {
  if (exponent < -3 || exponent > 4) return absl::StrFormat("%de%d", digit, exponent);
  return absl::StrFormat("%.*f", std::max(0, -exponent), digit * std::pow(10, exponent));
}

std::vector<Tick> Powers(double low, double high, const std::vector<int>& digits, int exponent_step) {
  std::vector<Tick> ticks;
  const int first = static_cast<int>(std::floor(std::log10(low)));
  const int last = static_cast<int>(std::ceil(std::log10(high)));
  for (int exponent = first; exponent <= last; ++exponent) {
    if (exponent % exponent_step != 0) continue;
    for (int digit : digits) {
      const double value = digit * std::pow(10, exponent);
      if (value >= low * (1 - kSlack) && value <= high * (1 + kSlack)) {
        ticks.push_back({value, PowerText(digit, exponent)});
      }
    }
  }
  return ticks;
}

}  // namespace

double VisibleRange(double low, double high) {
  const double range = std::max(high - low, kLeastRelativeRange * std::max(std::fabs(low), std::fabs(high)));
  return range > 0 ? range : 1;
}

double RoundStep(double range, int most) {
  const double least = range / most * (1 - kSlack);
  const double power = std::pow(10, std::floor(std::log10(least)));
  for (double digit : {1.0, 2.0, 5.0}) {
    if (digit * power >= least) return digit * power;
  }
  return 10 * power;
}

std::string StepText(double value, double step) {
  if (std::fabs(value) < step / 2) return "0";  // never "-0"
  if (!IsPlain(step)) return absl::StrFormat("%.6g", value);
  return absl::StrFormat("%.*f", std::max(0, -static_cast<int>(std::floor(std::log10(step) + kSlack))),
                         value);
}

std::vector<Tick> LinearTicks(double low, double high, int most, double least_step) {
  const double step = std::max(RoundStep(high - low, most), least_step);
  std::vector<Tick> ticks;
  for (double k = std::ceil(low / step - kSlack); k <= high / step + kSlack; ++k) {
    ticks.push_back({k * step, StepText(k * step, step)});
  }
  return ticks;
}

std::vector<Tick> LogTicks(double low, double high, int most) {
  const double decades = std::log10(high / low);
  if (decades < 2) return Powers(low, high, {1, 2, 5}, 1);
  return Powers(low, high, {1}, static_cast<int>(std::ceil(decades / most)));
}

}  // namespace train
}  // namespace glowworm
