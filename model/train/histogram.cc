// HistogramText(). Tested by tests/model/train/histogram_test.cc.

#include "model/train/histogram.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "model/train/ticks.h"

namespace glowworm {
namespace train {
namespace {

constexpr int kBins = 12;                // that hold the middle 98 %
constexpr double kBinsBeyond = 2;        // at most, on each side of them
constexpr size_t kWidestBar = 40;        // columns
constexpr double kLargestNumber = 1e30;  // its distance to the smallest is a number still

struct Bar {
  std::string label;
  size_t count = 0;
};

// REQUIRES: `sorted` is not empty
double Quantile(const std::vector<double>& sorted, double share) {
  return sorted[static_cast<size_t>(share * static_cast<double>(sorted.size() - 1) + 0.5)];
}

// How many are less than `bound`.
size_t CountBelow(const std::vector<double>& sorted, double bound) {
  return static_cast<size_t>(std::lower_bound(sorted.begin(), sorted.end(), bound) - sorted.begin());
}

// Bin k holds [k step, (k + 1) step).
std::vector<Bar> Bars(const std::vector<double>& sorted) {
  const double low = Quantile(sorted, 0.01), high = Quantile(sorted, 0.99);
  const double step = RoundStep(VisibleRange(low, high), kBins);
  const double first = std::max(std::floor(sorted.front() / step), std::floor(low / step) - kBinsBeyond);
  const double last = std::min(std::floor(sorted.back() / step), std::floor(high / step) + kBinsBeyond);
  std::vector<Bar> bars;
  const size_t below = CountBelow(sorted, first * step);
  if (below > 0) bars.push_back({absl::StrCat("below ", StepText(first * step, step)), below});
  size_t counted = below;
  for (double k = first; k <= last; ++k) {
    const size_t end = CountBelow(sorted, (k + 1) * step);
    bars.push_back(
        {absl::StrCat(StepText(k * step, step), " to ", StepText((k + 1) * step, step)), end - counted});
    counted = end;
  }
  const size_t above = sorted.size() - counted;
  if (above > 0) bars.push_back({absl::StrCat("from ", StepText((last + 1) * step, step)), above});
  return bars;
}

std::string Lines(const std::vector<Bar>& bars) {
  size_t label_width = 0, most = 1;
  for (const Bar& bar : bars) {
    label_width = std::max(label_width, bar.label.size());
    most = std::max(most, bar.count);
  }
  std::string text;
  for (const Bar& bar : bars) {
    const size_t width = (bar.count * kWidestBar + most - 1) / most;  // one value is seen
    absl::StrAppendFormat(&text, "  %*s |%s%s%d\n", static_cast<int>(label_width), bar.label,
                          std::string(width, '#'), width > 0 ? " " : "", bar.count);
  }
  return text;
}

std::string QuantileLine(const std::vector<double>& sorted) {
  return absl::StrFormat(
      "  least %.5g, 1 %% %.5g, 25 %% %.5g, median %.5g, 75 %% %.5g, 99 %% %.5g, most %.5g\n", sorted.front(),
      Quantile(sorted, 0.01), Quantile(sorted, 0.25), Quantile(sorted, 0.5), Quantile(sorted, 0.75),
      Quantile(sorted, 0.99), sorted.back());
}

}  // namespace

std::string HistogramText(const std::vector<double>& values, absl::string_view caption) {
  std::vector<double> sorted;
  for (double value : values) {
    if (std::fabs(value) < kLargestNumber) sorted.push_back(value);
  }
  std::sort(sorted.begin(), sorted.end());
  std::string text = absl::StrCat(caption, "\n");
  if (!sorted.empty()) absl::StrAppend(&text, Lines(Bars(sorted)), QuantileLine(sorted));
  const size_t left_out = values.size() - sorted.size();
  if (left_out > 0 || sorted.empty()) absl::StrAppend(&text, "  ", left_out, " not finite\n");
  return text;
}

}  // namespace train
}  // namespace glowworm
