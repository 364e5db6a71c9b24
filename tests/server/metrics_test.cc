// Metrics: which series exist when, and what they say.

#include "server/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "server/model_metrics.h"

namespace glowworm {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;

BatchReport Report(int64_t rows, BatchReason reason) {
  return BatchReport{rows, 1, reason, absl::ZeroDuration(), absl::Milliseconds(3)};
}

TEST(Metrics, CountsCallsByMethodAndCode) {
  Metrics metrics;
  const auto model = metrics.ForModel("digits", "2");
  model->CallEnded(Method::kEncode, 0, absl::Milliseconds(2));
  model->CallEnded(Method::kEncode, 0, absl::Milliseconds(2));
  model->CallEnded(Method::kSample, 3, absl::Milliseconds(2));
  const std::string text = metrics.Text();
  EXPECT_THAT(text, HasSubstr("method=\"Encode\",model=\"digits\",version=\"2\"} 2"));
  EXPECT_THAT(text, HasSubstr("code=\"INVALID_ARGUMENT\""));
  EXPECT_THAT(text, HasSubstr("glowworm_request_seconds_count{"));
}

TEST(Metrics, CountsCallsToUnknownModelsUnderNoName) {
  Metrics metrics;
  const auto unknown = metrics.ForModel("", "");
  unknown->CallEnded(Method::kGetModel, 5, absl::Milliseconds(1));
  const std::string text = metrics.Text();
  EXPECT_THAT(text, HasSubstr("code=\"NOT_FOUND\""));
  EXPECT_THAT(text, HasSubstr("model=\"\""));
  EXPECT_THAT(text, Not(HasSubstr("glowworm_model_loaded{")));
}

TEST(Metrics, ForgetsAVersionWithItsLastPointer) {
  Metrics metrics;
  auto first = metrics.ForModel("digits", "1");
  auto second = metrics.ForModel("digits", "1");
  EXPECT_EQ(first.get(), second.get());
  first.reset();
  EXPECT_THAT(metrics.Text(), HasSubstr("model=\"digits\""));
  second.reset();
  EXPECT_THAT(metrics.Text(), Not(HasSubstr("model=\"digits\"")));
}

TEST(Metrics, CountsFromZeroWhenAVersionComesBack) {
  Metrics metrics;
  metrics.ForModel("digits", "1")->CallEnded(Method::kEncode, 0, absl::Milliseconds(2));
  const auto again = metrics.ForModel("digits", "1");
  again->CallEnded(Method::kEncode, 0, absl::Milliseconds(2));
  EXPECT_THAT(metrics.Text(), HasSubstr("method=\"Encode\",model=\"digits\",version=\"1\"} 1\n"));
}

TEST(Metrics, CountsRefusalsByReason) {
  Metrics metrics;
  const auto model = metrics.ForModel("digits", "1");
  model->Refused("queue_rows");
  model->Refused("queue_rows");
  model->Refused("of a kind not listed");
  const std::string text = metrics.Text();
  EXPECT_THAT(text, HasSubstr("model=\"digits\",reason=\"queue_rows\",version=\"1\"} 2"));
  EXPECT_THAT(text, HasSubstr("model=\"digits\",reason=\"other\",version=\"1\"} 1"));
}

TEST(Metrics, ShowsRefusalsOfAReadyModelFromZero) {
  Metrics metrics;
  const auto model = metrics.ForModel("digits", "1");
  EXPECT_THAT(metrics.Text(), Not(HasSubstr("glowworm_refusals_total{")));
  model->AddComputeSeries();
  EXPECT_THAT(metrics.Text(), HasSubstr("model=\"digits\",reason=\"expected_wait\",version=\"1\"} 0"));
}

TEST(Metrics, CountsRowsByStatus) {
  Metrics metrics;
  const auto model = metrics.ForModel("digits", "1");
  model->AddComputeSeries();
  model->RowsDone(Work::kEncode, {5, 2, 0, 1});
  const std::string text = metrics.Text();
  const std::string rest = "version=\"1\",work=\"encode\"} ";
  EXPECT_THAT(text, HasSubstr("status=\"OK\"," + rest + "5"));
  EXPECT_THAT(text, HasSubstr("status=\"NON_FINITE_INPUT\"," + rest + "2"));
  EXPECT_THAT(text, HasSubstr("status=\"NON_FINITE_RESULT\"," + rest + "1"));
}

TEST(Metrics, TellsWhyBatchesLeft) {
  Metrics metrics;
  const auto model = metrics.ForModel("digits", "1");
  model->AddComputeSeries();
  model->BatchDone(Work::kDecode, Report(64, BatchReason::kDelay));
  const std::string text = metrics.Text();
  EXPECT_THAT(text, HasSubstr("reason=\"delay\",version=\"1\",work=\"decode\"} 1"));
  EXPECT_THAT(text, HasSubstr("glowworm_batch_rows_sum{model=\"digits\",version=\"1\",work=\"decode\"} 64"));
}

TEST(Metrics, LeavesNumbersThatAreNotFiniteOutOfTheHistogram) {
  Metrics metrics;
  const auto model = metrics.ForModel("digits", "1");
  model->AddComputeSeries();
  const double inf = std::numeric_limits<double>::infinity();
  model->ObserveNegativeLogLikelihood({0.25, std::nan(""), inf, -inf, 1e9, 2.0});
  const std::string text = metrics.Text();
  const std::string name = "glowworm_negative_log_likelihood_nats_per_dim";
  EXPECT_THAT(text, HasSubstr(name + "_count{model=\"digits\",version=\"1\"} 3"));
  EXPECT_THAT(text, HasSubstr(name + "_sum{model=\"digits\",version=\"1\"} 1000000002.25"));
  EXPECT_THAT(text, HasSubstr(name + "_bucket{model=\"digits\",version=\"1\",le=\"2\"} 2"));  // le: at most
}

TEST(Metrics, SaysWhichModelsAreLoaded) {
  Metrics metrics;
  const auto good = metrics.ForModel("good", "1"), bad = metrics.ForModel("bad", "1");
  good->Loaded(absl::Seconds(2), 123.5);
  const std::string text = metrics.Text();
  EXPECT_THAT(text, HasSubstr("glowworm_model_loaded{model=\"good\",version=\"1\"} 1"));
  EXPECT_THAT(text, HasSubstr("glowworm_model_loaded{model=\"bad\",version=\"1\"} 0"));
  EXPECT_THAT(text, HasSubstr("glowworm_model_condition_number{model=\"good\",version=\"1\"} 123.5"));
}

TEST(Metrics, TellsOfTheProcess) {
  const std::string text = Metrics().Text();
  for (const char* name :
       {"process_resident_memory_bytes ", "process_open_fds ", "process_max_fds ",
        "process_cpu_seconds_total ", "process_start_time_seconds ", "glowworm_build_info{"}) {
    EXPECT_THAT(text, HasSubstr(std::string("\n") + name));
  }
}

TEST(Metrics, CountsCallsInFlight) {
  Metrics metrics;
  metrics.CallStarted();
  metrics.CallStarted();
  metrics.CallEnded();
  EXPECT_THAT(metrics.Text(), HasSubstr("glowworm_requests_in_flight 1\n"));
}

TEST(Metrics, ListensOnAPortOfItsOwnChoice) {
  Metrics metrics;
  EXPECT_EQ(metrics.port(), 0);
  ASSERT_TRUE(metrics.Listen("127.0.0.1:0").ok());
  EXPECT_GT(metrics.port(), 0);
}

TEST(Metrics, RefusesAPortThatIsTaken) {
  Metrics first, second;
  ASSERT_TRUE(first.Listen("127.0.0.1:0").ok());
  const absl::Status status = second.Listen("127.0.0.1:" + std::to_string(first.port()));
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr("the port is taken"));
}

}  // namespace
}  // namespace glowworm
