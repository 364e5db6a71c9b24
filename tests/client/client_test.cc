// The client library (client/client.h) against a server with predictable answers.

#include "client/client.h"

#include <cmath>
#include <limits>
#include <numeric>
#include <thread>

#include "client/convert.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/client/fake_time.h"
#include "tests/testing/fake_density_server.h"

namespace glowworm {
namespace client {
namespace {

using grpc::StatusCode;
using testing::Each;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::Le;

class ClientTest : public testing::Test {
 protected:
  ClientTest() {
    options_.time = &time_;
    options_.jitter_seed = 1;
  }

  Client& client() {
    if (client_ == nullptr) client_ = *Client::Connect(server_.address(), options_);
    return *client_;
  }

  // Rows (0, 0), (1, 1), ... whose log p is -i^2.
  static Array Ramp(int64_t rows) {
    std::vector<double> values;
    for (int64_t i = 0; i < rows; ++i) values.insert(values.end(), 2, static_cast<double>(i));
    return Array::Of<double>({rows, 2}, values);
  }

  static void ExpectRamp(const Scores& scores, int64_t rows) {
    ASSERT_EQ(scores.log_likelihood.size(), static_cast<size_t>(rows));
    for (int64_t i = 0; i < rows; ++i) {
      ASSERT_EQ(scores.log_likelihood[static_cast<size_t>(i)], -static_cast<double>(i * i));
    }
    EXPECT_EQ(scores.row_status, std::vector<v1::RowStatus>(static_cast<size_t>(rows), v1::ROW_STATUS_OK));
  }

  void LimitRows(int64_t rows) {
    v1::Model model = FakeModel({2});
    model.mutable_limits()->set_max_rows(rows);
    model.mutable_limits()->set_max_samples(rows);
    server_.SetModel(model);
  }

