// What a training writes line by line: its log, and the lines for a person.

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "model/strict_json.h"
#include "model/train/progress.h"
#include "model/train/training_log.h"
#include "model/train/training_record.h"
#include "tests/model/train/temporary_folder.h"

namespace glowworm {
namespace train {
namespace {

using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;
using testing::StartsWith;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

EpochRecord Epoch(int64_t epoch) {
  EpochRecord record;
  record.epoch = epoch;
  record.step = 20 * epoch;
  record.train_nats = 12.344;
  record.validation_nats = 0.1 + 0.2;  // needs all 17 digits
  record.validation_bits_per_dim = 3.014;
  record.best = true;
  record.learning_rate = 1e-3;
  record.gradient_norm = 4;
  record.rows_per_second = 5120;
  record.seconds = 61.5;
  record.conditioning = {12.08, 0.5, 2, "step 3 linear"};
  return record;
}

std::vector<int64_t> EpochsOf(const std::vector<EpochRecord>& records) {
  std::vector<int64_t> epochs;
  for (const EpochRecord& record : records) epochs.push_back(record.epoch);
  return epochs;
}

std::unique_ptr<TrainingLog> OpenLog(const std::string& path, bool resume) {
  auto log = TrainingLog::Open(path, resume);
  EXPECT_TRUE(log.ok()) << log.status();
  return std::move(*log);
}

void WriteLog(const std::string& path, bool resume, const std::vector<int64_t>& epochs) {
  const auto log = OpenLog(path, resume);
  for (int64_t epoch : epochs) EXPECT_TRUE(log->Write(Epoch(epoch)).ok());
}

TEST(TrainingLog, AnEpochIsReadBackToTheLastBit) {
  const TemporaryFolder folder;
  WriteLog(folder.File("log"), false, {1});
  const std::vector<EpochRecord> read = ReadEpochs(folder.File("log"));
  ASSERT_EQ(read.size(), 1u);
  const EpochRecord wrote = Epoch(1);
  EXPECT_EQ(read[0].step, wrote.step);
  EXPECT_EQ(read[0].train_nats, wrote.train_nats);
  EXPECT_EQ(read[0].validation_nats, wrote.validation_nats);
  EXPECT_EQ(read[0].validation_bits_per_dim, wrote.validation_bits_per_dim);
  EXPECT_EQ(read[0].best, wrote.best);
  EXPECT_EQ(read[0].learning_rate, wrote.learning_rate);
  EXPECT_EQ(read[0].gradient_norm, 4);  // written as an integer, perhaps
  EXPECT_EQ(read[0].rows_per_second, wrote.rows_per_second);
  EXPECT_EQ(read[0].seconds, wrote.seconds);
  EXPECT_EQ(read[0].conditioning.max_condition_number, wrote.conditioning.max_condition_number);
  EXPECT_EQ(read[0].conditioning.min_s, wrote.conditioning.min_s);
  EXPECT_EQ(read[0].conditioning.max_s, wrote.conditioning.max_s);
  EXPECT_EQ(read[0].conditioning.worst_layer, wrote.conditioning.worst_layer);
}

TEST(TrainingLog, EveryLineIsOneJsonObjectThatNamesItsEvent) {
  TrainingSummary summary;
  summary.name = "a \"quoted\"\nname \xff";
  for (const std::string& line : {JsonLine(Epoch(1)), JsonLine(summary)}) {
    EXPECT_THAT(line, Not(HasSubstr("\n")));
    const auto json = ParseStrictJson(line);
    ASSERT_TRUE(json.ok()) << json.status() << " " << line;
    EXPECT_NE(json->Find("event"), nullptr);
  }
  EXPECT_THAT(JsonLine(Epoch(1)), StartsWith("{\"event\":\"epoch\",\"epoch\":1,"));
  EXPECT_THAT(JsonLine(summary), StartsWith("{\"event\":\"end\","));
}

TEST(TrainingLog, NumbersThatAreNotFiniteAreNullAndReadAsNan) {
  const TemporaryFolder folder;
  EpochRecord record = Epoch(1);
  record.train_nats = kNan;
  record.gradient_norm = std::numeric_limits<double>::infinity();
  EXPECT_THAT(JsonLine(record), HasSubstr("\"train_nats\":null"));
  EXPECT_THAT(JsonLine(record), HasSubstr("\"gradient_norm\":null"));
  folder.Write("log", JsonLine(record) + "\n");
  EXPECT_TRUE(std::isnan(ReadEpochs(folder.File("log")).at(0).train_nats));
}

TEST(TrainingLog, ALogBegunAnewForgetsAndAResumedOneGoesOn) {
  const TemporaryFolder folder;
  WriteLog(folder.File("log"), false, {1, 2});
  WriteLog(folder.File("log"), true, {3});
  EXPECT_THAT(EpochsOf(ReadEpochs(folder.File("log"))), ElementsAre(1, 2, 3));
  WriteLog(folder.File("log"), false, {1});
  EXPECT_THAT(EpochsOf(ReadEpochs(folder.File("log"))), ElementsAre(1));
}

TEST(TrainingLog, TwoTrainingsCannotShareOne) {
  const TemporaryFolder folder;
  auto first = OpenLog(folder.File("log"), false);
  ASSERT_TRUE(first->Write(Epoch(1)).ok());
  for (const bool resume : {false, true}) {
    EXPECT_EQ(TrainingLog::Open(folder.File("log"), resume).status().message(),
              "log is being written by another training; expected a folder of its own");
  }
  EXPECT_THAT(EpochsOf(ReadEpochs(folder.File("log"))), ElementsAre(1)) << "nothing is begun anew";
  first.reset();
  EXPECT_TRUE(TrainingLog::Open(folder.File("log"), false).ok());
}

TEST(TrainingLog, ALineCutShortByACrashIsLeftOutAndCutOff) {
  const TemporaryFolder folder;
  const std::string first = JsonLine(Epoch(1)) + "\n", second = JsonLine(Epoch(2)) + "\n";
  folder.Write("log", first + second.substr(0, second.size() / 2));
  EXPECT_THAT(EpochsOf(ReadEpochs(folder.File("log"))), ElementsAre(1));
  WriteLog(folder.File("log"), true, {2});
  EXPECT_EQ(folder.Read("log"), first + second);
}

TEST(TrainingLog, AnUnfinishedLineLongerThanABlockIsCutOff) {
  const TemporaryFolder folder;
  const std::string first = JsonLine(Epoch(1)) + "\n";
  folder.Write("log", first + std::string(10000, 'x'));
  WriteLog(folder.File("log"), true, {});
  EXPECT_EQ(folder.Read("log"), first);
  folder.Write("log", std::string(10000, 'x'));
  WriteLog(folder.File("log"), true, {});
  EXPECT_EQ(folder.Read("log"), "");
}

TEST(TrainingLog, EpochsRepeatedAfterACheckpointReplaceTheFirstOnes) {
  const TemporaryFolder folder;
  WriteLog(folder.File("log"), false, {1, 2, 3, 4});
  WriteLog(folder.File("log"), true, {3});
  EXPECT_THAT(EpochsOf(ReadEpochs(folder.File("log"))), ElementsAre(1, 2, 3));
}

TEST(TrainingLog, WhatIsNoEpochIsLeftOut) {
  const TemporaryFolder folder;
  folder.Write("log",
               "\nnull\n[]\n{\"event\":\"epoch\"}\n{\"event\":\"epoch\",\"epoch\":-1}\n{\"event\":7}\n" +
                   JsonLine(TrainingSummary()) + "\n" + JsonLine(Epoch(5)) + "\n");
  EXPECT_THAT(EpochsOf(ReadEpochs(folder.File("log"))), ElementsAre(5));
  EXPECT_THAT(ReadEpochs(folder.File("none")), IsEmpty());
}

TEST(TrainingLog, AFullDiskIsSaidAndLeavesWholeLines) {
  const TemporaryFolder folder;
  const std::string line = JsonLine(Epoch(1)) + "\n";
  const auto log = OpenLog(folder.File("log.jsonl"), false);
  const FileSizeLimit limit(line.size() + line.size() / 2);
  EXPECT_TRUE(log->Write(Epoch(1)).ok());
  const absl::Status full = log->Write(Epoch(1));
  EXPECT_EQ(full.message(), "log.jsonl cannot be written: file too large");
  EXPECT_EQ(folder.Read("log.jsonl"), line);
}

TEST(TrainingLog, AFolderThatIsNotThereIsSaidWithoutItsPath) {
  const TemporaryFolder folder;
  const auto log = TrainingLog::Open(folder.File("none/log.jsonl"), false);
  EXPECT_EQ(log.status().message(), "log.jsonl cannot be opened: no such file or directory");
}

StepProgress Step() {
  StepProgress step;
  step.epoch = 3, step.epochs = 50;
  step.rows = 450, step.epoch_rows = 1000;
  step.train_nats = 12.344;
  step.rows_per_second = 5120;
  step.seconds_left = 720;
  return step;
}

TEST(ProgressLine, SaysWhereTheEpochStands) {
  EXPECT_EQ(ProgressLine(Step(), 77),
            "epoch 3/50 [=======>        ] 45 % train 12.34 nats, 5120 rows/s, 12 min left");
}

TEST(ProgressLine, ANarrowTerminalTakesTheBarFirstThenTheEnd) {
  const std::string whole = ProgressLine(Step(), 80);
  for (int width = 0; width <= 200; ++width) {
    const std::string line = ProgressLine(Step(), width);
    EXPECT_LE(line.size(), static_cast<size_t>(width));
    if (width >= 70) {
      EXPECT_THAT(line, EndsWith(whole.substr(whole.find(" 45 %"))));
    }
  }
  EXPECT_EQ(ProgressLine(Step(), 20), "epoch 3/50 45 % trai");
}

TEST(ProgressLine, IsWholeAtBothEndsOfAnEpoch) {
  StepProgress step = Step();
  step.rows = 0;
  EXPECT_THAT(ProgressLine(step), HasSubstr("[>  "));
  step.rows = step.epoch_rows;
  EXPECT_THAT(ProgressLine(step), HasSubstr("==] 100 %"));
  step.rows = 2 * step.epoch_rows;
  EXPECT_THAT(ProgressLine(step), HasSubstr("==] 100 %"));
  EXPECT_THAT(ProgressLine(StepProgress()), HasSubstr("0 %"));
}

TEST(ProgressLine, TimeLeftIsLeftOutUntilItIsKnown) {
  StepProgress step = Step();
  step.seconds_left = -1;
  EXPECT_THAT(ProgressLine(step), EndsWith("5120 rows/s"));
}

TEST(EpochLine, TellsTheEpochAndMarksTheBest) {
  EpochRecord record = Epoch(3);
  EXPECT_EQ(EpochLine(record, 50),
            "epoch 3/50 train 12.34 validation 0.300 nats (3.014 bits/dim) cond 12.1 5120 rows/s *");
  record.best = false;
  record.conditioning = {};
  EXPECT_EQ(EpochLine(record, 50),
            "epoch 3/50 train 12.34 validation 0.300 nats (3.014 bits/dim) 5120 rows/s");
}

TEST(DurationText, TakesTheUnitThatFits) {
  EXPECT_EQ(DurationText(0), "0 s");
  EXPECT_EQ(DurationText(45.4), "45 s");
  EXPECT_EQ(DurationText(99.6), "2 min");
  EXPECT_EQ(DurationText(720), "12 min");
  EXPECT_EQ(DurationText(3569), "59 min");
  EXPECT_EQ(DurationText(3570), "1 h 0 min");
  EXPECT_EQ(DurationText(4800), "1 h 20 min");
  EXPECT_EQ(DurationText(76 * 3600), "3 d 4 h");
  for (double seconds : {-1.0, kNan, HUGE_VAL}) EXPECT_EQ(DurationText(seconds), "unknown");
}

TEST(NatsText, HasDigitsThatTellTrainingsApart) {
  EXPECT_EQ(NatsText(-0.1234), "-0.123");
  EXPECT_EQ(NatsText(12.344), "12.34");
  EXPECT_EQ(NatsText(2345.64), "2345.6");
  EXPECT_EQ(NatsText(kNan), "nan");
}

TEST(SummaryText, TellsHowItEndedAndWhatItIsWorth) {
  TrainingSummary summary;
  summary.name = "thyroid", summary.stopped_because = "interrupted", summary.out = "flows/thyroid/1/flow";
  summary.parameters = 41234, summary.epochs = 50, summary.best_epoch = 47, summary.steps = 2300;
  summary.seconds = 4800, summary.test_nats = -3.25, summary.test_standard_error = 0.021;
  summary.test_disagreement = 3e-12, summary.conditioning = {12.08, 0.5, 2, "step 3 linear"};
  const std::string text = SummaryText(summary);
  for (const char* part :
       {"thyroid: interrupted; 1 h 20 min, 2300 steps\n", "41234", "47 of 50", "-3.250 +- 0.021 nats",
        "at most 12.1 (step 3 linear), s from 0.5 to 2", "3.0e-12", "flows/thyroid/1/flow"}) {
    EXPECT_THAT(text, HasSubstr(part));
  }
  summary.conditioning = {};
  EXPECT_THAT(SummaryText(summary), Not(HasSubstr("cond")));
}

// A terminal's two ends: what is written to out() is read by Shown().
class Terminal {
 public:
  explicit Terminal(unsigned short columns) : screen_(posix_openpt(O_RDWR | O_NOCTTY)) {
    if (screen_ < 0 || grantpt(screen_) != 0 || unlockpt(screen_) != 0) return;
    out_ = std::fopen(ptsname(screen_), "w");
    struct winsize size = {};
    size.ws_col = columns;
    if (out_ != nullptr) ioctl(screen_, TIOCSWINSZ, &size);
  }
  ~Terminal() {
    if (out_ != nullptr) std::fclose(out_);
    close(screen_);
  }
  std::FILE* out() { return out_; }
  std::string Shown() {
    char text[4096];
    fcntl(screen_, F_SETFL, O_NONBLOCK);
    const ssize_t n = read(screen_, text, sizeof(text));
    return std::string(text, static_cast<size_t>(std::max<ssize_t>(n, 0)));
  }

