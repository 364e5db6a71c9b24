// The density of many rows, in batches. Entry: LogProbs(). Tested by tests/model/train/training_test.cc.

#ifndef GLOWWORM_MODEL_TRAIN_EVALUATION_H_
#define GLOWWORM_MODEL_TRAIN_EVALUATION_H_

#include <torch/types.h>

#include <cstdint>

#include "model/train/data_set.h"
#include "model/train/flow_layer.h"
#include "model/train/flow_model.h"

namespace glowworm {
namespace train {

// What the rows of `index`, (k) int64, are conditioned on; on `device`.
Conditions ConditionsOf(const DataSet& data, const torch::Tensor& index, torch::Device device = torch::kCPU);

// Pixels as densities see them: x + u - 1/2 with u uniform in [0, 1), so that a discrete pixel has a
// continuous density whose mean log is at most the log of its probability (Theis et al. 2016,
// arXiv:1511.01844). Tables are returned as they are. u comes from torch's default generator. REQUIRES: x is
// on the CPU
torch::Tensor Dequantize(const DataSet& data, const torch::Tensor& x);

enum class PixelNoise { kNone, kUniform };

// log p of every row, (n) float64, nats, with the model in evaluation mode, wherever it lives. kUniform draws
// the same noise each time and leaves the default generator as it was. REQUIRES: rows
torch::Tensor LogProbs(FlowModel* model, const DataSet& data, PixelNoise noise);

}  // namespace train
}  // namespace glowworm

#endif  // GLOWWORM_MODEL_TRAIN_EVALUATION_H_
