// The two streams through a server of this process: order, errors in mid-stream, a slow reader, cancel,
// deadline, and a server that shuts down under them.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/server/running_server.h"

namespace glowworm {
namespace {

using std::chrono::milliseconds;
using std::chrono::system_clock;
using ::testing::HasSubstr;
using ScoreStream = grpc::ClientReaderWriter<v1::LogLikelihoodRequest, v1::LogLikelihoodResponse>;

class StreamTest : public ::testing::Test {
 protected:
  void Start(const std::function<void(ServerOptions*)>& change = [](ServerOptions*) {}) {
    repository_.Put("small", 1, SmallFlow());
    ServerOptions options = LoopbackOptions(repository_);
    change(&options);
    running_ = std::make_unique<RunningServer>(options);
  }
  v1::DensityService::Stub* stub() { return running_->stub(); }

  static v1::LogLikelihoodRequest Message(int number, int64_t rows) {
    v1::LogLikelihoodRequest request;
    request.mutable_model()->set_name("small");
    *request.mutable_x() = SomeRows(rows, {6}, number);
    request.set_request_id(absl::StrCat("message ", number));
    return request;
  }
  static v1::SampleRequest Samples(int64_t count) {
    v1::SampleRequest request;
    request.mutable_model()->set_name("small");
    request.set_num_samples(count);
    request.set_seed(42);
    return request;
  }

