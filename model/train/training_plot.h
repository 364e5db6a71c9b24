// The curves of a training as an SVG picture: train and validation nats a row by epoch, and below them the
// condition number, the learning rate and the gradient's norm on logarithmic axes. Only entry:
// TrainingCurvesSvg(). Tested by tests/model/train/training_plot_test.cc.

#ifndef GLOWWORM_MODEL_TRAIN_TRAINING_PLOT_H_
#define GLOWWORM_MODEL_TRAIN_TRAINING_PLOT_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "model/train/training_record.h"

namespace glowworm {
namespace train {

// A whole SVG document, readable on white and on black. Epochs whose numbers are not finite are gaps. The
// best epoch is marked.
std::string TrainingCurvesSvg(absl::string_view title, const std::vector<EpochRecord>& epochs);

}  // namespace train
}  // namespace glowworm

#endif  // GLOWWORM_MODEL_TRAIN_TRAINING_PLOT_H_
