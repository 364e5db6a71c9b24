// A histogram in text. Only entry: HistogramText(). Tested by tests/model/train/histogram_test.cc.

#ifndef GLOWWORM_MODEL_TRAIN_HISTOGRAM_H_
#define GLOWWORM_MODEL_TRAIN_HISTOGRAM_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace glowworm {
namespace train {

// The caption, some 16 bars with their bounds and counts, and a line of quantiles; every line ends with '\n'.
// Bins are round and as wide as most of the values need: rows far out are counted as below or above them.
// Values that are not finite are counted on a line of their own.
std::string HistogramText(const std::vector<double>& values, absl::string_view caption);

}  // namespace train
}  // namespace glowworm

#endif  // GLOWWORM_MODEL_TRAIN_HISTOGRAM_H_
