// Training: the loop. Adam on -log p of shuffled batches, validation, the best parameters and a checkpoint
// after each epoch. Tested by tests/model/train/training_test.cc.

#ifndef GLOWWORM_MODEL_TRAIN_TRAINING_H_
#define GLOWWORM_MODEL_TRAIN_TRAINING_H_

#include <torch/types.h>

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "model/train/config.h"
#include "model/train/data_set.h"
#include "model/train/training_record.h"
#include "model/train/training_state.h"

namespace glowworm {
namespace train {

// What a training asks of the world around it, and tells it.
struct Surroundings {
  std::function<double()> now_seconds;   // a clock that only goes forward
  std::function<bool()> stop_requested;  // asked after each step
  std::function<void(int64_t rows_done, int64_t rows, double mean_nats, double rows_per_second,
                     double seconds_left)>
      on_step;
  std::function<absl::Status(const EpochRecord&)> on_epoch;
  std::string checkpoint;  // a file; empty: none is written
};

enum class Ending { kAllEpochs, kNoBetterValidation, kTimeIsUp, kInterrupted };

// The share of the learning rate: a line that rises to 1 as `risen`, of the steps over which the rate rises,
// does; then a half cosine that falls to 0 as `fraction` of the training goes from `warmup` to 1. Where time
// is what is short, `fraction` may pass `warmup` before the line is at its end: the rate is their product.
double LearningRateShare(double fraction, double warmup, double risen);

// Describe() and the training rows: what a checkpoint is of.
std::string DescribeTraining(const Config& config, const DataSet& train);

class Training {
 public:
  // A training's state at its beginning: the model and its optimiser, drawn from torch's default generator
  // and then brought to `device`, where all steps are taken.
  static absl::StatusOr<TrainingState> Begin(const Config& config, const DataSet& train,
                                             torch::Device device = torch::kCPU);

  // `data` and `state` outlive it.
  Training(const Config& config, const DataSplit* data, const Surroundings& surroundings,
           TrainingState* state);

  // Runs until all epochs are done, validation no longer improves, time is up or a stop is requested; blocks.
  // A stop finishes the step and saves. A training that blows up (a number that is not finite, a condition
  // number above the limit) is FailedPrecondition, names the layer and leaves the last good checkpoint.
  absl::StatusOr<Ending> Run();

  // The best parameters become the model's. REQUIRES: an epoch is complete
  void RestoreBest();

 private:
  int64_t rows() const { return data_->train.rows(); }
  double Seconds() const { return state_->seconds + surroundings_.now_seconds() - begun_; }
  bool TimeIsUp() const;
  double Fraction() const;  // of the whole training that is done
  double Risen() const;     // of the steps over which the rate rises, the next one included; at most 1
  double StepsAnEpoch() const;
  bool PatienceIsOver() const;
  void InitializeLayers();
  void BeginEpoch();
  absl::Status Step();
  absl::Status EndEpoch();
  absl::Status Save();
  absl::Status BlownUp(const std::string& what) const;
  // Of the first of the validation rows' log p, (n), that is not finite.
  std::string WhyNotFinite(const torch::Tensor& log_probs) const;

  const Config& config_;
  const DataSplit* const data_;
  const Surroundings surroundings_;
  TrainingState* const state_;
  double begun_ = 0;  // now_seconds when Run() was called
  double epoch_begun_ = 0;
  int64_t epoch_first_row_ = 0;  // of this run
};

}  // namespace train
}  // namespace glowworm

#endif  // GLOWWORM_MODEL_TRAIN_TRAINING_H_
