// Tests of model/train/config.h and model/train/flags.h: presets, flags and config files become a Config, and
// what is wrong is refused in one sentence.

#include "model/train/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "model/train/flags.h"
#include "tests/model/train/temporary_folder.h"

namespace glowworm {
namespace train {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

using Arguments = std::vector<std::string>;

Arguments WithData(Arguments more) {
  more.insert(more.begin(), {"--data=rows.npy", "--out=models/mine/1"});
  return more;
}

Config Read(const Arguments& more) {
  const absl::StatusOr<Config> config = ReadConfig(WithData(more));
  EXPECT_TRUE(config.ok()) << config.status();
  return config.ok() ? *config : Config();
}

std::string RefusalOf(const Arguments& arguments) {
  const absl::StatusOr<Config> config = ReadConfig(arguments);
  EXPECT_EQ(config.status().code(), absl::StatusCode::kInvalidArgument);
  return std::string(config.status().message());
}

std::string Refusal(const std::string& flag) { return RefusalOf(WithData({flag})); }

TEST(Preset, TabularGlowIsTheDefault) {
  EXPECT_EQ(Describe(Read({})), Describe(Read({"--preset=tabular-glow"})));
  const Config config = Read({});
  EXPECT_EQ(config.preset, "tabular-glow");
  EXPECT_EQ(config.flow.preprocessing, Preprocessing::kStandardize);
  EXPECT_EQ(config.flow.coupling, CouplingKind::kAffine);
  EXPECT_EQ(config.flow.linear.kind, LinearKind::kPlu);
  EXPECT_EQ(config.flow.linear.init, LinearInit::kRotation);
  EXPECT_EQ(config.flow.levels, 1);
}

TEST(Preset, TabularNsfHasSplines) {
  const Config config = Read({"--preset=tabular-nsf"});
  EXPECT_EQ(config.flow.coupling, CouplingKind::kSpline);
  EXPECT_EQ(config.flow.preprocessing, Preprocessing::kStandardize);
}

TEST(Preset, ImagesHaveLevelsAndTheSmallOneIsSmaller) {
  const Config large = Read({"--preset=image-glow"}), small = Read({"--preset=image-glow-small"});
  for (const Config* config : {&large, &small}) {
    EXPECT_EQ(config->flow.preprocessing, Preprocessing::kLogit);
    EXPECT_EQ(config->flow.coupling, CouplingKind::kAffine);
    EXPECT_EQ(config->flow.scale_map, ScaleMap::kAtanExp);
    EXPECT_EQ(config->flow.levels, 3);
  }
  EXPECT_LT(small.flow.hidden, large.flow.hidden);
  EXPECT_LT(small.flow.steps, large.flow.steps);
}

TEST(Preset, UnknownOneListsThem) {
  EXPECT_EQ(Refusal("--preset=glow"),
            "--preset: expected tabular-glow, tabular-nsf, image-glow or image-glow-small, got \"glow\"");
}

TEST(Flags, DefaultsAreThoseOfTheStructs) {
  const Config config = Read({});
  EXPECT_EQ(config.source.data, "rows.npy");
  EXPECT_EQ(config.out, "models/mine/1");
  EXPECT_FALSE(config.resume);
  EXPECT_EQ(config.train.epochs, TrainConfig().epochs);
  EXPECT_EQ(config.train.threads, 0);
}

struct FieldCase {
  std::string flag;
  std::function<bool(const Config&)> reached;
};

TEST(Flags, EachReachesItsField) {
  const std::vector<FieldCase> cases = {
      {"--validation=v.npy", [](const Config& c) { return c.validation == "v.npy"; }},
      {"--test=t.npy", [](const Config& c) { return c.test == "t.npy"; }},
      {"--name=mine", [](const Config& c) { return c.name == "mine"; }},
      {"--description=a = b", [](const Config& c) { return c.description == "a = b"; }},
      {"--header=auto", [](const Config& c) { return c.source.header == TableHeader::kDetect; }},
      {"--header=yes", [](const Config& c) { return c.source.header == TableHeader::kYes; }},
      {"--header=no", [](const Config& c) { return c.source.header == TableHeader::kNo; }},
      {"--columns=1-3", [](const Config& c) { return c.source.columns == "1-3"; }},
      {"--context_columns=4", [](const Config& c) { return c.source.context_columns == "4"; }},
      {"--label_column=kind", [](const Config& c) { return c.source.label_column == "kind"; }},
      {"--context=c.npy", [](const Config& c) { return c.source.context == "c.npy"; }},
      {"--labels=l.npy", [](const Config& c) { return c.source.labels == "l.npy"; }},
      {"--pad=2", [](const Config& c) { return c.source.pad == 2; }},
      {"--preprocessing=standardize",
       [](const Config& c) { return c.flow.preprocessing == Preprocessing::kStandardize; }},
      {"--preprocessing=logit",
       [](const Config& c) { return c.flow.preprocessing == Preprocessing::kLogit; }},
      {"--preprocessing=scale",
       [](const Config& c) { return c.flow.preprocessing == Preprocessing::kScale; }},
      {"--logit_alpha=0.01", [](const Config& c) { return c.flow.logit_alpha == 0.01; }},
      {"--levels=2", [](const Config& c) { return c.flow.levels == 2; }},
      {"--steps=7", [](const Config& c) { return c.flow.steps == 7; }},
      {"--linear=plu", [](const Config& c) { return c.flow.linear.kind == LinearKind::kPlu; }},
      {"--linear=qr", [](const Config& c) { return c.flow.linear.kind == LinearKind::kQr; }},
      {"--linear=full", [](const Config& c) { return c.flow.linear.kind == LinearKind::kFull; }},
      {"--linear=learned-permutation",
       [](const Config& c) { return c.flow.linear.kind == LinearKind::kLearnedPermutation; }},
      {"--scale=exp", [](const Config& c) { return c.flow.linear.diagonal_map == DiagonalMap::kExp; }},
      {"--scale=softplus",
       [](const Config& c) { return c.flow.linear.diagonal_map == DiagonalMap::kSoftplus; }},
      {"--init=rotation", [](const Config& c) { return c.flow.linear.init == LinearInit::kRotation; }},
      {"--init=identity", [](const Config& c) { return c.flow.linear.init == LinearInit::kIdentity; }},
      {"--coupling=affine", [](const Config& c) { return c.flow.coupling == CouplingKind::kAffine; }},
      {"--coupling=spline", [](const Config& c) { return c.flow.coupling == CouplingKind::kSpline; }},
      {"--scale_map=sigmoid", [](const Config& c) { return c.flow.scale_map == ScaleMap::kSigmoid; }},
      {"--scale_map=atan", [](const Config& c) { return c.flow.scale_map == ScaleMap::kAtanExp; }},
      {"--hidden=33", [](const Config& c) { return c.flow.hidden == 33; }},
      {"--blocks=0", [](const Config& c) { return c.flow.blocks == 0; }},
      {"--dropout=0.25", [](const Config& c) { return c.flow.dropout == 0.25; }},
      {"--bins=12", [](const Config& c) { return c.flow.bins == 12; }},
      {"--tail_bound=6", [](const Config& c) { return c.flow.tail_bound == 6; }},
      {"--epochs=3", [](const Config& c) { return c.train.epochs == 3; }},
      {"--batch=17", [](const Config& c) { return c.train.batch == 17; }},
      {"--learning_rate=0.02", [](const Config& c) { return c.train.learning_rate == 0.02; }},
      {"--warmup_epochs=0.5", [](const Config& c) { return c.train.warmup_epochs == 0.5; }},
      {"--weight_decay=0.125", [](const Config& c) { return c.train.weight_decay == 0.125; }},
      {"--clip=0", [](const Config& c) { return c.train.clip == 0; }},
      {"--noise=0.03", [](const Config& c) { return c.train.noise == 0.03; }},
      {"--patience=4", [](const Config& c) { return c.train.patience == 4; }},
      {"--max_minutes=1.5", [](const Config& c) { return c.train.max_minutes == 1.5; }},
      {"--normalize_s_every=100", [](const Config& c) { return c.train.normalize_s_every == 100; }},
      {"--max_condition_number=1e3", [](const Config& c) { return c.train.max_condition_number == 1e3; }},
      {"--validation_fraction=0.3", [](const Config& c) { return c.train.validation_fraction == 0.3; }},
      {"--test_fraction=0.35", [](const Config& c) { return c.train.test_fraction == 0.35; }},
      {"--seed=18446744073709551615", [](const Config& c) { return c.train.seed == 18446744073709551615u; }},
      {"--threads=2", [](const Config& c) { return c.train.threads == 2; }},
      {"--resume", [](const Config& c) { return c.resume; }},
      {"--resume=false", [](const Config& c) { return !c.resume; }}};
  const std::string help = HelpText();
  for (const FieldCase& c : cases) {
    EXPECT_TRUE(c.reached(Read({c.flag}))) << c.flag;
    EXPECT_THAT(help, HasSubstr("  " + c.flag.substr(0, c.flag.find('=')))) << "not in the help";
  }
}

TEST(Flags, ChangeThePresetWhereverTheyStand) {
  const Config config = Read({"--steps=2", "--preset=image-glow", "--hidden=32"});
  EXPECT_EQ(config.flow.levels, 3);
  EXPECT_EQ(config.flow.steps, 2);
  EXPECT_EQ(config.flow.hidden, 32);
}

TEST(Flags, UnknownOneNamesTheNearest) {
  EXPECT_EQ(Refusal("--learningrate=1"), "unknown flag --learningrate; did you mean --learning_rate?");
  EXPECT_EQ(Refusal("--step=1"), "unknown flag --step; did you mean --steps?");
}

TEST(Flags, WrongChoiceListsTheChoices) {
  EXPECT_EQ(Refusal("--linear=lu"), "--linear: expected plu|qr|full|learned-permutation, got \"lu\"");
  EXPECT_EQ(Refusal("--scale_map=exp"), "--scale_map: expected sigmoid|atan, got \"exp\"");
  EXPECT_EQ(Refusal("--scale=EXP"), "--scale: expected exp|softplus, got \"EXP\"");
}

TEST(Flags, NumbersOutsideOfTheirRangeAreRefused) {
  EXPECT_EQ(Refusal("--epochs=0"), "--epochs: expected 1 to 1000000, got 0");
  EXPECT_EQ(Refusal("--epochs=1000001"), "--epochs: expected 1 to 1000000, got 1000001");
  EXPECT_EQ(Refusal("--batch=1"), "--batch: expected 2 to 1048576, got 1");
  EXPECT_EQ(Refusal("--steps=0"), "--steps: expected 1 to 256, got 0");
  EXPECT_EQ(Refusal("--levels=9"), "--levels: expected 1 to 8, got 9");
  EXPECT_EQ(Refusal("--hidden=0"), "--hidden: expected 1 to 8192, got 0");
  EXPECT_EQ(Refusal("--bins=1"), "--bins: expected 2 to 256, got 1");
  EXPECT_EQ(Refusal("--dropout=1"), "--dropout: expected 0 to 0.9, got 1");
  EXPECT_EQ(Refusal("--tail_bound=0"), "--tail_bound: expected 0.1 to 1000, got 0");
  // With 0, float32 would round the brightest pixels to infinity.
  EXPECT_EQ(Refusal("--logit_alpha=0"), "--logit_alpha: expected 1e-06 to 0.49, got 0");
  EXPECT_EQ(Refusal("--logit_alpha=0.5"), "--logit_alpha: expected 1e-06 to 0.49, got 0.5");
  EXPECT_EQ(Refusal("--learning_rate=0"), "--learning_rate: expected 1e-09 to 1, got 0");
  EXPECT_EQ(Refusal("--warmup_epochs=-1"), "--warmup_epochs: expected 0 to 1000000, got -1");
  EXPECT_EQ(Refusal("--clip=-1"), "--clip: expected 0 to 1e+12, got -1");
  EXPECT_EQ(Refusal("--pad=65"), "--pad: expected 0 to 64, got 65");
  EXPECT_EQ(Refusal("--test_fraction=0"), "--test_fraction: expected 1e-06 to 0.9, got 0");
  EXPECT_EQ(Refusal("--max_condition_number=1e7"),
            "--max_condition_number: expected 1 to 1000000, got 10000000");
  EXPECT_EQ(RefusalOf(WithData({"--validation_fraction=0.5", "--test_fraction=0.5"})),
            "--validation_fraction: expected it and --test_fraction together at most 0.95, got 1");
}

TEST(Flags, NumbersThatNoFieldHoldsAreOutsideOfItsRange) {
  EXPECT_THAT(Refusal("--threads=4294967297"), HasSubstr("--threads: expected 0 to 1024, got"));
  EXPECT_THAT(Refusal("--epochs=18446744073709551615"),
              AllOf(HasSubstr("--epochs: expected 1 to 1000000"), Not(HasSubstr("got -1"))));
}

TEST(Flags, WordsWhereNumbersBelongAreRefused) {
  EXPECT_EQ(Refusal("--epochs=many"), "--epochs: expected an integer from 0 to 2^64-1, got \"many\"");
  EXPECT_EQ(Refusal("--learning_rate=nan"), "--learning_rate: expected a finite number, got \"nan\"");
}

TEST(Flags, DataAndOutAreNeeded) {
  EXPECT_EQ(RefusalOf({"--out=models/mine/1"}), "--data: expected a file to train on");
  EXPECT_EQ(RefusalOf({"--data=rows.npy"}),
            "--out: expected the folder of a version, for example models/mine/1");
}

TEST(Flags, RepeatedOneIsRefused) {
  EXPECT_EQ(RefusalOf(WithData({"--steps=2", "--steps=3"})), "--steps is given twice");
}

class ConfigFile : public testing::Test {
 protected:
  Config Read(const std::string& text, Arguments more = {}) {
    folder_.Write("train.conf", text);
    more.push_back("--config=" + folder_.File("train.conf"));
    return train::Read(more);
  }
  std::string Refusal(const std::string& text) {
    folder_.Write("train.conf", text);
    return train::Refusal("--config=" + folder_.File("train.conf"));
  }
  TemporaryFolder folder_;
};

TEST_F(ConfigFile, LinesAreFlags) {
  const Config config = Read(
      "# of the mammography rows\n"
      "preset = tabular-nsf\n"
      "\n"
      "  epochs=7   # few\r\n"
      "description = a = b\n"
      "resume = true");
  EXPECT_EQ(config.preset, "tabular-nsf");
  EXPECT_EQ(config.train.epochs, 7);
  EXPECT_EQ(config.description, "a = b");
  EXPECT_TRUE(config.resume);
}

TEST_F(ConfigFile, CommandLineGoesAboveIt) {
  const Config config = Read("preset = tabular-nsf\nepochs = 7\nsteps = 4\nresume = true\n",
                             {"--epochs=9", "--preset=tabular-glow", "--resume=false"});
  EXPECT_EQ(config.preset, "tabular-glow");
  EXPECT_EQ(config.train.epochs, 9);
  EXPECT_EQ(config.flow.steps, 4);
  EXPECT_FALSE(config.resume);
}

TEST_F(ConfigFile, MistakesAreRefusedAsOnTheCommandLine) {
  EXPECT_EQ(Refusal("epoch = 7\n"), "unknown flag --epoch; did you mean --epochs?");
  EXPECT_EQ(Refusal("epochs = 0\n"), "--epochs: expected 1 to 1000000, got 0");
  EXPECT_EQ(Refusal("resume = yes\n"), "--resume: expected true or false, got \"yes\"");
  EXPECT_EQ(Refusal("epochs = 1\nepochs = 2\n"), "--epochs is given twice");
}

TEST_F(ConfigFile, LineWithoutAnEqualsSignIsRefusedByItsNumber) {
  EXPECT_EQ(Refusal("epochs = 1\n\nresume\n"), "--config: line 3: expected name = value, got \"resume\"");
}

TEST_F(ConfigFile, NamesNoOtherConfigFile) {
  EXPECT_EQ(Refusal("config = other.conf\n"), "--config: a config file names no other config file");
}

TEST_F(ConfigFile, MissingOneIsRefusedWithoutItsPath) {
  EXPECT_EQ(train::Refusal("--config=/no/such/file"), "--config: the file cannot be read");
  EXPECT_EQ(train::Refusal("--config=" + folder_.path()), "--config: the file cannot be read");
}

TEST(Describe, HoldsNoPath) {
  const Config config = Read({"--validation=/a/v.npy", "--test=/a/t.npy", "--context=/a/c.npy",
                              "--labels=/a/l.npy", "--name=n", "--columns=1-3"});
  EXPECT_THAT(Describe(config), AllOf(Not(HasSubstr("/")), Not(HasSubstr("npy"))));
}

TEST(Describe, TellsApartWhatDecidesTheResult) {
  const std::string usual = Describe(Read({}));
  for (const char* flag : {"--preset=tabular-nsf",
                           "--columns=1-3",
                           "--context_columns=2",
                           "--label_column=4",
                           "--header=no",
                           "--pad=1",
                           "--preprocessing=logit",
                           "--levels=2",
                           "--steps=7",
                           "--linear=qr",
                           "--scale=softplus",
                           "--scale_map=atan",
                           "--init=identity",
                           "--coupling=spline",
                           "--hidden=65",
                           "--blocks=1",
                           "--dropout=0.1",
                           "--epochs=3",
                           "--batch=17",
                           "--learning_rate=0.00100000001",
                           "--warmup_epochs=2",
                           "--weight_decay=1e-4",
                           "--clip=6",
                           "--noise=0.1",
                           "--patience=3",
                           "--max_minutes=3",
                           "--normalize_s_every=5",
                           "--max_condition_number=1e5",
                           "--validation_fraction=0.2",
                           "--test_fraction=0.2",
                           "--seed=1"}) {
    EXPECT_NE(Describe(Read({flag})), usual) << flag;
  }
  for (const char* flag : {"--bins=9", "--tail_bound=5"}) {
    EXPECT_NE(Describe(Read({"--coupling=spline", flag})), Describe(Read({"--coupling=spline"}))) << flag;
  }
  EXPECT_NE(Describe(Read({"--preprocessing=logit", "--logit_alpha=0.1"})),
            Describe(Read({"--preprocessing=logit"})));
}

TEST(Describe, LeavesOutWhatDoesNot) {
  const std::string usual = Describe(Read({}));
  for (const char* flag : {"--name=n", "--description=d", "--resume", "--threads=1"}) {
    EXPECT_EQ(Describe(Read({flag})), usual) << flag;
  }
}

}  // namespace
}  // namespace train
}  // namespace glowworm
