// TrainingState: all that a training carries from one step to the next, and its checkpoint: saved and loaded,
// it goes on as if it had never stopped. Entries: SaveCheckpoint(), LoadCheckpoint(). Tested by
// tests/model/train/checkpoint_test.cc.

#ifndef GLOWWORM_MODEL_TRAIN_TRAINING_STATE_H_
#define GLOWWORM_MODEL_TRAIN_TRAINING_STATE_H_

#include <torch/optim/adamw.h>
#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "model/train/config.h"
#include "model/train/flow_model.h"

namespace glowworm {
namespace train {

struct TrainingState {
  std::shared_ptr<FlowModel> model;
  std::unique_ptr<torch::optim::AdamW> optimizer;
  int64_t epoch = 0;  // the running one, counted from 1; 0: none has begun
  int64_t step = 0;   // steps of the optimiser so far
  // Of the running epoch.
  torch::Tensor order;   // (rows) int64: the rows in the order of this epoch
  int64_t position = 0;  // rows of it done; rows = the epoch is complete
  double sum_nats = 0, sum_gradient_norm = 0;
  int64_t epoch_steps = 0;
  // The best parameters so far, and when they were.
  std::vector<torch::Tensor> best;  // as StateTensors gives them; empty: none yet
  double best_nats = 0;
  int64_t best_epoch = 0;
  double seconds = 0;  // of training, of all runs together
};

// The model's parameters and buffers, in a fixed order; they share the model's memory.
std::vector<torch::Tensor> StateTensors(const FlowModel& model);

// Two groups: conditioner weights with the config's weight decay, all else without.
std::unique_ptr<torch::optim::AdamW> MakeOptimizer(const FlowModel& model, const TrainConfig& config);

// Writes the state and the default generator of torch on the CPU, atomically; what a GPU draws (dropout,
// noise) is not the same after a resumption. `description` is DescribeTraining()'s.
absl::Status SaveCheckpoint(const std::string& path, const std::string& description,
                            const TrainingState& state);
// Fills a state whose model and optimizer were made from the same configuration, on whatever device they are,
// and sets torch's default generator. NotFound if there is no checkpoint; InvalidArgument if it is damaged or
// of another training (another rate, clipping or length is none), and then the state must not be used.
absl::Status LoadCheckpoint(const std::string& path, const std::string& description, TrainingState* state);

}  // namespace train
}  // namespace glowworm

#endif  // GLOWWORM_MODEL_TRAIN_TRAINING_STATE_H_
