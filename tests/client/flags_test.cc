// Flags of subcommands (client/command/flags.h).

#include "client/command/flags.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace glowworm {
namespace client {
namespace {

using testing::HasSubstr;

absl::StatusOr<Flags> Parse(const std::vector<std::string>& arguments) {
  return Flags::Parse(arguments, {{"model", FlagKind::kText, "NAME", ""},
                                  {"json", FlagKind::kSwitch, "", ""},
                                  {"num", FlagKind::kCount, "N", ""},
                                  {"seed", FlagKind::kIndex, "N", ""},
                                  {"first_index", FlagKind::kIndex, "N", ""},
                                  {"class", FlagKind::kLabel, "K", ""},
                                  {"temperature", FlagKind::kNumber, "T", ""},
                                  {"deadline", FlagKind::kDuration, "TIME", ""}});
}

std::string Refusal(const std::vector<std::string>& arguments) {
  return std::string(Parse(arguments).status().message());
}

TEST(FlagsTest, TakesValuesBehindAnEqualsSignOrASpace) {
  const auto flags =
      Parse({"--model=digits@2", "--num", "12", "--json", "--temperature", "-0.5", "--deadline=250ms"});
  ASSERT_TRUE(flags.ok()) << flags.status();
  EXPECT_EQ(flags->Text("model"), "digits@2");
  EXPECT_EQ(flags->Count("num", 1), 12);
  EXPECT_TRUE(flags->Switch("json"));
  EXPECT_EQ(flags->Number("temperature"), -0.5);
  EXPECT_EQ(flags->Duration("deadline", absl::Seconds(1)), absl::Milliseconds(250));
}

TEST(FlagsTest, AbsentFlagsHaveTheirDefaults) {
  const auto flags = Parse({});
  ASSERT_TRUE(flags.ok());
  EXPECT_FALSE(flags->Has("model"));
  EXPECT_FALSE(flags->Switch("json"));
  EXPECT_EQ(flags->Count("num", 7), 7);
  EXPECT_FALSE(flags->Index("seed").has_value());
  EXPECT_FALSE(flags->Label("class").has_value());
  EXPECT_EQ(flags->Duration("deadline", absl::Seconds(9)), absl::Seconds(9));
}

TEST(FlagsTest, HyphensStandForUnderscoresAndADashIsAValue) {
  EXPECT_EQ(Parse({"--first-index=18446744073709551615"})->Index("first_index"), 18446744073709551615u);
  EXPECT_EQ(Parse({"--model", "-"})->Text("model"), "-");
  EXPECT_EQ(Parse({"--model=a=b"})->Text("model"), "a=b");
}

TEST(FlagsTest, UnknownFlagsAreRefusedWithTheNearestKnownOne) {
  EXPECT_EQ(Refusal({"--modle=x"}), "unknown flag --modle; did you mean --model?");
  EXPECT_THAT(Refusal({"--temp=1"}), HasSubstr("did you mean --temperature?"));
  EXPECT_EQ(Refusal({"--zzzzzzz"}), "unknown flag --zzzzzzz");
}

TEST(FlagsTest, RefusesWhatIsNoFlagRepeatedOrWithoutValue) {
  EXPECT_THAT(Refusal({"file.npy"}), HasSubstr("got \"file.npy\""));
  EXPECT_THAT(Refusal({"--"}), HasSubstr("got \"--\""));
  EXPECT_EQ(Refusal({"--num=1", "--num=2"}), "--num is given twice");
  EXPECT_EQ(Refusal({"--model"}), "--model needs a value: --model=NAME");
  EXPECT_EQ(Refusal({"--model", "--json"}), "--model needs a value: --model=NAME");
  EXPECT_THAT(Refusal({"--model="}), HasSubstr("expected a value"));
}

TEST(FlagsTest, RefusesValuesOfTheWrongKind) {
  for (const char* bad :
       {"--num=0", "--num=-1", "--num=x", "--num=1.5", "--seed=-1", "--seed=18446744073709551616",
        "--class=-1", "--class=2147483648", "--temperature=nan", "--temperature=1x", "--deadline=10",
        "--deadline=-1s", "--json=maybe"}) {
    EXPECT_THAT(Refusal({bad}), HasSubstr("expected")) << bad;
  }
}

TEST(FlagsTest, NearestKnowsSlipsAndBeginnings) {
  const std::vector<std::string> names = {"score", "sample", "encode", "decode"};
  EXPECT_EQ(Nearest("scroe", names), "score");
  EXPECT_EQ(Nearest("enc", names), "encode");
  EXPECT_EQ(Nearest("xyzzyx", names), "");
}

}  // namespace
}  // namespace client
}  // namespace glowworm
