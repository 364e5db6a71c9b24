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

class StreamTest : public RunningServerTest {
 protected:
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

TEST(LoadingStreamTest, GoesOnAfterAMessageToAModelThatStillLoads) {
  ModelRegistry models;
  models.SetLoading("small", 1);
  Metrics metrics;
  ServiceContext service_context;
  service_context.models = &models;
  service_context.metrics = &metrics;
  service_context.unknown_model = metrics.ForModel("", "");
  DensityService service(&service_context);
  grpc::ServerBuilder builder;
  builder.RegisterService(&service);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  const auto stub = v1::DensityService::NewStub(server->InProcessChannel(grpc::ChannelArguments()));

  grpc::ClientContext context;
  const auto stream = stub->StreamLogLikelihood(&context);
  v1::LogLikelihoodRequest request;
  request.mutable_model()->set_name("small");
  v1::LogLikelihoodResponse answer;
  for (const char* id : {"first", "second"}) {
    request.set_request_id(id);
    ASSERT_TRUE(stream->Write(request));
    ASSERT_TRUE(stream->Read(&answer));
    EXPECT_EQ(answer.request_id(), id);
    EXPECT_EQ(answer.error().code(), 14);  // UNAVAILABLE
    EXPECT_THAT(answer.error().message(), HasSubstr("still loading"));
  }
  stream->WritesDone();
  EXPECT_TRUE(stream->Finish().ok());
  server->Shutdown();
}

TEST_F(StreamTest, AMessageThatDoesNotParseGetsAnErrorAndTheStreamGoesOn) {
  Start();
  grpc::ClientContext context;
  const auto stream = stub()->StreamLogLikelihood(&context);
  v1::LogLikelihoodRequest broken = Message(1, 2);
  broken.set_request_id("\xff\xfe");  // not UTF-8: written by this client, refused by every parser
  for (const v1::LogLikelihoodRequest& request : {Message(0, 2), broken, Message(2, 2)}) {
    ASSERT_TRUE(stream->Write(request));
  }
  stream->WritesDone();
  std::vector<int> codes;
  v1::LogLikelihoodResponse answer;
  while (stream->Read(&answer)) codes.push_back(answer.error().code());
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_THAT(codes, testing::ElementsAre(0, 3, 0));  // INVALID_ARGUMENT
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

TEST_F(StreamTest, GoesOnAfterAMessageThatThereIsNoMemoryFor) {
  repository_.Put("slow", 1, SlowFlow(1536));
  // Two rows of the slow flow take all but some 3 KiB, a large message some 5 KiB.
  Start([](ServerOptions* o) {
    o->precision = Precision::kFloat64;
    o->max_process_bytes = 20000;
  });
  v1::LogLikelihoodRequest request;
  request.mutable_model()->set_name("slow");
  *request.mutable_x() = SomeRows(2, {2, 32, 32});
  auto call = std::async(std::launch::async, [&] {
    grpc::ClientContext context;
    v1::LogLikelihoodResponse response;
    return stub()->LogLikelihood(&context, request, &response);
  });
  while (running_->Metric("glowworm_pending_bytes", {"slow"}) == 0) std::this_thread::yield();

  grpc::ClientContext score_context, sample_context;
  const auto stream = stub()->StreamLogLikelihood(&score_context);
  stream->Write(Message(0, 150));
  stream->Write(Message(1, 1));
  stream->WritesDone();
  v1::LogLikelihoodResponse answer;
  ASSERT_TRUE(stream->Read(&answer));
  EXPECT_EQ(answer.error().code(), 8);  // RESOURCE_EXHAUSTED
  EXPECT_EQ(answer.request_id(), "message 0");
  EXPECT_EQ(running_->Metric("glowworm_refusals_total", {"reason=\"process_bytes\""}), 1);
  ASSERT_TRUE(stream->Read(&answer));
  EXPECT_EQ(answer.log_likelihood_size(), 1) << answer.error().message();
  EXPECT_TRUE(stream->Finish().ok());
  EXPECT_TRUE(call.get().ok());
}

TEST_F(StreamTest, SamplesInChunksThatTheQueueHasRoomFor) {
  Start([](ServerOptions* o) { o->max_queue_bytes = 4096; });
  grpc::ClientContext context;
  const auto reader = stub()->StreamSamples(&context, Samples(500));
  v1::SampleResponse chunk;
  int64_t rows = 0;
  while (reader->Read(&chunk)) {
    EXPECT_LE(chunk.x().data().size(), 4096u);
    rows += chunk.x().shape(0);
  }
  const grpc::Status status = reader->Finish();
  EXPECT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(rows, 500);
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
  // The server comes to its end of the call by itself, a moment before or after the caller.
  while (running_->Metric("glowworm_requests_in_flight") > 0) std::this_thread::yield();
  EXPECT_EQ(running_->Metric("glowworm_requests_total", {"code=\"DEADLINE_EXCEEDED\""}), 1);
}

TEST_F(StreamTest, MayEndItsRequestsJustBeforeTheDeadline) {
  Start();
  constexpr int kMaxTries = 500;  // a busy machine may really miss a deadline
  grpc::Status status(grpc::StatusCode::UNKNOWN, "not tried");
  for (int i = 0; i < kMaxTries && !status.ok(); ++i) {
    grpc::ClientContext context;
    context.set_deadline(system_clock::now() + milliseconds(15));
    const auto stream = stub()->StreamLogLikelihood(&context);
    stream->Write(Message(i, 1));
    stream->WritesDone();
    v1::LogLikelihoodResponse answer;
    while (stream->Read(&answer)) {
    }
    status = stream->Finish();
  }
  EXPECT_TRUE(status.ok()) << status.error_message();
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
  // Other callers' streams run to their ends meanwhile, until not one row is computed for the unread one
  // during a whole stream of theirs: what the connection buffers is full.
  constexpr int kLivelySamples = 50000;
  constexpr int kMaxRounds = 200;
  const auto other = running_->NewStub();
  double unread = 0;
  int rounds = 0;
  for (bool grows = true; grows && rounds < kMaxRounds; ++rounds) {
    grpc::ClientContext lively_context;
    const auto lively = other->StreamSamples(&lively_context, Samples(kLivelySamples));
    while (lively->Read(&chunk)) {
    }
    ASSERT_TRUE(lively->Finish().ok());
    const double rows = running_->Metric("glowworm_rows_total", {"work=\"sample\""});
    const double unread_now = rows - (rounds + 1.0) * kLivelySamples;
    grows = unread_now > unread;
    unread = unread_now;
  }
  EXPECT_LT(rounds, kMaxRounds) << "the unread stream still grows, at " << unread << " rows";
  EXPECT_GT(unread, 0);
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
  EXPECT_EQ(Reason(idle_context), "draining");
  uint64_t next = chunk.first_index() + static_cast<uint64_t>(chunk.x().shape(0));
  while (reader->Read(&chunk)) {
    EXPECT_EQ(chunk.first_index(), next);
    next += static_cast<uint64_t>(chunk.x().shape(0));
  }
  const grpc::Status status = reader->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(status.error_message(), HasSubstr(absl::StrCat("first_index=", next)));
  EXPECT_EQ(Reason(sample_context), "draining");
  stopped.get();
}

}  // namespace
}  // namespace glowworm