  FakeDensityServer server_{FakeModel({2})};
  FakeTime time_;
  ClientOptions options_;
  std::unique_ptr<Client> client_;
};

TEST_F(ClientTest, ListsAndDescribesModels) {
  const auto models = client().ListModels();
  ASSERT_TRUE(models.ok()) << models.status();
  EXPECT_EQ(models->models(0).ref().name(), "fake");
  const auto model = client().GetModel("fake");
  ASSERT_TRUE(model.ok()) << model.status();
  EXPECT_EQ(model->ref().version(), 3);
  EXPECT_EQ(client().GetModel("missing").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(ClientTest, ScoresASmallInputInOneCallWithStatusesFilledIn) {
  const auto scores = client().LogLikelihood("fake", Ramp(3));
  ASSERT_TRUE(scores.ok()) << scores.status();
  ExpectRamp(*scores, 3);
  EXPECT_THAT(scores->tail_probability, ElementsAre(1, 0.5, 0.2));
  EXPECT_THAT(server_.chunks(), ElementsAre(3));
}

TEST_F(ClientTest, CutsByMaxRowsAndJoinsInOrder) {
  LimitRows(7);
  const auto scores = client().LogLikelihood("fake", Ramp(100));
  ASSERT_TRUE(scores.ok()) << scores.status();
  ExpectRamp(*scores, 100);
  EXPECT_EQ(server_.chunks().size(), 15u);
  EXPECT_THAT(server_.chunks(), Each(Le(7)));
}

TEST_F(ClientTest, CutsByRequestAndReplyBytes) {
  v1::Model model = FakeModel({2});
  model.mutable_limits()->set_max_message_bytes(4096);
  server_.SetModel(model);
  const auto scores = client().LogLikelihood("fake", Ramp(1000));  // the server refuses larger messages
  ASSERT_TRUE(scores.ok()) << scores.status();
  ExpectRamp(*scores, 1000);

  model.mutable_limits()->set_max_message_bytes(4 << 20);
  model.mutable_limits()->set_max_reply_bytes(4096);
  server_.SetModel(model);
  client_.reset();
  const auto encoded = client().Encode("fake", Ramp(1000));
  ASSERT_TRUE(encoded.ok()) << encoded.status();
  EXPECT_EQ(encoded->z.rows(), 1000);
}

TEST_F(ClientTest, ReadsTheLimitsOnce) {
  LimitRows(2);
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(client().LogLikelihood("fake", Ramp(5)).ok());
  EXPECT_EQ(server_.get_model_calls(), 1);
}

TEST_F(ClientTest, ReadsTheLimitsAgainAfterARefusal) {
  ASSERT_TRUE(client().LogLikelihood("fake", Ramp(5)).ok());
  LimitRows(2);  // as if restarted with other flags
  EXPECT_EQ(client().LogLikelihood("fake", Ramp(5)).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(client().LogLikelihood("fake", Ramp(5)).ok());
}

TEST_F(ClientTest, AnyFailureOfTheServerMakesItReadTheLimitsAgainByEveryName) {
  for (const StatusCode code :
       {StatusCode::RESOURCE_EXHAUSTED, StatusCode::NOT_FOUND, StatusCode::INTERNAL}) {
    ASSERT_TRUE(client().LogLikelihood("", Ramp(1)).ok());
    ASSERT_TRUE(client().LogLikelihood({"fake", 3}, Ramp(1)).ok());
    const int before = server_.get_model_calls();
    server_.Script({{code, "refused", ""}});
    EXPECT_FALSE(client().LogLikelihood("fake", Ramp(1)).ok());
    ASSERT_TRUE(client().LogLikelihood("", Ramp(1)).ok());
    EXPECT_GT(server_.get_model_calls(), before);
  }
}

TEST_F(ClientTest, AModelThatIsStillLoadingIsNotRemembered) {
  v1::Model loading;
  loading.mutable_ref()->set_name("fake");
  loading.mutable_ref()->set_version(3);
  loading.set_state(v1::MODEL_STATE_LOADING);
  server_.SetModel(loading);
  ASSERT_EQ(client().GetModel("fake")->state(), v1::MODEL_STATE_LOADING);
  LimitRows(2);
  EXPECT_TRUE(client().LogLikelihood("fake", Ramp(5)).ok());
  EXPECT_THAT(server_.chunks(), Each(Le(2)));
}

TEST_F(ClientTest, LaterChunksKeepTheVersionThatAnsweredFirst) {
  LimitRows(2);
  ASSERT_TRUE(client().LogLikelihood("fake", Ramp(6)).ok());
  EXPECT_THAT(server_.versions(), ElementsAre(0, 3, 3));
}

TEST_F(ClientTest, KeepsABoundedNumberOfChunksInFlight) {
  LimitRows(1);
  options_.chunks_in_flight = 3;
  client();
  server_.Hold();
  std::thread caller([&] { EXPECT_TRUE(client_->LogLikelihood({"fake", 3}, Ramp(20)).ok()); });
  server_.AwaitHeld(3);
  server_.Release();
  caller.join();
  EXPECT_EQ(server_.most_held(), 3);
}

TEST_F(ClientTest, SlicesContextsAndLabelsWithTheirRows) {
  LimitRows(3);
  Conditions conditions;
  std::vector<double> context(10);
  std::iota(context.begin(), context.end(), 0.25);
  conditions.context = Array::Of<double>({10, 1}, context);
  conditions.class_label.resize(10);
  std::iota(conditions.class_label.begin(), conditions.class_label.end(), 100);
  const auto scores =
      client().LogLikelihood("fake", Array::Of<double>({10, 2}, std::vector<double>(20)), conditions);
  ASSERT_TRUE(scores.ok()) << scores.status();
  for (size_t i = 0; i < 10; ++i) EXPECT_EQ(scores->log_likelihood[i], 100.25 + 2 * static_cast<double>(i));
}

TEST_F(ClientTest, OneContextAndLabelServeEveryChunk) {
  LimitRows(3);
  Conditions conditions{Array::Of<double>({1, 1}, {0.5}), {7}};
  const auto scores =
      client().LogLikelihood("fake", Array::Of<double>({10, 2}, std::vector<double>(20)), conditions);
  ASSERT_TRUE(scores.ok()) << scores.status();
  EXPECT_THAT(scores->log_likelihood, Each(7.5));
}

TEST_F(ClientTest, RefusesConditionsThatDoNotFitBeforeAnyCall) {
  Conditions conditions{Array::Of<double>({2, 1}, {0.5, 1}), {}};
  const auto scores = client().LogLikelihood("fake", Ramp(3), conditions);
  EXPECT_THAT(std::string(scores.status().message()),
              HasSubstr("context has 2 rows; expected 1, or one for each"));
  EXPECT_FALSE(FromServer(scores.status()));
  Array torn = Ramp(3);
  torn.data.pop_back();
  EXPECT_EQ(client().Encode("fake", torn).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(server_.row_calls(), 0);
}

TEST_F(ClientTest, ANaNRowSpoilsNoOther) {
  Array x = Ramp(3);
  const double nan = std::numeric_limits<double>::quiet_NaN();
  std::memcpy(&x.data[16], &nan, 8);
  const auto scores = client().LogLikelihood("fake", x);
  ASSERT_TRUE(scores.ok());
  EXPECT_TRUE(std::isnan(scores->log_likelihood[1]));
  EXPECT_EQ(scores->log_likelihood[2], -4);
  EXPECT_THAT(scores->row_status,
              ElementsAre(v1::ROW_STATUS_OK, v1::ROW_STATUS_NON_FINITE_INPUT, v1::ROW_STATUS_OK));
}

TEST_F(ClientTest, ZeroRowsGiveAnEmptyAnswerWithoutACall) {
  const auto scores = client().LogLikelihood("fake", Ramp(0));
  ASSERT_TRUE(scores.ok()) << scores.status();
  EXPECT_TRUE(scores->log_likelihood.empty());
  EXPECT_EQ(server_.row_calls(), 0);
}

TEST_F(ClientTest, DecodeUndoesEncodeAndReshapesFlatRows) {
  server_.SetModel(FakeModel({1, 2, 2}));
  LimitRows(65536);
  server_.SetModel(FakeModel({1, 2, 2}));
  const Array x = Array::Of<float>({5, 4}, std::vector<float>(20, 1.5f));
  const auto encoded = client().Encode("fake", x);
  ASSERT_TRUE(encoded.ok()) << encoded.status();
  EXPECT_EQ(encoded->z.dtype, v1::DATA_TYPE_FLOAT32);
  const auto decoded = client().Decode("fake", encoded->z);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  EXPECT_THAT(decoded->x.shape, ElementsAre(5, 1, 2, 2));
  EXPECT_EQ(decoded->x.data, x.data);
}

TEST_F(ClientTest, SamplesBeyondTheLimitHaveTheSeedOfTheFirstReply) {
  LimitRows(4);
  SampleRequest request;
  request.num_samples = 10;
  request.first_index = 1000;
  request.with_log_likelihood = true;
  const auto samples = client().Sample("fake", request);
  ASSERT_TRUE(samples.ok()) << samples.status();
  EXPECT_EQ(samples->seed, 77u);
  EXPECT_EQ(samples->first_index, 1000u);
  EXPECT_THAT(samples->x.shape, ElementsAre(10, 2));
  const std::vector<double> x = samples->x.ToDoubles();
  for (size_t i = 0; i < 10; ++i) {
    EXPECT_EQ(x[2 * i], 1077 + static_cast<double>(i));
    EXPECT_EQ(samples->log_likelihood[i], -x[2 * i]);
  }
  const auto requests = server_.sample_requests();
  ASSERT_EQ(requests.size(), 3u);
  EXPECT_FALSE(requests[0].has_seed());
  EXPECT_EQ(requests[1].seed(), 77u);
  EXPECT_EQ(requests[2].seed(), 77u);
}

TEST_F(ClientTest, RetriesAfterThePushbackThatTheServerNames) {
  server_.Script(
      {{StatusCode::RESOURCE_EXHAUSTED, "full", "250"}, {StatusCode::UNAVAILABLE, "draining", ""}});
  const auto scores = client().LogLikelihood("fake", Ramp(3));
  ASSERT_TRUE(scores.ok()) << scores.status();
  ASSERT_EQ(time_.waits().size(), 2u);
  EXPECT_EQ(time_.waits()[0], absl::Milliseconds(250));
  EXPECT_GE(time_.waits()[1], absl::Milliseconds(100));  // the second retry's step, less jitter
  EXPECT_LE(time_.waits()[1], absl::Milliseconds(200));
}

TEST_F(ClientTest, ARetriedChunkLandsInItsPlace) {
  LimitRows(5);
  server_.Script({{}, {StatusCode::UNAVAILABLE, "", ""}, {}, {StatusCode::UNAVAILABLE, "", ""}});
  const auto scores = client().LogLikelihood("fake", Ramp(40));
  ASSERT_TRUE(scores.ok()) << scores.status();
  ExpectRamp(*scores, 40);
}

TEST_F(ClientTest, ExhaustedWithoutPushbackIsTheAnswer) {
  server_.AlwaysFail({StatusCode::RESOURCE_EXHAUSTED, "full", ""});
  EXPECT_EQ(client().LogLikelihood("fake", Ramp(3)).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(server_.row_calls(), 1);
}

TEST_F(ClientTest, ExtraCallsUnderSustainedFailureStayWithinTheBudget) {
  server_.AlwaysFail({StatusCode::UNAVAILABLE, "down", ""});
  constexpr int kCalls = 200;
  for (int i = 0; i < kCalls; ++i) EXPECT_FALSE(client().LogLikelihood("fake", Ramp(1)).ok());
  EXPECT_GT(server_.row_calls(), kCalls);
  // Each comes with a GetModel, which earns a tenth of a retry too, and ten are there from the start.
  EXPECT_LE(server_.row_calls(), kCalls + 2 * kCalls / 10 + 10);
}

TEST_F(ClientTest, ACallEndsAtItsDeadline) {
  options_.time = RealTime();
  client();
  server_.Hold();
  const auto scores = client_->LogLikelihood("fake", Ramp(3), {}, {absl::Milliseconds(200)});
  EXPECT_EQ(scores.status().code(), absl::StatusCode::kDeadlineExceeded);
}

TEST_F(ClientTest, AnUnreachableServerIsUnavailable) {
  std::string address;
  {
    FakeDensityServer gone(FakeModel({2}));
    address = gone.address();
  }
  auto client = *Client::Connect(address, options_);
  const absl::Status status = client->ListModels().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr("after 4 attempts"));
}

TEST_F(ClientTest, AStreamOfUnknownLengthIsDeliveredBlockByBlock) {
  RowStream rows;
  int given = 0;
  rows.next = [&](int64_t, bool may_wait) -> absl::StatusOr<RowBlock> {
    RowBlock block;
    if (given == 4) return block;
    if (!may_wait) {
      block.later = true;
      return block;
    }
    block.x = Ramp(++given);
    return block;
  };
  std::vector<size_t> sizes;
  const absl::Status status = client().LogLikelihood("fake", rows, [&](Scores scores) {
    sizes.push_back(scores.log_likelihood.size());
    return absl::OkStatus();
  });
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_THAT(sizes, ElementsAre(1, 2, 3, 4));
}

TEST_F(ClientTest, ManyThreadsShareOneClient) {
  LimitRows(3);
  client();
  std::vector<std::thread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([this] {
      const auto scores = client_->LogLikelihood("fake", Ramp(20));
      ASSERT_TRUE(scores.ok()) << scores.status();
      ExpectRamp(*scores, 20);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

TEST(ModelRefTest, ParsesNamesAndVersions) {
  EXPECT_EQ(ModelRef::Parse("digits")->name, "digits");
  EXPECT_EQ(ModelRef::Parse("digits@12")->version, 12);
  EXPECT_EQ(ModelRef::Parse("a@b@2")->name, "a@b");
  for (const char* bad : {"digits@", "digits@x", "digits@0", "digits@-1"})
    EXPECT_FALSE(ModelRef::Parse(bad).ok()) << bad;
}

}  // namespace
}  // namespace client
}  // namespace glowworm
