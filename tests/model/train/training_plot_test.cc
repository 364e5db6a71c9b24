// The picture of a training's curves: XML that stands alone, and what it shows. svg_text.py reads it.

#include "model/train/training_plot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <limits>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "model/train/svg_axes.h"
#include "model/train/ticks.h"
#include "tests/model/train/temporary_folder.h"

namespace glowworm {
namespace train {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// A training whose validation is best in the middle.
std::vector<EpochRecord> Training(int64_t epochs) {
  std::vector<EpochRecord> records;
  for (int64_t epoch = 1; epoch <= epochs; ++epoch) {
    const double share = static_cast<double>(epoch) / static_cast<double>(epochs);
    EpochRecord record;
    record.epoch = epoch;
    record.train_nats = 4 - 2 * share;
    record.validation_nats = 3 + 4 * (share - 0.5) * (share - 0.5);
    record.validation_bits_per_dim = record.validation_nats / 7;
    record.best = share <= 0.5;
    record.learning_rate = 1e-3 * (1.001 - share);
    record.gradient_norm = 3 + share;
    record.conditioning.max_condition_number = std::pow(10, 3 * share);
    record.seconds = 6.0 * static_cast<double>(epoch);
    records.push_back(record);
  }
  return records;
}

// The texts of a picture as an XML reader understands it; a failure where svg_text.py finds one.
std::vector<std::string> Texts(const std::string& svg) {
  const TemporaryFolder folder;
  folder.Write("svg", svg);
  const char* source = std::getenv("GLOWWORM_SOURCE_DIR");
  const std::string command =
      absl::StrCat("/usr/bin/python3 ", source == nullptr ? "." : source, "/tests/model/train/svg_text.py ",
                   folder.File("svg"), " > ", folder.File("texts"), " 2>&1");
  const int exit = std::system(command.c_str());
  EXPECT_EQ(exit, 0) << folder.Read("texts") << svg;
  return absl::StrSplit(folder.Read("texts"), '\n');
}

std::vector<std::string> Words(const std::vector<Tick>& ticks) {
  std::vector<std::string> words;
  for (const Tick& tick : ticks) words.push_back(tick.text);
  return words;
}

size_t CountOf(const std::string& part, const std::string& text) {
  const std::vector<std::string> parts = absl::StrSplit(text, part);
  return parts.size() - 1;
}

// The path data of the first element of that class.
std::string PathOf(const std::string& style, const std::string& svg) {
  const size_t start = svg.find("<path class=\"" + style + "\" clip");
  if (start == std::string::npos) return "";
  const size_t path = svg.find(" d=\"", start) + 4;
  return svg.substr(path, svg.find('"', path) - path);
}

TEST(TrainingPlot, TellsWhatWasTrainedAndHowItWent) {
  const std::vector<std::string> texts = Texts(TrainingCurvesSvg("thyroid", Training(20)));
  EXPECT_THAT(texts, Contains("thyroid"));
  EXPECT_THAT(texts, Contains("20 epochs, 2 min; best: epoch 10, validation 3.000 nats (0.429 bits/dim)"));
  for (const char* text :
       {"train", "validation", "best", "largest cond(W)", "learning rate", "gradient norm"}) {
    EXPECT_THAT(texts, Contains(text));
  }
  for (const char* tick : {"10", "20", "2.5", "3.0", "1000", "1e-4"}) EXPECT_THAT(texts, Contains(tick));
}

TEST(TrainingPlot, IsFitToBeShownWhateverTheNumbers) {
  for (double value : {0.0, -1e-3, 1e6, -1e6, 1e29, -1e300, kNan, kInfinity, -kInfinity}) {
    std::vector<EpochRecord> epochs = Training(9);
    epochs[3].train_nats = epochs[3].learning_rate = epochs[3].gradient_norm = value;
    epochs[4].validation_nats = epochs[4].conditioning.max_condition_number = epochs[4].seconds = value;
    const std::string svg = TrainingCurvesSvg("x", epochs);
    Texts(svg);
    EXPECT_THAT(svg, AllOf(Not(HasSubstr("nan")), Not(HasSubstr("inf ")))) << value;
  }
}

TEST(TrainingPlot, IsFitToBeShownWithFewEpochsAndWithNone) {
  for (int64_t epochs : {0, 1, 2, 3}) Texts(TrainingCurvesSvg("x", Training(epochs)));
  EXPECT_THAT(Texts(TrainingCurvesSvg("x", {})), Contains("no epoch yet"));
}

TEST(TrainingPlot, ATitleMayHoldAnyBytes) {
  const std::string title = "a<b>&\"c\"'\xc3\xb6'";
  EXPECT_THAT(Texts(TrainingCurvesSvg(title, Training(3))), Contains(title));
  EXPECT_THAT(Texts(TrainingCurvesSvg("one\x01\n\xff"
                                      "two",
                                      Training(3))),
              Contains("one  \xef\xbf\xbdtwo"));
  EXPECT_THAT(Texts(TrainingCurvesSvg("x\xef\xbf\xbf", Training(3))), Contains("x\xef\xbf\xbd"));
}

TEST(TrainingPlot, ALongTitleIsCutBetweenCharacters) {
  for (const std::string start : {"", "a"}) {
    std::string title = start;
    while (title.size() < 500) title += "\xc3\xb6";
    const std::vector<std::string> texts = Texts(TrainingCurvesSvg(title, Training(3)));
    EXPECT_THAT(texts, Contains(AllOf(StartsWith(start + "\xc3\xb6"), EndsWith("\xc3\xb6..."))));
  }
  EXPECT_THAT(Texts(TrainingCurvesSvg(std::string(500, 'a'), Training(3))), Contains(EndsWith("aa...")));
}

TEST(TrainingPlot, EpochsThatAreNotFiniteAreGaps) {
  std::vector<EpochRecord> epochs = Training(10);
  EXPECT_EQ(CountOf("M", PathOf("curve train", TrainingCurvesSvg("x", epochs))), 1u);
  EXPECT_EQ(CountOf("L", PathOf("curve train", TrainingCurvesSvg("x", epochs))), 9u);
  epochs[5].train_nats = kNan;
  EXPECT_EQ(CountOf("M", PathOf("curve train", TrainingCurvesSvg("x", epochs))), 2u);
  EXPECT_EQ(CountOf("L", PathOf("curve train", TrainingCurvesSvg("x", epochs))), 7u);
  EXPECT_EQ(CountOf("L", PathOf("curve validation", TrainingCurvesSvg("x", epochs))), 9u);
}

TEST(TrainingPlot, AnEpochBetweenTwoGapsIsADot) {
  std::vector<EpochRecord> epochs = Training(10);
  EXPECT_EQ(PathOf("dots train", TrainingCurvesSvg("x", epochs)), "");
  epochs[5].train_nats = epochs[7].train_nats = kNan;
  EXPECT_EQ(CountOf("M", PathOf("dots train", TrainingCurvesSvg("x", epochs))), 1u);
}

TEST(TrainingPlot, TheBestEpochIsMarkedOnItsCurve) {
  const std::string svg = TrainingCurvesSvg("x", Training(9));  // best: 4 of 1 .. 9, at 3/8 of 72 .. 736
  EXPECT_THAT(svg, HasSubstr("<path class=\"mark\" d=\"M321.0 "));
  EXPECT_THAT(svg, HasSubstr("<circle class=\"best\" cx=\"321.0\""));
  std::vector<EpochRecord> without = Training(9);
  for (EpochRecord& record : without) record.best = false;
  EXPECT_THAT(TrainingCurvesSvg("x", without), AllOf(Not(HasSubstr("<circle")), Not(HasSubstr("\"mark\""))));
}

TEST(TrainingPlot, AFirstEpochFarAboveDoesNotFlattenTheRest) {
  std::vector<EpochRecord> epochs = Training(30);
  epochs[0].train_nats = 123456;
  const std::vector<std::string> texts = Texts(TrainingCurvesSvg("x", epochs));
  EXPECT_THAT(texts, Contains(HasSubstr("the highest, 123456.0, is cut off")));
  EXPECT_THAT(texts, Contains("2.5"));
  EXPECT_THAT(Texts(TrainingCurvesSvg("x", Training(30))), Not(Contains(HasSubstr("cut off"))));
}

TEST(SvgAxes, PlaceNumbersBetweenTheirBounds) {
  SvgAxes axes{"a", 10, 20, 100, 50, 0, 4, 1, 3};
  EXPECT_EQ(axes.X(1), 35);
  EXPECT_EQ(axes.Y(1), 70);  // y grows downwards in a picture
  EXPECT_EQ(axes.Y(3), 20);
  axes.y_high = 100;
  axes.y_logarithmic = true;
  EXPECT_DOUBLE_EQ(axes.Y(10), 45);
  EXPECT_FALSE(axes.CanDraw(0));
}

TEST(Ticks, AreRoundAndInside) {
  EXPECT_THAT(Words(LinearTicks(0, 1, 5)), ElementsAre("0", "0.2", "0.4", "0.6", "0.8", "1.0"));
  EXPECT_THAT(Words(LinearTicks(-0.3, 0.3, 6)),
              ElementsAre("-0.3", "-0.2", "-0.1", "0", "0.1", "0.2", "0.3"));
  EXPECT_THAT(Words(LinearTicks(1, 47, 5)), ElementsAre("10", "20", "30", "40"));
  EXPECT_THAT(Words(LinearTicks(1, 3, 10, 1)), ElementsAre("1", "2", "3"));
  EXPECT_THAT(Words(LinearTicks(2345.61, 2345.78, 4)), ElementsAre("2345.65", "2345.70", "2345.75"));
}

TEST(Ticks, OfALogarithmicAxisArePowersOfTen) {
  EXPECT_THAT(Words(LogTicks(1, 1000, 4)), ElementsAre("1", "10", "100", "1000"));
  EXPECT_THAT(Words(LogTicks(0.7, 13, 4)), ElementsAre("1", "2", "5", "10"));
  EXPECT_THAT(Words(LogTicks(1e-12, 1, 4)), ElementsAre("1e-12", "1e-9", "1e-6", "0.001", "1"));
}

TEST(Ticks, AreFewWhateverTheRange) {
  for (double range = 1e-20; range < 1e20; range *= 1.7) {
    const size_t ticks = LinearTicks(-range / 3, range, 7).size();
    EXPECT_GE(ticks, 3u) << range;
    EXPECT_LE(ticks, 10u) << range;
  }
}

}  // namespace
}  // namespace train
}  // namespace glowworm
