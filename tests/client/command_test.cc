// The glowworm command end to end: arguments in, streams and exit codes out, against a server with
// predictable answers.

#include "client/command/command.h"

#include <unistd.h>

#include "client/csv.h"
#include "client/npy.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/client/run_command.h"
#include "tests/client/temp_file.h"
#include "tests/testing/fake_density_server.h"

namespace glowworm {
namespace client {
namespace {

using testing::HasSubstr;
using testing::StartsWith;

class CommandTest : public testing::Test {
 protected:
  Outcome Run(const std::vector<std::string>& arguments, const std::string& input = "") {
    return RunCommand(server_.address(), arguments, input);
  }

  FakeDensityServer server_{FakeModel({2})};
};

TEST_F(CommandTest, HelpIsPrintedForTheCommandAndEachSubcommand) {
  const Outcome all = Run({"--help"});
  EXPECT_EQ(all.code, 0);
  EXPECT_THAT(all.out, HasSubstr("Exit codes: 0 done; 1 the server"));
  for (const char* name : {"models", "score", "encode", "decode", "sample", "bench"}) {
    EXPECT_THAT(all.out, HasSubstr(name));
    for (const Outcome& help : {Run({name, "--help"}), Run({"help", name}), Run({name, "--num=1", "-h"})}) {
      EXPECT_EQ(help.code, 0);
      EXPECT_THAT(help.out, StartsWith(std::string("glowworm ") + name));
      EXPECT_THAT(help.out, HasSubstr("Examples:\n  "));
      EXPECT_THAT(help.out, HasSubstr("--server=HOST:PORT"));
    }
  }
}

TEST_F(CommandTest, WrongUseIsExitCodeTwoWithAHint) {
  EXPECT_EQ(Run({}).code, 2);
  const Outcome command = Run({"scroe"});
  EXPECT_EQ(command.code, 2);
  EXPECT_THAT(command.err, HasSubstr("did you mean score?"));
  const Outcome flag = Run({"score", "--treshold=1"});
  EXPECT_EQ(flag.code, 2);
  EXPECT_THAT(flag.err, HasSubstr("did you mean --threshold?"));
  EXPECT_EQ(Run({"score", "--format=xml"}, "1,2\n").code, 2);
  EXPECT_EQ(Run({"score", "--model=a@b"}, "1,2\n").code, 2);
}

TEST_F(CommandTest, FailuresOfServerAndConnectionAreExitCodeOne) {
  const Outcome missing = Run({"score", "--model=missing"}, "1,2\n");
  EXPECT_EQ(missing.code, 1);
  EXPECT_EQ(missing.err, "glowworm: NOT_FOUND: no model of this name\n");
  server_.AlwaysFail({grpc::StatusCode::INVALID_ARGUMENT, "the row is wrong", ""});
  EXPECT_EQ(Run({"score"}, "1,2\n").code, 1);
  const Outcome nobody = Run({"models", "--server=127.0.0.1:1", "--retries=0"});
  EXPECT_EQ(nobody.code, 1);
  EXPECT_THAT(nobody.err, StartsWith("glowworm: UNAVAILABLE: "));
}

TEST_F(CommandTest, BadInputIsExitCodeTwoAndNamesThePlace) {
  const Outcome bad = Run({"score"}, "1,2\n3,x\n");
  EXPECT_EQ(bad.code, 2);
  EXPECT_THAT(bad.err, HasSubstr("standard input: row 2, column 2: expected a number, got \"x\""));
  EXPECT_THAT(bad.out, HasSubstr("\n0,-2.5,"));  // the row before it is scored
  EXPECT_EQ(Run({"score", "--input=/no/such.npy"}).code, 2);
}

TEST_F(CommandTest, ModelsPrintsATableAPageAndJson) {
  const Outcome table = Run({"models"});
  EXPECT_EQ(table.code, 0);
  EXPECT_THAT(table.out, HasSubstr("fake  3        READY  2 "));
  EXPECT_THAT(Run({"models", "--model=fake"}).out, HasSubstr("most rows a call        65536"));
  const Outcome json = Run({"models", "--json"});
  EXPECT_THAT(json.out, HasSubstr("\"name\": \"fake\""));
  EXPECT_THAT(json.out, HasSubstr("\"server_version\": \"fake 1\""));
}

TEST_F(CommandTest, ModelsCannotBeMadeToDriveTheTerminal) {
  v1::Model model = FakeModel({2});
  model.set_description("a\x1b[31mb\nc");
  server_.SetModel(model);
  EXPECT_THAT(Run({"models"}).out, HasSubstr("a [31mb c\n"));
}

TEST_F(CommandTest, ScoreWritesCsv) {
  const Outcome outcome = Run({"score", "--model", "fake"}, "0,0\n1,1\nnan,0\n");
  EXPECT_EQ(outcome.code, 0);
  EXPECT_EQ(outcome.out,
            "row,log_likelihood,tail_probability,status\n"
            "0,0,1,OK\n"
            "1,-1,0.5,OK\n"
            "2,nan,nan,NON_FINITE_INPUT\n");
  EXPECT_EQ(outcome.err, "glowworm: 1 of 3 rows: NON_FINITE_INPUT\n");
}

TEST_F(CommandTest, ScoreWritesJsonLinesThatStrictReadersTake) {
  EXPECT_EQ(
      Run({"score", "--format=jsonl"}, "1,1\nnan,0\n").out,
      "{\"row\":0,\"log_likelihood\":-1,\"tail_probability\":0.5,\"status\":\"OK\"}\n"
      "{\"row\":1,\"log_likelihood\":null,\"tail_probability\":null,\"status\":\"NON_FINITE_INPUT\"}\n");
}

TEST_F(CommandTest, ThresholdKeepsTheRareRowsAndTheirNumbers) {
  const Outcome outcome = Run({"score", "--threshold=0.5"}, "0,0\n1,1\nnan,0\n2,2\n");
  EXPECT_EQ(outcome.out,
            "row,log_likelihood,tail_probability,status\n"
            "1,-1,0.5,OK\n"
            "3,-4,0.2,OK\n");
  EXPECT_THAT(outcome.err, HasSubstr("1 rows have no tail probability and are left out"));
  v1::Model model = FakeModel({2});
  model.set_has_calibration(false);
  server_.SetModel(model);
  const Outcome without = Run({"score", "--threshold=0.5"}, "0,0\n");
  EXPECT_EQ(without.code, 2);
  EXPECT_THAT(without.err, HasSubstr("has no calibration"));
  EXPECT_EQ(Run({"score"}, "0,0\n").out, "row,log_likelihood,tail_probability,status\n0,0,,OK\n");
}

TEST_F(CommandTest, ContextsAreAListAFileOfOneRowOrOnePerRow) {
  EXPECT_THAT(Run({"score", "--context=0.5,9"}, "0,0\n0,0\n").out, HasSubstr("\n1,0.5,"));
  const TempFile one(".csv", "0.25,9\n"), three(".csv", "c,d\n1,9\n2,9\n3,9\n");
  EXPECT_THAT(Run({"score", "--context=" + one.path()}, "0,0\n0,0\n").out, HasSubstr("\n1,0.25,"));
  v1::Model model = FakeModel({2});
  model.mutable_limits()->set_max_rows(1);
  server_.SetModel(model);
  const Outcome each = Run({"score", "--context=" + three.path(), "--class=10"}, "0,0\n0,0\n0,0\n");
  EXPECT_EQ(each.code, 0) << each.err;
  EXPECT_THAT(each.out, HasSubstr("\n0,11,"));
  EXPECT_THAT(each.out, HasSubstr("\n2,13,"));
}

TEST_F(CommandTest, ContextsThatDoNotMatchTheRowsAreRefused) {
  const TempFile two(".csv", "1\n2\n");
  const Outcome fewer = Run({"score", "--context=" + two.path()}, "0,0\n0,0\n0,0\n");
  EXPECT_EQ(fewer.code, 2);
  EXPECT_THAT(fewer.err, HasSubstr("--context has fewer rows than --input"));
  const TempFile four(".csv", "1\n2\n3\n4\n");
  EXPECT_THAT(Run({"score", "--context=" + four.path()}, "0,0\n0,0\n0,0\n").err,
              HasSubstr("more rows than --input"));
  EXPECT_EQ(Run({"score", "--context=-"}, "0,0\n").code, 2);
}

TEST_F(CommandTest, LargeInputsGoInChunksAndComeBackInOrder) {
  v1::Model model = FakeModel({2});
  model.mutable_limits()->set_max_rows(7);
  server_.SetModel(model);
  std::string input, expected = "row,log_likelihood,tail_probability,status\n";
  for (int i = 0; i < 100; ++i) {
    input += "0," + std::to_string(i) + "\n";
    expected += std::to_string(i) + ",";
    AppendNumber(0 - i * i / 2.0, &expected);
    expected += ",";
    AppendNumber(1 / (1 + i * i / 2.0), &expected);
    expected += ",OK\n";
  }
  EXPECT_EQ(Run({"score"}, input).out, expected);
  EXPECT_EQ(server_.chunks().size(), 15u);
}

TEST_F(CommandTest, EncodeAndDecodeThroughPipesGiveTheInputBack) {
  const Outcome encoded = Run({"encode"}, "0.1,1e-300\n-3,12345678901234567\n");
  EXPECT_EQ(encoded.code, 0) << encoded.err;
  const Outcome decoded = Run({"decode"}, encoded.out);
  EXPECT_EQ(decoded.out, "0.1,1e-300\n-3,12345678901234568\n");
}

TEST_F(CommandTest, EncodeKeepsTheTypeOfNpy) {
  const Array x = Array::Of<float>({3, 2}, {1, 2, 3, 4, 5, 6});
  const TempFile in(".npy", FormatNpyHeader({x.dtype, x.shape}) + x.data), out(".npy");
  EXPECT_EQ(Run({"encode", "--input=" + in.path(), "--output=" + out.path()}).code, 0);
  const Array z = Array::Of<float>({3, 2}, {2, 4, 6, 8, 10, 12});
  EXPECT_EQ(out.Read(), FormatNpyHeader({z.dtype, z.shape}) + z.data);
  const Outcome piped = Run({"encode", "--format=npy"}, FormatNpyHeader({x.dtype, x.shape}) + x.data);
  EXPECT_EQ(piped.out, out.Read());
}

TEST_F(CommandTest, ImagesMayBeFlatOrShaped) {
  server_.SetModel(FakeModel({1, 2, 2}));
  const TempFile out(".npy");
  EXPECT_EQ(Run({"decode", "--output=" + out.path()}, "2,4,6,8\n").code, 0);
  const Array x = Array::Of<double>({1, 1, 2, 2}, {1, 2, 3, 4});
  EXPECT_EQ(out.Read(), FormatNpyHeader({x.dtype, x.shape}) + x.data);
  const std::string shaped = FormatNpyHeader({x.dtype, x.shape}) + x.data;
  EXPECT_EQ(Run({"encode"}, shaped).out, "2,4,6,8\n");
}

TEST_F(CommandTest, AFailureLeavesNoOutputFile) {
  const TempFile out(".npy");
  EXPECT_EQ(Run({"encode", "--output=" + out.path()}, "1,2\n3,x\n").code, 2);
  EXPECT_FALSE(out.Exists());
}

TEST_F(CommandTest, NoRowsGiveNoRows) {
  EXPECT_EQ(Run({"score"}, "").out, "row,log_likelihood,tail_probability,status\n");
  EXPECT_EQ(Run({"encode", "--format=npy"}, "").out, FormatNpyHeader({v1::DATA_TYPE_FLOAT64, {0, 2}}));
  EXPECT_EQ(server_.row_calls(), 0);
}

TEST_F(CommandTest, SampleSaysItsSeedAndGoesOnAtAnIndex) {
  const Outcome drawn = Run({"sample", "--num=2"});
  EXPECT_EQ(drawn.out, "77,77.001\n78,78.001\n");
  EXPECT_EQ(drawn.err, "glowworm: seed 77\n");
  EXPECT_EQ(Run({"sample", "--num", "2", "--seed=5", "--first_index", "10"}).out, "15,15.001\n16,16.001\n");
  EXPECT_EQ(Run({"sample", "--seed=5", "--dtype=float32"}).out, "5,5.001\n");
}

TEST_F(CommandTest, SamplePassesTemperatureClassAndContextOn) {
  EXPECT_EQ(Run({"sample", "--temperature=0", "--class=3", "--context=1,2"}).code, 0);
  const auto requests = server_.sample_requests();
  ASSERT_EQ(requests.size(), 1u);
  EXPECT_TRUE(requests[0].has_temperature());
  EXPECT_EQ(requests[0].temperature(), 0);
  EXPECT_EQ(requests[0].class_label(), 3);
  EXPECT_EQ(requests[0].context().shape(1), 2);
}

TEST_F(CommandTest, SampleDrawsPictures) {
  server_.SetModel(FakeModel({1, 2, 2}));
  const TempFile png(".png");
  const Outcome outcome = Run({"sample", "--num=4", "--png=" + png.path(), "--png_range=0:100"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.out, "");  // only the picture was asked for
  EXPECT_THAT(png.Read(), StartsWith("\x89PNG"));
  EXPECT_EQ(Run({"sample", "--png=" + png.path(), "--png_range=9:1"}).code, 2);
  server_.SetModel(FakeModel({2}));
  const Outcome flat = Run({"sample", "--png=" + png.path()});
  EXPECT_EQ(flat.code, 2);
  EXPECT_THAT(flat.err, HasSubstr("expected images"));
}

TEST_F(CommandTest, AReaderThatHasGoneIsNoError) {
  signal(SIGPIPE, SIG_IGN);
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  close(ends[0]);
  Console console;
  console.out = ends[1];
  console.default_server = server_.address();
  EXPECT_EQ(RunGlowworm({"sample", "--num=10"}, console), 0);
  close(ends[1]);
}

TEST_F(CommandTest, AFullDiskIsExitCodeOne) {
  const Outcome outcome = Run({"sample", "--num=10", "--output=/dev/full", "--format=csv"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("No space left"));
}

}  // namespace
}  // namespace client
}  // namespace glowworm
