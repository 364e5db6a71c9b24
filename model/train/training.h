// Training: the loop. Adam on -log p of shuffled batches, validation, the best parameters and a checkpoint
// after each epoch. Tested by tests/model/train/training_test.cc.

#ifndef GLOWWORM_MODEL_TRAIN_TRAINING_H_
#define GLOWWORM_MODEL_TRAIN_TRAINING_H_

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

// The share of the learning rate at `fraction` of a training whose first `warmup` share rises: linear from 0,
// then a half cosine to 0.
double LearningRateShare(double fraction, double warmup);

class Training {
 public:
  // A training's state at its beginning: the model and its optimiser, drawn from torch's default generator.
  static absl::StatusOr<TrainingState> Begin(const Config& config, const DataSet& train);

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
  bool PatienceIsOver() const;
  void InitializeLayers();
  void BeginEpoch();
  absl::Status Step();
  absl::Status EndEpoch();
  absl::Status Save();
  absl::Status BlownUp(const std::string& what) const;

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