  TemporaryRepository repository_;
  std::unique_ptr<RunningServer> running_;
};

TEST_F(StreamTest, AnswersInTheOrderOfTheRequests) {
  Start([](ServerOptions* o) { o->threads = 3; });
  grpc::ClientContext context;
  const auto stream = stub()->StreamLogLikelihood(&context);
  constexpr int kMessages = 200;
  std::thread writer([&stream] {
    // Large and small ones take turns, so that a later one is often computed first.
    for (int i = 0; i < kMessages; ++i) EXPECT_TRUE(stream->Write(Message(i, i % 2 == 0 ? 700 : 1)));
    stream->WritesDone();
  });
  v1::LogLikelihoodResponse response;
  for (int i = 0; i < kMessages; ++i) {
    ASSERT_TRUE(stream->Read(&response));
    EXPECT_EQ(response.request_id(), absl::StrCat("message ", i));
    EXPECT_EQ(response.log_likelihood_size(), i % 2 == 0 ? 700 : 1);
  }
  EXPECT_FALSE(stream->Read(&response));
  writer.join();
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(StreamTest, GivesTheBitsOfAUnaryCall) {
  Start();
  v1::LogLikelihoodResponse unary, streamed;
  grpc::ClientContext first, second;
  ASSERT_TRUE(stub()->LogLikelihood(&first, Message(3, 40), &unary).ok());
  const auto stream = stub()->StreamLogLikelihood(&second);
  stream->Write(Message(3, 40));
  stream->WritesDone();
  ASSERT_TRUE(stream->Read(&streamed));
  EXPECT_EQ(streamed.SerializeAsString(), unary.SerializeAsString());
}

TEST_F(StreamTest, GoesOnAfterAnInvalidMessage) {
  Start();
  grpc::ClientContext context;
  const auto stream = stub()->StreamLogLikelihood(&context);
  v1::LogLikelihoodRequest unknown = Message(2, 1);
  unknown.mutable_model()->set_name("nope");
  stream->Write(Message(0, 2));
  stream->Write(Message(1, 0));
  stream->Write(unknown);
  stream->Write(Message(3, 2));
  stream->WritesDone();
  std::vector<v1::LogLikelihoodResponse> answers(4);
  for (v1::LogLikelihoodResponse& answer : answers) ASSERT_TRUE(stream->Read(&answer));
  EXPECT_FALSE(answers[0].has_error());
  EXPECT_EQ(answers[1].error().code(), 3);  // INVALID_ARGUMENT
  EXPECT_THAT(answers[1].error().message(), HasSubstr("at least one row"));
  EXPECT_EQ(answers[1].request_id(), "message 1");
  EXPECT_EQ(answers[2].error().code(), 5);  // NOT_FOUND
  EXPECT_EQ(answers[3].log_likelihood_size(), 2);
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(StreamTest, WaitsWhileTheQueueIsFull) {
  Start([](ServerOptions* o) { o->max_queue_rows = 100; });
  grpc::ClientContext context;
  const auto stream = stub()->StreamLogLikelihood(&context);
  std::thread writer([&stream] {
    for (int i = 0; i < 50; ++i) stream->Write(Message(i, 90));
    stream->WritesDone();
  });
  v1::LogLikelihoodResponse response;
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(stream->Read(&response));
    EXPECT_FALSE(response.has_error()) << response.error().message();
  }
  writer.join();
  EXPECT_TRUE(stream->Finish().ok());
}

TEST_F(StreamTest, EndsAtItsDeadline) {
  Start();
  grpc::ClientContext context;
  context.set_deadline(system_clock::now() + milliseconds(100));
  const auto stream = stub()->StreamLogLikelihood(&context);
  stream->Write(Message(0, 1));
  v1::LogLikelihoodResponse response;
  EXPECT_TRUE(stream->Read(&response));
  EXPECT_FALSE(stream->Read(&response));  // nothing more was asked
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  running_->Stop();
  EXPECT_EQ(running_->Metric("glowworm_requests_total", {"code=\"DEADLINE_EXCEEDED\""}), 1);
}

TEST_F(StreamTest, EndsWhenTheCallerCancels) {
  Start();
  grpc::ClientContext scores, samples;
  const auto stream = stub()->StreamLogLikelihood(&scores);
  stream->Write(Message(0, 1));
  const auto reader = stub()->StreamSamples(&samples, Samples(int64_t{1} << 40));
  v1::SampleResponse chunk;
  EXPECT_TRUE(reader->Read(&chunk));
  scores.TryCancel();
  samples.TryCancel();
  EXPECT_EQ(stream->Finish().error_code(), grpc::StatusCode::CANCELLED);
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
  running_->Stop();
  EXPECT_EQ(running_->Metric("glowworm_requests_in_flight"), 0);
  EXPECT_EQ(running_->Metric("glowworm_pending_bytes"), 0);
}

TEST_F(StreamTest, SamplesAreThoseOfOneCallChunkByChunk) {
  Start([](ServerOptions* o) { o->max_reply_bytes = 4096; });
  std::string streamed;
  grpc::ClientContext first;
  const auto reader = stub()->StreamSamples(&first, Samples(500));
  v1::SampleResponse chunk;
  uint64_t next = 0;
  int chunks = 0;
  while (reader->Read(&chunk)) {
    EXPECT_EQ(chunk.first_index(), next);
    EXPECT_LE(chunk.ByteSizeLong(), 4096u);
    next += static_cast<uint64_t>(chunk.x().shape(0));
    streamed += chunk.x().data();
    ++chunks;
  }
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_EQ(next, 500u);
  EXPECT_GT(chunks, 5);
  v1::SampleRequest tail = Samples(20);
  tail.set_first_index(480);
  v1::SampleResponse part;
  grpc::ClientContext second;
  ASSERT_TRUE(stub()->Sample(&second, tail, &part).ok());
  EXPECT_EQ(streamed.substr(480 * 6 * 8), part.x().data());
}

TEST_F(StreamTest, ASlowReaderHoldsTheProducerBack) {
  Start();
  grpc::ClientContext context;
  const auto reader = stub()->StreamSamples(&context, Samples(int64_t{1} << 40));
  v1::SampleResponse chunk;
  ASSERT_TRUE(reader->Read(&chunk));
  // Another caller's stream runs to its end meanwhile: the unread one takes nothing from it.
  grpc::ClientContext other;
  const auto lively = running_->NewStub()->StreamSamples(&other, Samples(50000));
  while (lively->Read(&chunk)) {
  }
  EXPECT_TRUE(lively->Finish().ok());
  // What was computed for the unread stream is bounded by what the connection buffers, far from all that was
  // asked.
  const double rows = running_->Metric("glowworm_rows_total", {"work=\"sample\""}) - 50000;
  EXPECT_LT(rows * 48, 64 << 20);
  context.TryCancel();
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

TEST_F(StreamTest, RefusesABadRequest) {
  Start();
  grpc::ClientContext context;
  const auto reader = stub()->StreamSamples(&context, Samples(0));
  v1::SampleResponse chunk;
  EXPECT_FALSE(reader->Read(&chunk));
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(StreamTest, EndWithUnavailableWhenTheServerStops) {
  Start();
  grpc::ClientContext idle_context, sample_context;
  const auto idle = stub()->StreamLogLikelihood(&idle_context);
  idle->Write(Message(0, 1));
  v1::LogLikelihoodResponse answer;
  ASSERT_TRUE(idle->Read(&answer));
  const auto reader = stub()->StreamSamples(&sample_context, Samples(int64_t{1} << 40));
  v1::SampleResponse chunk;
  ASSERT_TRUE(reader->Read(&chunk));
  auto stopped = std::async(std::launch::async, [this] { running_->server()->Stop(); });

  EXPECT_FALSE(idle->Read(&answer));
  EXPECT_EQ(idle->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  uint64_t next = chunk.first_index() + static_cast<uint64_t>(chunk.x().shape(0));
  while (reader->Read(&chunk)) {
    EXPECT_EQ(chunk.first_index(), next);
    next += static_cast<uint64_t>(chunk.x().shape(0));
  }
  const grpc::Status status = reader->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(status.error_message(), HasSubstr(absl::StrCat("first_index=", next)));
  stopped.get();
}

}  // namespace
}  // namespace glowworm
