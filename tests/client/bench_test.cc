// glowworm bench and its load (client/command/bench_load.h).

#include "client/command/bench_load.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/client/run_command.h"
#include "tests/testing/fake_density_server.h"

namespace glowworm {
namespace client {
namespace {

using testing::HasSubstr;

TEST(Percentile, IsTheSmallestLatencyThatTheShareDoesNotExceed) {
  std::vector<absl::Duration> latencies;
  for (int i = 1; i <= 200; ++i) latencies.push_back(absl::Milliseconds(i));
  EXPECT_EQ(Percentile(latencies, 0.5), absl::Milliseconds(100));
  EXPECT_EQ(Percentile(latencies, 0.99), absl::Milliseconds(198));
  EXPECT_EQ(Percentile(latencies, 1), absl::Milliseconds(200));
  EXPECT_EQ(Percentile({absl::Milliseconds(7)}, 0.01), absl::Milliseconds(7));
  EXPECT_EQ(Percentile({}, 0.5), absl::ZeroDuration());
}

TEST(Connections, AreOnePerHundredCalls) {
  EXPECT_EQ(Connections(1), 1);
  EXPECT_EQ(Connections(100), 1);
  EXPECT_EQ(Connections(101), 2);
}

class BenchTest : public testing::Test {
 protected:
  Outcome Run(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"bench", "--json"});
    return RunCommand(server_.address(), arguments);
  }

  FakeDensityServer server_{FakeModel({2})};
};

TEST_F(BenchTest, AClosedLoopMakesExactlyTheCallsAskedFor) {
  const Outcome outcome = Run({"--calls=300", "--concurrency=7", "--rows=5"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out,
              HasSubstr("\"loop\":\"closed\",\"concurrency\":7,\"connections\":1,\"rows_per_call\":5"));
  EXPECT_THAT(outcome.out, HasSubstr("\"calls\":300,"));
  EXPECT_THAT(outcome.out, HasSubstr("\"failed\":0,\"errors\":{}"));
  EXPECT_EQ(server_.row_calls(), 300 + 1);  // and one for the rows to send
}

TEST_F(BenchTest, AnOpenLoopMakesExactlyTheCallsAskedFor) {
  const Outcome outcome = Run({"--calls=50", "--rate=5000", "--concurrency=3"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("\"loop\":\"open\""));
  EXPECT_THAT(outcome.out, HasSubstr("\"calls\":50,"));
}

TEST_F(BenchTest, EveryMethodCanBeMeasured) {
  for (const char* method : {"score", "encode", "decode", "sample"}) {
    const Outcome outcome = Run({"--calls=20", std::string("--method=") + method});
    EXPECT_THAT(outcome.out, HasSubstr("\"calls\":20,")) << method << outcome.err;
  }
}

TEST_F(BenchTest, ErrorsAreCountedByCodeAndNotRepeated) {
  std::vector<ScriptedFailure> script(1);  // the call for the rows to send
  script.insert(script.end(), 3, {grpc::StatusCode::UNAVAILABLE, "down", ""});
  script.push_back({grpc::StatusCode::RESOURCE_EXHAUSTED, "full", ""});
  server_.Script(script);
  const Outcome outcome = Run({"--calls=20", "--concurrency=2"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_THAT(outcome.out, HasSubstr("\"calls\":16,"));
  EXPECT_THAT(outcome.out, HasSubstr("\"failed\":4,\"errors\":{\"RESOURCE_EXHAUSTED\":1,\"UNAVAILABLE\":3}"));
}

TEST_F(BenchTest, NoAnswerAtAllIsAFailure) {
  server_.Script({{}, {grpc::StatusCode::INTERNAL, "broken", ""}});
  const Outcome outcome = Run({"--calls=1"});
  EXPECT_EQ(outcome.code, 1);
  EXPECT_THAT(outcome.err, HasSubstr("no call was answered"));
}

TEST_F(BenchTest, AnOpenLoopsLatencyRunsFromTheSchedule) {
  // All 40 calls are due within 40 microseconds, one may be in flight: they queue on the client, and their
  // clocks run.
  Load load;
  load.address = server_.address();
  load.method = "/glowworm.v1.DensityService/GetModel";
  load.requests = {v1::GetModelRequest().SerializeAsString()};
  load.calls = 40;
  load.warm_up = absl::ZeroDuration();
  load.rate = 1e6;
  load.concurrency = 1;
  const LoadResult result = ApplyLoad(load);
  ASSERT_EQ(result.latencies.size(), 40u);
  // The last call waited for all others: nearly the whole run. A clock begun at sending would show a
  // fortieth.
  EXPECT_GT(result.latencies.back(), 0.5 * result.elapsed);
}

TEST_F(BenchTest, RefusesWhatCannotBeMeasured) {
  EXPECT_EQ(Run({"--method=fly"}).code, 2);
  EXPECT_EQ(Run({"--rate=0"}).code, 2);
  EXPECT_EQ(Run({"--calls=1", "--duration=1s"}).code, 2);
  const Outcome rows = Run({"--calls=1", "--rows=100000"});
  EXPECT_EQ(rows.code, 2);
  EXPECT_THAT(rows.err, HasSubstr("one call takes at most 65536 rows, got 100000"));
}

}  // namespace
}  // namespace client
}  // namespace glowworm