 private:
  const int screen_;
  std::FILE* out_ = nullptr;
};

constexpr char kErase[] = "\r\x1b[K";

TEST(Progress, ALineIsNeverWiderThanTheTerminal) {
  Terminal terminal(40);
  if (terminal.out() == nullptr) GTEST_SKIP() << "this machine lends no pseudo-terminal";
  Progress progress(terminal.out(), true);
  progress.OnStep(Step(), 0);
  EXPECT_EQ(terminal.Shown(), kErase + ProgressLine(Step(), 39));
}

TEST(Progress, ATerminalThatTellsNoWidthHasEightyColumns) {
  Terminal terminal(0);
  if (terminal.out() == nullptr) GTEST_SKIP() << "this machine lends no pseudo-terminal";
  Progress progress(terminal.out(), true);
  progress.OnStep(Step(), 0);
  EXPECT_EQ(terminal.Shown(), kErase + ProgressLine(Step(), 79));
}

// What `draw` makes a Progress write to a file.
template <typename Draw>
std::string Written(bool terminal, const Draw& draw) {
  const TemporaryFolder folder;
  std::FILE* out = std::fopen(folder.File("out").c_str(), "w");
  {
    Progress progress(out, terminal);
    draw(&progress);
  }
  std::fclose(out);
  return folder.Read("out");
}

TEST(Progress, DrawsTenTimesASecondAtMost) {
  const std::string text = Written(true, [](Progress* progress) {
    for (int i = 0; i < 100; ++i) progress->OnStep(Step(), 7 + i / 64.0);  // 7 s to 8.55 s
  });
  const std::vector<std::string> draws = absl::StrSplit(text, kErase);
  EXPECT_EQ(draws.size(), 17u);  // nothing, 15 draws at 7/64 s from one to the next, the erased end
}

TEST(Progress, AnEpochTakesTheLinesPlaceInATerminal) {
  const std::string text = Written(true, [](Progress* progress) {
    progress->OnStep(Step(), 0);
    progress->OnEpoch(Epoch(3), 50);
  });
  EXPECT_EQ(text, kErase + ProgressLine(Step(), 79) + kErase + EpochLine(Epoch(3), 50) + "\n");
}

TEST(Progress, ElsewhereTellsEpochsAlone) {
  const std::string text = Written(false, [](Progress* progress) {
    progress->OnStep(Step(), 0);
    progress->OnEpoch(Epoch(3), 50);
  });
  EXPECT_EQ(text, EpochLine(Epoch(3), 50) + "\n");
}

}  // namespace
}  // namespace train
}  // namespace glowworm
