// TrainingLog. Tested by tests/model/train/report_test.cc.

#include "model/train/training_log.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "model/regular_file.h"
#include "model/strict_json.h"
#include "model/train/file_error.h"

namespace glowworm {
namespace train {
namespace {

using OrderedJson = nlohmann::ordered_json;

constexpr int64_t kMaxLogBytes = int64_t{1} << 28;  // some 500 000 epochs

// JSON has no word for infinity or NaN.
OrderedJson Number(double value) { return std::isfinite(value) ? OrderedJson(value) : OrderedJson(nullptr); }

OrderedJson ToJson(const Conditioning& conditioning) {
  return {{"max_condition_number", Number(conditioning.max_condition_number)},
          {"min_s", Number(conditioning.min_s)},
          {"max_s", Number(conditioning.max_s)},
          {"worst_layer", conditioning.worst_layer}};
}

// Names of layers and files may hold any byte; what is not UTF-8 becomes U+FFFD.
std::string Line(const OrderedJson& json) {
  return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

double ReadNumber(const Json& object, absl::string_view key) {
  const Json* json = object.Find(key);
  if (json == nullptr) return std::numeric_limits<double>::quiet_NaN();
  if (const auto* number = json->As<double>()) return *number;
  if (const auto* number = json->As<uint64_t>()) return static_cast<double>(*number);
  if (const auto* number = json->As<int64_t>()) return static_cast<double>(*number);
  return std::numeric_limits<double>::quiet_NaN();
}

int64_t ReadCount(const Json& object, absl::string_view key) {
  const Json* json = object.Find(key);
  const uint64_t* count = json == nullptr ? nullptr : json->As<uint64_t>();
  if (count == nullptr || *count > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return 0;
  return static_cast<int64_t>(*count);
}

std::string ReadString(const Json& object, absl::string_view key) {
  const Json* json = object.Find(key);
  const std::string* text = json == nullptr ? nullptr : json->As<std::string>();
  return text == nullptr ? "" : *text;
}

Conditioning ReadConditioning(const Json& json) {
  Conditioning conditioning;
  conditioning.max_condition_number = ReadNumber(json, "max_condition_number");
  conditioning.min_s = ReadNumber(json, "min_s");
  conditioning.max_s = ReadNumber(json, "max_s");
  conditioning.worst_layer = ReadString(json, "worst_layer");
  return conditioning;
}

EpochRecord ReadEpoch(const Json& json) {
  EpochRecord record;
  record.epoch = ReadCount(json, "epoch");
  record.step = ReadCount(json, "step");
  record.train_nats = ReadNumber(json, "train_nats");
  record.validation_nats = ReadNumber(json, "validation_nats");
  record.validation_bits_per_dim = ReadNumber(json, "validation_bits_per_dim");
  const Json* best = json.Find("best");
  record.best = best != nullptr && best->As<bool>() != nullptr && *best->As<bool>();
  record.learning_rate = ReadNumber(json, "learning_rate");
  record.gradient_norm = ReadNumber(json, "gradient_norm");
  record.rows_per_second = ReadNumber(json, "rows_per_second");
  record.seconds = ReadNumber(json, "seconds");
  if (const Json* conditioning = json.Find("conditioning")) {
    record.conditioning = ReadConditioning(*conditioning);
  }
  return record;
}

// The length of the file up to its last line's end; -1 with errno set.
off_t LengthOfWholeLines(int fd, off_t size) {
  char block[4096];
  while (size > 0) {
    const off_t start = std::max<off_t>(0, size - static_cast<off_t>(sizeof(block)));
    const ssize_t n = pread(fd, block, static_cast<size_t>(size - start), start);
    if (n == 0) errno = EIO;  // it shrank meanwhile
    if (n <= 0) return -1;
    const size_t end = absl::string_view(block, static_cast<size_t>(n)).rfind('\n');
    if (end != absl::string_view::npos) return start + static_cast<off_t>(end) + 1;
    size = start;
  }
  return 0;
}

bool CutUnfinishedLine(int fd) {
  struct stat info;
  if (fstat(fd, &info) != 0) return false;
  const off_t whole = LengthOfWholeLines(fd, info.st_size);
  if (whole < 0) return false;
  return whole == info.st_size || ftruncate(fd, whole) == 0;
}

}  // namespace

std::string JsonLine(const EpochRecord& record) {
  return Line({{"event", "epoch"},
               {"epoch", record.epoch},
               {"step", record.step},
               {"train_nats", Number(record.train_nats)},
               {"validation_nats", Number(record.validation_nats)},
               {"validation_bits_per_dim", Number(record.validation_bits_per_dim)},
               {"best", record.best},
               {"learning_rate", Number(record.learning_rate)},
               {"gradient_norm", Number(record.gradient_norm)},
               {"rows_per_second", Number(record.rows_per_second)},
               {"seconds", Number(record.seconds)},
               {"conditioning", ToJson(record.conditioning)}});
}

std::string JsonLine(const TrainingSummary& summary) {
  return Line({{"event", "end"},
               {"name", summary.name},
               {"stopped_because", summary.stopped_because},
               {"parameters", summary.parameters},
               {"epochs", summary.epochs},
               {"best_epoch", summary.best_epoch},
               {"steps", summary.steps},
               {"seconds", Number(summary.seconds)},
               {"train_nats", Number(summary.train_nats)},
               {"validation_nats", Number(summary.validation_nats)},
               {"test_nats", Number(summary.test_nats)},
               {"test_standard_error", Number(summary.test_standard_error)},
               {"test_bits_per_dim", Number(summary.test_bits_per_dim)},
               {"test_disagreement", Number(summary.test_disagreement)},
               {"conditioning", ToJson(summary.conditioning)},
               {"out", summary.out}});
}

absl::StatusOr<std::unique_ptr<TrainingLog>> TrainingLog::Open(const std::string& path, bool resume) {
  const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (fd < 0) return FileError(path, "cannot be opened", errno);
  auto log = absl::WrapUnique(new TrainingLog(NameOfFile(path), fd));
  // Where the file system has no locks, nothing is known of others.
  if (flock(fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    return absl::AlreadyExistsError(absl::StrCat(
        NameOfFile(path), " is being written by another training; expected a folder of its own"));
  }
  if (!resume && ftruncate(fd, 0) != 0) return FileError(path, "cannot be begun anew", errno);
  if (resume && !CutUnfinishedLine(fd)) return FileError(path, "cannot be resumed", errno);
  return log;
}

TrainingLog::~TrainingLog() { close(fd_); }

absl::Status TrainingLog::Write(const EpochRecord& record) { return Append(JsonLine(record) + "\n"); }

absl::Status TrainingLog::Write(const TrainingSummary& summary) { return Append(JsonLine(summary) + "\n"); }

absl::Status TrainingLog::Append(const std::string& line) {
  size_t done = 0;
  while (done < line.size()) {
    const ssize_t n = write(fd_, line.data() + done, line.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) {
      const int error = errno;
      CutUnfinishedLine(fd_);  // at best: the reader leaves such a line out too
      return FileError(name_, "cannot be written", error);
    }
    done += static_cast<size_t>(n);
  }
  return absl::OkStatus();
}

std::vector<EpochRecord> ReadEpochs(const std::string& path) {
  const absl::StatusOr<std::string> text = ReadRegularFile(path, kMaxLogBytes);
  if (!text.ok()) return {};
  std::vector<EpochRecord> epochs;
  for (absl::string_view line : absl::StrSplit(*text, '\n')) {
    const absl::StatusOr<Json> json = ParseStrictJson(line);
    if (!json.ok() || ReadString(*json, "event") != "epoch") continue;
    EpochRecord record = ReadEpoch(*json);
    if (record.epoch < 1) continue;
    while (!epochs.empty() && epochs.back().epoch >= record.epoch) epochs.pop_back();
    epochs.push_back(std::move(record));
  }
  return epochs;
}

}  // namespace train
}  // namespace glowworm
