// TrainingLog: a training's records as JSON lines, one object a line, appended and flushed as they come, so
// that a log of an interrupted training is whole up to its last epoch. Tested by
// tests/model/train/report_test.cc.

#ifndef GLOWWORM_MODEL_TRAIN_TRAINING_LOG_H_
#define GLOWWORM_MODEL_TRAIN_TRAINING_LOG_H_

#include <memory>
#include <string>
#include <utility>
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
  // Appends to the file if `resume`, after cutting off a last line that a crash left unfinished; otherwise
  // begins it anew. AlreadyExists while another log of this file is open, here or in another process: two
  // trainings must not share a folder. A failure says why, without folders.
  static absl::StatusOr<std::unique_ptr<TrainingLog>> Open(const std::string& path, bool resume);
  ~TrainingLog();
  TrainingLog(const TrainingLog&) = delete;
  TrainingLog& operator=(const TrainingLog&) = delete;

  // A line that cannot be written whole is taken back.
  absl::Status Write(const EpochRecord& record);
  absl::Status Write(const TrainingSummary& summary);

 private:
  TrainingLog(std::string name, int fd) : name_(std::move(name)), fd_(fd) {}
  absl::Status Append(const std::string& line);

  const std::string name_;  // of the file, without its folders
  const int fd_;
};

// The epochs of a log that earlier runs wrote, ascending: a run that resumed from a checkpoint repeats
// epochs, and its records replace those from there on. Lines cut short by a crash are left out. Empty if
// there is no such file.
std::vector<EpochRecord> ReadEpochs(const std::string& path);

}  // namespace train
}  // namespace glowworm

#endif  // GLOWWORM_MODEL_TRAIN_TRAINING_LOG_H_
