// Tests of model/train/training.h and evaluation.h: what is learnt, when it ends, and that a training is the
// same whether it was stopped and resumed or not.

#include "model/train/training.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>

#include <cmath>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "model/train/evaluation.h"
#include "tests/model/train/temporary_folder.h"
#include "tests/model/train/train_testing.h"

namespace glowworm {
namespace train {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr double kPi = 3.14159265358979323846;

// A table cut in three, and its true density.
struct Gaussian {
  DataSplit split;
  double entropy = 0;        // nats
  torch::Tensor true_log_p;  // (test rows)
};

Gaussian TwoDimensionalGaussian(int64_t train_rows, int64_t other_rows) {
  Gaussian result;
  const torch::Tensor mix = torch::tensor({{2.0, 0.0}, {1.2, 0.5}}, torch::kFloat64);  // |det| = 1
  const auto rows = [&](int64_t count, torch::Tensor* log_p) {
    const torch::Tensor z = torch::randn({count, 2}, torch::kFloat64);
    if (log_p != nullptr) *log_p = -0.5 * z.square().sum(1) - std::log(2 * kPi);
    DataSet data;
    data.name = "gaussian.npy";
    data.event.channels = data.pixels = 2;
    data.x = torch::matmul(z, mix.t()) + 7;
    return data;
  };
  result.split.train = rows(train_rows, nullptr);
  result.split.validation = rows(other_rows, nullptr);
  result.split.test = rows(other_rows, &result.true_log_p);
  result.entropy = std::log(2 * kPi) + 1;
  return result;
}

Config SmallConfig() {
  Config config;
  config.flow = SmallTabular();
  config.flow.steps = 2;
  config.train.epochs = 4;
  config.train.batch = 32;
  config.train.learning_rate = 3e-3;
  config.train.patience = 0;
  return config;
}

// One training in a test's hands: a clock that moves a second at a time, and a stop after so many steps.
class Bench {
 public:
  Bench(const Config& config, DataSplit data, uint64_t seed = 1) : config_(config), data_(std::move(data)) {
    surroundings_.now_seconds = [this] { return now_ += seconds_a_look_; };
    surroundings_.stop_requested = [this] { return steps_ == stop_after_; };
    surroundings_.on_step = [this](int64_t, int64_t, double, double, double) {
      ++steps_;
      now_ += seconds_a_step_;
    };
    surroundings_.on_epoch = [this](const EpochRecord& record) {
      records_.push_back(record);
      if (worsen_) state_.best_nats = -1e9;  // no later epoch is better
      return absl::OkStatus();
    };
    torch::manual_seed(seed);
    state_ = Training::Begin(config_, data_.train).value();
  }

  Bench& Saving(const std::string& checkpoint) {
    surroundings_.checkpoint = checkpoint;
    return *this;
  }
  Bench& StoppingAfter(int steps) {
    stop_after_ = steps;
    return *this;
  }
  Bench& TakingSecondsAStep(double seconds) {
    seconds_a_step_ = seconds;
    return *this;
  }
  Bench& TakingSecondsALook(double seconds) {  // at the clock
    seconds_a_look_ = seconds;
    return *this;
  }
  Bench& NeverBetterThanTheFirst() {
    worsen_ = true;
    return *this;
  }
  Bench& Resuming(const std::string& checkpoint) {
    const absl::Status loaded = LoadCheckpoint(checkpoint, DescribeTraining(config_, data_.train), &state_);
    EXPECT_TRUE(loaded.ok()) << loaded;
    return *this;
  }

  absl::StatusOr<Ending> TryRun() {
    Training training(config_, &data_, surroundings_, &state_);
    absl::StatusOr<Ending> ending = training.Run();
    if (ending.ok() && *ending != Ending::kInterrupted) training.RestoreBest();
    return ending;
  }
  Ending Run() {
    const absl::StatusOr<Ending> ending = TryRun();
    EXPECT_TRUE(ending.ok()) << ending.status();
    return ending.value();
  }

  const TrainingState& state() const { return state_; }
  FlowModel* model() { return state_.model.get(); }
  const std::vector<EpochRecord>& records() const { return records_; }
  int steps() const { return steps_; }

