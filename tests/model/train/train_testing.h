// What the tests of the trainer's flows and of its loop share: tiny data sets, small flows with parameters
// far from their start, and the gold standard's answers as tensors.

#ifndef GLOWWORM_TESTS_MODEL_TRAIN_TRAIN_TESTING_H_
#define GLOWWORM_TESTS_MODEL_TRAIN_TRAIN_TESTING_H_

#include <torch/nn/module.h>
#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "model/flow_spec.h"
#include "model/train/config.h"
#include "model/train/data_set.h"
#include "model/train/flow_model.h"

namespace glowworm {
namespace train {

constexpr double kEps = 2.220446049250313e-16;
constexpr double kFloatEps = 1.1920928955078125e-07;

// All draw from torch's default generator.

// Correlated normals with means and deviations that differ by column.
DataSet Table(int64_t rows, int64_t features);
// Bytes of all values.
DataSet Images(int64_t rows, int64_t channels, int64_t height, int64_t width);
// Context far from mean 0 and deviation 1, or labels of which every class has some.
DataSet WithContext(DataSet data, int64_t size);
DataSet WithLabels(DataSet data, int64_t classes);

FlowConfig SmallTabular();
FlowConfig SmallSpline();
// For images whose sides are multiples of 4.
FlowConfig SmallImage();

// Moves every parameter by normals of this deviation: couplings start with a last layer of zeros.
void Shake(torch::nn::Module* module, double deviation);

// Initialised with the rows of `data`, then shaken; float32, in evaluation mode.
std::shared_ptr<FlowModel> ShakenModel(const FlowConfig& config, const DataSet& data);

// The conditions of all rows.
Conditions ConditionsOfAll(const DataSet& data);
// log p of each row as it is stored, (n) in the model's dtype.
torch::Tensor LogProbOfAll(FlowModel* model, const DataSet& data);

// The largest |t|, 0 of none; NaN if one is.
double Largest(const torch::Tensor& t);
// |a - b| / max(1, |b|) at its largest.
double RelativeError(const torch::Tensor& a, const torch::Tensor& b);

struct ReferenceAnswers {
  torch::Tensor latent;         // (n, D)
  torch::Tensor log_prob;       // (n)
  torch::Tensor first_log_det;  // (n), of the first layer
  torch::Tensor magnitude;      // (n), the sum of the absolute values of all that log_prob adds
};
// Of each row by tests/testing/reference_flow.h. Context and label as far as they are defined.
ReferenceAnswers AskReference(const FlowSpec& spec, const torch::Tensor& x, const Conditions& conditions);

// The flow of one layer alone.
FlowSpec SpecOf(const Layer& layer, const EventShape& event, int64_t context_size);

}  // namespace train
}  // namespace glowworm

#endif  // GLOWWORM_TESTS_MODEL_TRAIN_TRAIN_TESTING_H_
