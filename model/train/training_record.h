// What a training tells of itself: one record an epoch, one at the end. Plain values, in the units that
// people read. Written as JSON lines by training_log.h, drawn by training_plot.h, shown by progress.h.

#ifndef GLOWWORM_MODEL_TRAIN_TRAINING_RECORD_H_
#define GLOWWORM_MODEL_TRAIN_TRAINING_RECORD_H_

#include <cstdint>
#include <string>
#include <vector>

namespace glowworm {
namespace train {

// How well conditioned the linear layers are.
struct Conditioning {
  double max_condition_number = 0;  // over the linear layers, 2-norm; 0 without any
  double min_s = 0, max_s = 0;      // over the diagonals; 0 without any
  std::string worst_layer;          // that of max_condition_number
};

struct EpochRecord {
  int64_t epoch = 0;           // counted from 1
  int64_t step = 0;            // steps of the optimiser so far
  double train_nats = 0;       // mean -log p over the epoch's rows as they were trained on
  double validation_nats = 0;  // mean -log p over the validation rows at the end of the epoch
  double validation_bits_per_dim = 0;
  bool best = false;  // the lowest validation_nats so far
  double learning_rate = 0;
  double gradient_norm = 0;  // mean over the epoch, before clipping
  double rows_per_second = 0;
  double seconds = 0;  // since training began, earlier runs that were resumed included
  Conditioning conditioning;
};

struct TrainingSummary {
  std::string name;
  std::string stopped_because;  // "all 50 epochs done", "no better validation for 10 epochs", "interrupted"
  int64_t parameters = 0, epochs = 0, best_epoch = 0, steps = 0;
  double seconds = 0;
  double train_nats = 0, validation_nats = 0, test_nats = 0;  // mean -log p of the best parameters
  double test_standard_error = 0;                             // of test_nats
  double test_bits_per_dim = 0;
  double test_disagreement =
      0;  // the largest |log p - log p'| / max(1, |log p|) between libtorch and the server
  Conditioning conditioning;
  std::string out;  // the flow file
};

}  // namespace train
}  // namespace glowworm

#endif  // GLOWWORM_MODEL_TRAIN_TRAINING_RECORD_H_
