// TrainingLog: a training's records as JSON lines, one object a line, appended and flushed as they come, so
// that a log of an interrupted training is whole up to its last epoch. Tested by
// tests/model/train/report_test.cc.

#ifndef GLOWWORM_MODEL_TRAIN_TRAINING_LOG_H_
#define GLOWWORM_MODEL_TRAIN_TRAINING_LOG_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "model/train/training_record.h"

namespace glowworm {
namespace train {

// Field names are those of the records, plus "event": "epoch" or "end". Numbers that are not finite are null.
std::string JsonLine(const EpochRecord& record);
std::string JsonLine(const TrainingSummary& summary);

class TrainingLog {
 public:
  // Appends to the file if `resume`, otherwise begins it anew. A failure says why, without folders.
  static absl::StatusOr<std::unique_ptr<TrainingLog>> Open(const std::string& path, bool resume);
  ~TrainingLog();
  TrainingLog(const TrainingLog&) = delete;
  TrainingLog& operator=(const TrainingLog&) = delete;

  absl::Status Write(const EpochRecord& record);
  absl::Status Write(const TrainingSummary& summary);

 private:
  explicit TrainingLog(int fd) : fd_(fd) {}
  absl::Status Append(const std::string& line);
  const int fd_;
};

// The epochs of a log that an earlier run wrote; lines cut short by a crash are left out. Empty if there is
// no such file.
std::vector<EpochRecord> ReadEpochs(const std::string& path);

}  // namespace train
}  // namespace glowworm

#endif  // GLOWWORM_MODEL_TRAIN_TRAINING_LOG_H_