 private:
  const Config config_;
  const DataSplit data_;
  Surroundings surroundings_;
  TrainingState state_;
  std::vector<EpochRecord> records_;
  double now_ = 100, seconds_a_step_ = 0;
  double seconds_a_look_ = 0;
  int steps_ = 0, stop_after_ = -1;
  bool worsen_ = false;
};

DataSplit SmallSplit() {
  torch::manual_seed(77);
  return TwoDimensionalGaussian(200, 50).split;  // 7 steps an epoch
}

bool SameParameters(const TrainingState& a, const TrainingState& b) {
  const std::vector<torch::Tensor> of_a = StateTensors(*a.model), of_b = StateTensors(*b.model);
  if (of_a.size() != of_b.size()) return false;
  for (size_t i = 0; i < of_a.size(); ++i) {
    if (!torch::equal(of_a[i], of_b[i])) return false;
  }
  return true;
}

TEST(Training, LearnsAGaussianToItsEntropy) {
  torch::manual_seed(5);
  const Gaussian gaussian = TwoDimensionalGaussian(4000, 4000);
  Config config = SmallConfig();
  config.train.epochs = 25;
  config.train.batch = 128;
  Bench bench(config, gaussian.split);
  EXPECT_EQ(bench.Run(), Ending::kAllEpochs);
  const torch::Tensor log_p = LogProbs(bench.model(), gaussian.split.test, PixelNoise::kNone);
  const torch::Tensor gap = gaussian.true_log_p - log_p;
  const double n = static_cast<double>(gap.numel());
  // The mean of `gap` estimates KL(truth, flow) >= 0. A model with k free parameters that fits 4000 rows best
  // is off by k / (2 * 4000) nats: at most 0.03 for the whole flow's.
  const double standard_error = gap.std().item<double>() / std::sqrt(n);
  const double overfit = static_cast<double>(bench.model()->ParameterCount()) / (2.0 * 4000);
  EXPECT_LE(gap.mean().item<double>(), overfit + 3 * standard_error);
  EXPECT_GE(gap.mean().item<double>(), -3 * standard_error);
  EXPECT_NEAR(-gaussian.true_log_p.mean().item<double>(), gaussian.entropy, 4 / std::sqrt(n));
  EXPECT_LT(bench.records().back().validation_nats, bench.records().front().validation_nats);
}

TEST(Training, SameSeedGivesTheSameBitsAndAnotherDoesNot) {
  Bench a(SmallConfig(), SmallSplit(), 1);
  a.Run();
  Bench b(SmallConfig(), SmallSplit(), 1);
  b.Run();
  Bench c(SmallConfig(), SmallSplit(), 2);
  c.Run();
  EXPECT_TRUE(SameParameters(a.state(), b.state()));
  EXPECT_FALSE(SameParameters(a.state(), c.state()));
}

TEST(Training, TellsOfEachEpoch) {
  Bench bench(SmallConfig(), SmallSplit());
  bench.TakingSecondsAStep(0.5).Run();
  ASSERT_EQ(bench.records().size(), 4u);
  for (size_t i = 0; i < 4; ++i) {
    const EpochRecord& record = bench.records()[i];
    EXPECT_EQ(record.epoch, static_cast<int64_t>(i + 1));
    EXPECT_EQ(record.step, static_cast<int64_t>(7 * (i + 1)));
    EXPECT_NEAR(record.validation_bits_per_dim, record.validation_nats / std::log(2.0) / 2, 1e-12);
    EXPECT_NEAR(record.rows_per_second, 200 / 3.5, 1e-9);
    EXPECT_NEAR(record.seconds, 3.5 * (static_cast<double>(i) + 1), 1e-9);
    EXPECT_GT(record.gradient_norm, 0);
    EXPECT_GE(record.conditioning.max_condition_number, 1);
  }
  EXPECT_TRUE(bench.records()[0].best);
}

TEST(Training, BestParametersAreRestored) {
  Bench bench(SmallConfig(), SmallSplit());
  bench.NeverBetterThanTheFirst().Run();
  EXPECT_EQ(bench.state().best_epoch, 1);
  const std::vector<torch::Tensor> now = StateTensors(*bench.state().model);
  ASSERT_EQ(now.size(), bench.state().best.size());
  for (size_t i = 0; i < now.size(); ++i) EXPECT_TRUE(torch::equal(now[i], bench.state().best[i]));
}

TEST(LearningRateShare, RisesOnALine) {
  EXPECT_EQ(LearningRateShare(0, 0.2, 0), 0);
  EXPECT_NEAR(LearningRateShare(0.05, 0.2, 0.25), 0.25, kEps);
  EXPECT_EQ(LearningRateShare(0.2, 0.2, 1), 1);
}

TEST(LearningRateShare, FallsOnAHalfCosineOverTheRest) {
  for (const double warmup : {0.0, 0.2}) {
    const auto at = [&](double rest) { return LearningRateShare(warmup + rest * (1 - warmup), warmup, 1); };
    EXPECT_EQ(at(0), 1);
    EXPECT_NEAR(at(0.25), 0.5 * (1 + std::sqrt(0.5)), 8 * kEps);
    EXPECT_NEAR(at(0.5), 0.5, 8 * kEps);
    EXPECT_NEAR(at(1), 0, 8 * kEps);
    EXPECT_NEAR(at(7), 0, 8 * kEps);  // beyond the end
    for (double rest = 0; rest < 1; rest += 0.01) EXPECT_GT(at(rest), at(rest + 0.01));
  }
}

TEST(LearningRateShare, OfATrainingThatOnlyRisesDoesNotFall) {
  EXPECT_EQ(LearningRateShare(1, 1, 1), 1);
  EXPECT_EQ(LearningRateShare(0.5, 2, 0.25), 0.25);
}

std::vector<double> RatesOfEpochs(double warmup_epochs) {
  Config config = SmallConfig();
  config.train.warmup_epochs = warmup_epochs;
  Bench bench(config, SmallSplit());
  bench.Run();
  std::vector<double> rates;
  for (const EpochRecord& record : bench.records()) rates.push_back(record.learning_rate / 3e-3);
  return rates;
}

TEST(Training, RateRisesOverTheWarmupEpochsAndFallsToNearZero) {
  // The last of 7 steps of each of 4 epochs: 6, 13, 20 and 27 of 28 steps are done.
  const auto cosine = [](double done, double of = 28) { return 0.5 * (1 + std::cos(kPi * done / of)); };
  const auto expect = [](const std::vector<double>& rates, const std::vector<double>& expected) {
    ASSERT_EQ(rates.size(), expected.size());
    for (size_t i = 0; i < rates.size(); ++i)
      EXPECT_NEAR(rates[i], expected[i], 8 * kEps) << "epoch " << i + 1;
  };
  expect(RatesOfEpochs(0), {cosine(6), cosine(13), cosine(20), cosine(27)});
  expect(RatesOfEpochs(2), {0.5, 1, cosine(6, 14), cosine(13, 14)});
  expect(RatesOfEpochs(8), {1.0 / 8, 1.0 / 4, 3.0 / 8, 1.0 / 2});
}

TEST(Training, StopsWhenPatienceIsOver) {
  Config config = SmallConfig();
  config.train.epochs = 50;
  config.train.patience = 3;
  Bench bench(config, SmallSplit());
  EXPECT_EQ(bench.NeverBetterThanTheFirst().Run(), Ending::kNoBetterValidation);
  EXPECT_EQ(bench.records().size(), 4u);  // the best, and 3 that are not better
}

TEST(Training, StopsAmidAnEpochWhenTimeIsUp) {
  Config config = SmallConfig();
  config.train.epochs = 50;
  config.train.max_minutes = 1;
  Bench bench(config, SmallSplit());
  EXPECT_EQ(bench.TakingSecondsAStep(4).Run(), Ending::kTimeIsUp);
  EXPECT_EQ(bench.steps(), 15);
  ASSERT_EQ(bench.records().size(), 3u);
  const EpochRecord& last = bench.records().back();
  EXPECT_EQ(last.step, 15);  // the third epoch has one step
  EXPECT_NEAR(last.learning_rate, 3e-3 * LearningRateShare(14.0 / 15, 1.0 / 50, 1),
              1e-15);  // it fell in time
  EXPECT_NEAR(last.train_nats, bench.records()[1].train_nats, 1) << "not a mean over the rows seen";
}

TEST(Training, TimeThatIsUpAtOnceLeavesOneStep) {
  Config config = SmallConfig();
  config.train.max_minutes = 1;
  Bench bench(config, SmallSplit());
  EXPECT_EQ(bench.TakingSecondsALook(100).Run(), Ending::kTimeIsUp);
  EXPECT_EQ(bench.steps(), 1);
  ASSERT_EQ(bench.records().size(), 1u);
  EXPECT_TRUE(std::isfinite(bench.records()[0].train_nats));
}

class Interrupted : public testing::Test {
 protected:
  std::string Checkpoint() const { return folder_.File("training.checkpoint"); }
  TemporaryFolder folder_;
};

TEST_F(Interrupted, StopFinishesTheStepAndSaves) {
  Bench bench(SmallConfig(), SmallSplit());
  EXPECT_EQ(bench.Saving(Checkpoint()).StoppingAfter(10).Run(), Ending::kInterrupted);
  EXPECT_EQ(bench.steps(), 10);
  EXPECT_EQ(bench.state().step, 10);
  EXPECT_EQ(bench.state().epoch, 2);
  EXPECT_EQ(bench.state().position, 3 * 32);
  EXPECT_EQ(folder_.Names(), std::set<std::string>{"training.checkpoint"});
}

// With everything that draws random numbers or carries a state.
Config BusyConfig() {
  Config config = SmallConfig();
  config.flow.dropout = 0.2;
  config.train.noise = 0.05;
  config.train.weight_decay = 0.01;
  config.train.normalize_s_every = 5;
  return config;
}

void ExpectSameTraining(const Bench& resumed, const Bench& whole) {
  EXPECT_TRUE(SameParameters(resumed.state(), whole.state()));
  EXPECT_EQ(resumed.state().step, whole.state().step);
  EXPECT_EQ(resumed.state().best_epoch, whole.state().best_epoch);
  EXPECT_EQ(resumed.state().best_nats, whole.state().best_nats);
  EXPECT_EQ(resumed.records().back().train_nats, whole.records().back().train_nats);
  EXPECT_EQ(resumed.records().back().gradient_norm, whole.records().back().gradient_norm);
  EXPECT_EQ(resumed.records().back().seconds, whole.records().back().seconds);
}

TEST_F(Interrupted, ResumedTrainingIsTheWholeOneBitForBit) {
  Bench whole(BusyConfig(), SmallSplit());
  whole.TakingSecondsAStep(1).Run();
  for (const int steps : {1, 3, 7, 10, 27}) {  // 7 is an epoch's last
    Bench stopped(BusyConfig(), SmallSplit());
    ASSERT_EQ(stopped.Saving(Checkpoint()).TakingSecondsAStep(1).StoppingAfter(steps).Run(),
              Ending::kInterrupted);
    Bench resumed(BusyConfig(), SmallSplit(), /*seed=*/999);  // the start that is thrown away
    EXPECT_EQ(resumed.Resuming(Checkpoint()).TakingSecondsAStep(1).Run(), Ending::kAllEpochs);
    SCOPED_TRACE(testing::Message() << "stopped after step " << steps);
    ExpectSameTraining(resumed, whole);
  }
}

TEST_F(Interrupted, SplinesAndLabelsResumeToo) {
  Config config = BusyConfig();
  config.flow.coupling = CouplingKind::kSpline;
  config.flow.linear.kind = LinearKind::kLearnedPermutation;
  DataSplit split = SmallSplit();
  for (DataSet* part : {&split.train, &split.validation}) *part = WithContext(WithLabels(*part, 2), 1);
  Bench whole(config, split);
  whole.Run();
  Bench stopped(config, split);
  stopped.Saving(Checkpoint()).StoppingAfter(10).Run();
  Bench resumed(config, split, /*seed=*/999);
  resumed.Resuming(Checkpoint()).Run();
  ExpectSameTraining(resumed, whole);
}

TEST_F(Interrupted, RateThatIsFarTooLargeNamesALayerAndLeavesTheLastGoodCheckpoint) {
  Config config = SmallConfig();
  config.train.epochs = 50;
  config.train.clip = 0;
  config.train.warmup_epochs = 25;  // grows until it breaks
  config.train.learning_rate = 50;
  Bench bench(config, SmallSplit());
  const absl::StatusOr<Ending> ending = bench.Saving(Checkpoint()).TryRun();
  ASSERT_EQ(ending.status().code(), absl::StatusCode::kFailedPrecondition) << ending.status();
  const std::string text(ending.status().message());
  EXPECT_THAT(text, AllOf(HasSubstr("training blew up in epoch"), HasSubstr("--learning_rate")));
  EXPECT_THAT(text, testing::ContainsRegex("layer [0-9][0-9]\\.(actnorm|linear|coupling)"));
  ASSERT_FALSE(bench.records().empty()) << "it broke before there was a checkpoint to leave";
  Bench left(config, SmallSplit());
  left.Resuming(Checkpoint());
  EXPECT_EQ(left.state().epoch, bench.records().back().epoch);
  EXPECT_TRUE(std::isfinite(left.state().best_nats));
  EXPECT_TRUE(left.model()->CheckConditioning(1e6).ok());
}

TEST(Training, ConditionNumberAboveTheLimitEndsIt) {
  Config config = SmallConfig();
  config.train.max_condition_number = 1 + 1e-9;
  Bench bench(config, SmallSplit());
  const absl::StatusOr<Ending> ending = bench.TryRun();
  EXPECT_EQ(ending.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(ending.status().message()), HasSubstr(".linear has condition number"));
}

TEST(Training, ValidationRowThatIsNotFiniteIsNamedWithItsLayer) {
  DataSplit split = SmallSplit();
  split.validation.x[17].fill_(1e300);
  Bench bench(SmallConfig(), split);
  const absl::StatusOr<Ending> ending = bench.TryRun();
  EXPECT_EQ(ending.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(ending.status().message()),
              HasSubstr("log p of validation row 18 is not finite, nor is the answer of layer 00.actnorm"));
}

TEST(Training, NormalizationInTheLoopChangesNothingBeyondRounding) {
  Config config = SmallConfig();
  config.train.epochs = 1;
  config.train.batch = 200;  // one step: the next one's Adam would see other parameters
  Bench plain(config, SmallSplit());
  plain.Run();
  config.train.normalize_s_every = 1;
  Bench normalized(config, SmallSplit());
  normalized.Run();
  EXPECT_FALSE(SameParameters(plain.state(), normalized.state()));
  EXPECT_NEAR(normalized.records()[0].validation_nats, plain.records()[0].validation_nats,
              1e-6 * std::abs(plain.records()[0].validation_nats));
}

TEST(LogProbs, AreThoseOfOneBatch) {
  torch::manual_seed(3);
  const DataSet data = Table(1100, 3);  // more than two batches
  const std::shared_ptr<FlowModel> model = ShakenModel(SmallTabular(), data);
  const torch::NoGradGuard no_grad;
  const torch::Tensor log_p = LogProbs(model.get(), data, PixelNoise::kUniform);
  EXPECT_EQ(log_p.sizes(), torch::IntArrayRef({1100}));
  EXPECT_EQ(log_p.scalar_type(), torch::kFloat64);
  EXPECT_LE(RelativeError(log_p, LogProbOfAll(model.get(), data)), 1e-5);
}

TEST(LogProbs, DrawTheSameNoiseAndLeaveTheGeneratorAndTheModeAlone) {
  torch::manual_seed(3);
  const DataSet data = Images(9, 1, 4, 4);
  const std::shared_ptr<FlowModel> model = ShakenModel(SmallImage(), data);
  model->train();
  torch::manual_seed(8);
  const torch::Tensor expected_draw = torch::rand({3});
  torch::manual_seed(8);
  const torch::Tensor a = LogProbs(model.get(), data, PixelNoise::kUniform);
  EXPECT_TRUE(torch::equal(torch::rand({3}), expected_draw));
  EXPECT_TRUE(model->is_training());
  EXPECT_TRUE(torch::equal(a, LogProbs(model.get(), data, PixelNoise::kUniform)));
  EXPECT_FALSE(torch::equal(a, LogProbs(model.get(), data, PixelNoise::kNone)));
}

TEST(Dequantize, SpreadsAPixelOverItsCellAndLeavesTablesAlone) {
  torch::manual_seed(4);
  const DataSet images = Images(50, 1, 8, 8), table = Table(5, 3);
  const torch::Tensor noise = Dequantize(images, images.x) - images.x;
  EXPECT_GE(noise.min().item<double>(), -0.5);
  EXPECT_LE(noise.max().item<double>(), 0.5);
  // Of 3200 uniform numbers: 5 standard deviations of their mean and of their variance.
  EXPECT_NEAR(noise.mean().item<double>(), 0, 5 * std::sqrt(1 / 12.0 / 3200));
  EXPECT_NEAR(noise.var().item<double>(), 1 / 12.0, 5 * std::sqrt((1 / 80.0 - 1 / 144.0) / 3200));
  EXPECT_TRUE(torch::equal(Dequantize(table, table.x), table.x));
}

}  // namespace
}  // namespace train
}  // namespace glowworm
