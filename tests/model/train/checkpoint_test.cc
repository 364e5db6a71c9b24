// Tests of model/train/training_state.h: checkpoints that are missing, damaged or of another training. That a
// good one goes on as if nothing had happened: training_test.cc.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>

#include <string>
#include <vector>

#include "model/train/training.h"
#include "model/train/training_state.h"
#include "tests/model/train/temporary_folder.h"
#include "tests/model/train/train_testing.h"

namespace glowworm {
namespace train {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr char kName[] = "training.checkpoint";
constexpr char kDescription[] = "preset=tabular-glow steps=1";

TrainingState Begun(int64_t features, uint64_t seed = 1) {
  torch::manual_seed(seed);
  Config config;
  config.flow = SmallTabular();
  config.flow.steps = 1;
  return Training::Begin(config, Table(20, features)).value();
}

class Checkpoint : public testing::Test {
 protected:
  std::string path() const { return folder_.File(kName); }
  absl::Status Save(const TrainingState& state) { return SaveCheckpoint(path(), kDescription, state); }
  absl::Status Load(TrainingState* state) { return LoadCheckpoint(path(), kDescription, state); }
  // The answer to a file of these bytes: never a crash, and never a state to go on with.
  void ExpectDamaged(const std::string& bytes) {
    folder_.Write(kName, bytes);
    TrainingState state = Begun(3);
    const absl::Status status = Load(&state);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()),
                AllOf(StartsWith("the checkpoint is damaged: "), Not(HasSubstr("\n")), Not(HasSubstr("/"))));
  }
  std::string GoodBytes() {
    EXPECT_TRUE(Save(Begun(3)).ok());
    return folder_.Read(kName);
  }

  TemporaryFolder folder_;
};

TEST_F(Checkpoint, BringsAllNumbersBack) {
  TrainingState saved = Begun(3);
  saved.epoch = 4;
  saved.step = 55;
  saved.order = torch::randperm(20, torch::kInt64);
  saved.position = 12;
  saved.sum_nats = 1.0 / 3;
  saved.sum_gradient_norm = 2.0 / 3;
  saved.epoch_steps = 6;
  saved.best_nats = -1.0 / 7;
  saved.best_epoch = 3;
  saved.seconds = 1.0 / 9;
  for (const torch::Tensor& t : StateTensors(*saved.model)) saved.best.push_back(t.detach().clone() + 1);
  ASSERT_TRUE(Save(saved).ok());
  const torch::Tensor next_draw = torch::rand({4});

  TrainingState loaded = Begun(3, /*seed=*/2);
  ASSERT_TRUE(Load(&loaded).ok());
  EXPECT_TRUE(torch::equal(torch::rand({4}), next_draw));
  EXPECT_EQ(loaded.epoch, 4);
  EXPECT_EQ(loaded.step, 55);
  EXPECT_TRUE(torch::equal(loaded.order, saved.order));
  EXPECT_EQ(loaded.position, 12);
  EXPECT_EQ(loaded.sum_nats, 1.0 / 3);
  EXPECT_EQ(loaded.sum_gradient_norm, 2.0 / 3);
  EXPECT_EQ(loaded.epoch_steps, 6);
  EXPECT_EQ(loaded.best_nats, -1.0 / 7);
  EXPECT_EQ(loaded.best_epoch, 3);
  EXPECT_EQ(loaded.seconds, 1.0 / 9);
  const std::vector<torch::Tensor> a = StateTensors(*saved.model), b = StateTensors(*loaded.model);
  ASSERT_EQ(loaded.best.size(), saved.best.size());
  for (size_t i = 0; i < a.size(); ++i) {
    EXPECT_TRUE(torch::equal(a[i], b[i]));
    EXPECT_TRUE(torch::equal(saved.best[i], loaded.best[i]));
  }
}

TEST_F(Checkpoint, MissingOneIsNotFound) {
  TrainingState state = Begun(3);
  const absl::Status status = Load(&state);
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(status.message(), "there is no checkpoint to resume from");
}

TEST_F(Checkpoint, FolderInItsPlaceIsRefused) {
  TrainingState state = Begun(3);
  const absl::Status status = LoadCheckpoint(folder_.path(), kDescription, &state);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), StartsWith("the checkpoint cannot be read: "));
}

TEST_F(Checkpoint, OfAnotherConfigurationIsRefused) {
  ASSERT_TRUE(Save(Begun(3)).ok());
  TrainingState state = Begun(3);
  const absl::Status status = LoadCheckpoint(path(), "preset=tabular-glow steps=2", &state);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "the checkpoint is of another training: expected steps=2, got steps=1");
}

TEST_F(Checkpoint, OfAnotherRateAndLengthIsTaken) {
  const std::string description = "steps=1 learning_rate=1 clip=5 epochs=3 patience=2 seed=4";
  ASSERT_TRUE(SaveCheckpoint(path(), description, Begun(3)).ok());
  TrainingState state = Begun(3);
  EXPECT_TRUE(
      LoadCheckpoint(path(), "steps=1 learning_rate=0.1 clip=1 epochs=9 patience=5 seed=4", &state).ok());
  const absl::Status status =
      LoadCheckpoint(path(), "steps=1 learning_rate=0.1 clip=1 epochs=9 patience=5 seed=5", &state);
  EXPECT_EQ(status.message(), "the checkpoint is of another training: expected seed=5, got seed=4");
}

TEST_F(Checkpoint, OfOtherShapesIsRefused) {
  ASSERT_TRUE(Save(Begun(4)).ok());
  TrainingState state = Begun(3);
  const absl::Status status = Load(&state);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "the checkpoint is of another training: its parameters have other shapes");
}

TEST_F(Checkpoint, DescriptionTellsTheRowsApart) {
  torch::manual_seed(1);
  const Config config;
  DataSet a = Table(20, 3), b = a;
  EXPECT_EQ(DescribeTraining(config, a), DescribeTraining(config, b));
  b.sha256 = "00";
  EXPECT_NE(DescribeTraining(config, a), DescribeTraining(config, b));
  EXPECT_NE(DescribeTraining(config, a), DescribeTraining(config, Table(21, 3)));
}

TEST_F(Checkpoint, CutShortAnywhereIsDamaged) {
  const std::string good = GoodBytes();
  ASSERT_GT(good.size(), 4000u);
  for (size_t length = 0; length < good.size(); length += 1 + length / 12) {
    SCOPED_TRACE(testing::Message() << length << " of " << good.size() << " bytes");
    ExpectDamaged(good.substr(0, length));
  }
  ExpectDamaged(good.substr(0, good.size() - 1));
}

TEST_F(Checkpoint, AnyByteFlippedIsDamaged) {
  const std::string good = GoodBytes();
  for (size_t at = 0; at < good.size(); at += 397) {
    SCOPED_TRACE(testing::Message() << "byte " << at << " of " << good.size());
    std::string bad = good;
    bad[at] = static_cast<char>(bad[at] ^ (1 << at % 8));
    ExpectDamaged(bad);
  }
}

TEST_F(Checkpoint, OtherFilesAreDamaged) {
  ExpectDamaged(std::string(5000, 'x'));
  ExpectDamaged(GoodBytes() + "more");
}

TEST_F(Checkpoint, FullDiskLeavesTheOldOne) {
  const std::string good = GoodBytes();
  const FileSizeLimit full(1000);
  EXPECT_FALSE(Save(Begun(3, /*seed=*/2)).ok());
  EXPECT_EQ(folder_.Names(), std::set<std::string>{kName});
  EXPECT_EQ(folder_.Read(kName), good);
}

}  // namespace
}  // namespace train
}  // namespace glowworm
