// The unary RPCs through a server of this process: answers, refusals, deadlines, cancels, and what is
// counted.

#include <gmock/gmock.h>
#include <grpcpp/health_check_service_interface.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/cord.h"
#include "server/unary_call.h"
#include "tests/server/running_server.h"

namespace glowworm {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::system_clock;
using ::testing::HasSubstr;

class ServiceTest : public RunningServerTest {
 protected:
  grpc::Status LogLikelihood(const v1::LogLikelihoodRequest& request, v1::LogLikelihoodResponse* response) {
    grpc::ClientContext context;
    context.set_deadline(system_clock::now() + seconds(60));
    return stub()->LogLikelihood(&context, request, response);
  }
  static v1::LogLikelihoodRequest Score(int64_t rows, int first = 0) {
    v1::LogLikelihoodRequest request;
    request.mutable_model()->set_name("small");
    *request.mutable_x() = SomeRows(rows, {6}, first);
    return request;
  }
};

TEST_F(ServiceTest, AnswersEachRow) {
  Start();
  v1::LogLikelihoodRequest request = Score(5);
  request.set_request_id("one of mine");
  v1::LogLikelihoodResponse response;
  ASSERT_TRUE(LogLikelihood(request, &response).ok());
  EXPECT_EQ(response.log_likelihood_size(), 5);
  for (const double v : response.log_likelihood()) EXPECT_TRUE(std::isfinite(v));
  EXPECT_EQ(response.row_status_size(), 0);
  EXPECT_EQ(response.model().name(), "small");
  EXPECT_EQ(response.model().version(), 1);
  EXPECT_EQ(response.request_id(), "one of mine");
}

TEST_F(ServiceTest, AnswersInBfloat16AndSaysSo) {
  const absl::Status can_compute = CheckPrecision(Precision::kBfloat16);
  if (!can_compute.ok()) GTEST_SKIP() << can_compute.message();
  Start([](ServerOptions* o) { o->precision = Precision::kBfloat16; });
  v1::LogLikelihoodRequest request;
  *request.mutable_x() = SomeRows(5, {6});
  v1::LogLikelihoodResponse response;
  ASSERT_TRUE(LogLikelihood(request, &response).ok());
  for (const double v : response.log_likelihood()) EXPECT_TRUE(std::isfinite(v));
  v1::Model model;
  grpc::ClientContext context;
  ASSERT_TRUE(stub()->GetModel(&context, v1::GetModelRequest(), &model).ok());
  EXPECT_EQ(model.precision(), "bfloat16");
}

TEST_F(ServiceTest, DecodesWhatItEncoded) {
  Start([](ServerOptions* o) { o->precision = Precision::kFloat64; });
  v1::EncodeRequest encode;
  *encode.mutable_x() = SomeRows(7, {6});
  v1::EncodeResponse encoded;
  grpc::ClientContext first, second;
  ASSERT_TRUE(stub()->Encode(&first, encode, &encoded).ok());
  v1::DecodeRequest decode;
  *decode.mutable_z() = encoded.z();
  v1::DecodeResponse decoded;
  ASSERT_TRUE(stub()->Decode(&second, decode, &decoded).ok());
  ASSERT_EQ(decoded.x().data().size(), encode.x().data().size());
  for (size_t i = 0; i < 42; ++i) {
    float was, is;
    std::memcpy(&was, encode.x().data().data() + 4 * i, 4);
    std::memcpy(&is, decoded.x().data().data() + 4 * i, 4);
    // Float32 on the wire between; the flow's layers are conditioned to a few.
    EXPECT_NEAR(is, was, 1e-4) << i;
  }
}

TEST_F(ServiceTest, SamplesTheSameRowsHoweverSplit) {
  Start();
  v1::SampleRequest request;
  request.set_num_samples(10);
  request.set_seed(42);
  v1::SampleResponse whole, part;
  grpc::ClientContext first, second;
  ASSERT_TRUE(stub()->Sample(&first, request, &whole).ok());
  request.set_first_index(7);
  request.set_num_samples(3);
  ASSERT_TRUE(stub()->Sample(&second, request, &part).ok());
  EXPECT_EQ(whole.x().data().substr(7 * 6 * 8), part.x().data());
}

TEST_F(ServiceTest, DrawsASeedAndTellsIt) {
  Start();
  v1::SampleRequest request;
  request.set_num_samples(4);
  v1::SampleResponse drawn, again;
  grpc::ClientContext first, second;
  ASSERT_TRUE(stub()->Sample(&first, request, &drawn).ok());
  request.set_seed(drawn.seed());
  ASSERT_TRUE(stub()->Sample(&second, request, &again).ok());
  EXPECT_EQ(drawn.x().data(), again.x().data());
}

TEST_F(ServiceTest, PassesContextAndClassesThrough) {
  repository_.Put("conditional", 1, ConditionalFlow());
  Start();
  v1::LogLikelihoodRequest request = Score(3);
  request.mutable_model()->set_name("conditional");
  *request.mutable_context() = SomeRows(3, {2});
  for (const int k : {0, 1, 2}) request.add_class_label(k);
  v1::LogLikelihoodResponse together, alone;
  ASSERT_TRUE(LogLikelihood(request, &together).ok());
  v1::LogLikelihoodRequest last;
  last.mutable_model()->set_name("conditional");
  for (auto* tensor : {last.mutable_x(), last.mutable_context()}) {
    const v1::Tensor& all = tensor == last.mutable_x() ? request.x() : request.context();
    *tensor = all;
    tensor->set_shape(0, 1);
    tensor->set_data(all.data().substr(all.data().size() / 3 * 2));
  }
  last.add_class_label(2);
  ASSERT_TRUE(LogLikelihood(last, &alone).ok());
  EXPECT_EQ(alone.log_likelihood(0), together.log_likelihood(2));
}

TEST_F(ServiceTest, DescribesItsModels) {
  repository_.PutBytes("broken", 3, "not a flow");
  Start();
  v1::ListModelsResponse list;
  grpc::ClientContext first, second;
  ASSERT_TRUE(stub()->ListModels(&first, v1::ListModelsRequest(), &list).ok());
  ASSERT_EQ(list.models_size(), 2);
  EXPECT_FALSE(list.server_version().empty());
  EXPECT_EQ(list.models(0).state(), v1::MODEL_STATE_FAILED);
  EXPECT_GT(list.models(0).error().size(), 12u);
  EXPECT_EQ(list.models(0).error().find(repository_.path()), std::string::npos);
  EXPECT_EQ(list.models(1).state(), v1::MODEL_STATE_READY);
  EXPECT_EQ(list.models(1).limits().max_rows(), 65536);
  v1::GetModelRequest request;
  request.mutable_model()->set_name("small");
  v1::Model model;
  ASSERT_TRUE(stub()->GetModel(&second, request, &model).ok());
  EXPECT_EQ(model.SerializeAsString(), list.models(1).SerializeAsString());
}

TEST_F(ServiceTest, ListsModelsWithoutTheirLayersWhereTheWholeIsMoreThanAReplyHolds) {
  Start();
  v1::ListModelsResponse whole, list;
  grpc::ClientContext first, second, third;
  ASSERT_TRUE(stub()->ListModels(&first, v1::ListModelsRequest(), &whole).ok());
  // The limit is in the list too, and a smaller number may take fewer bytes.
  Start([&](ServerOptions* o) { o->max_reply_bytes = static_cast<int64_t>(whole.ByteSizeLong()) - 20; });
  ASSERT_TRUE(stub()->ListModels(&second, v1::ListModelsRequest(), &list).ok());
  ASSERT_EQ(list.models_size(), 1);
  EXPECT_EQ(list.models(0).layers_size(), 0);
  EXPECT_EQ(list.models(0).parameters(), whole.models(0).parameters());
  EXPECT_EQ(list.models(0).sha256(), whole.models(0).sha256());
  v1::Model model;
  ASSERT_TRUE(stub()->GetModel(&third, v1::GetModelRequest(), &model).ok());
  EXPECT_GT(model.layers_size(), 0);
}

TEST_F(ServiceTest, RefusesToListMoreThanAReplyHolds) {
  Start([](ServerOptions* o) { o->max_reply_bytes = 100; });
  v1::ListModelsResponse list;
  grpc::ClientContext context;
  const grpc::Status status = stub()->ListModels(&context, v1::ListModelsRequest(), &list);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_THAT(status.error_message(), HasSubstr("at most 100"));
}

TEST(FindModel, SaysWhyWhileTheServerDrains) {
  ServiceContext service;
  Metrics metrics;
  service.metrics = &metrics;
  service.streams.Drain();
  grpc::CallbackServerContext grpc;
  CallRecord record(Method::kEncode, &grpc, &service);
  const absl::Status status = FindModel(v1::ModelRef(), service, &record).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(status.GetPayload(kRefusalReason), absl::Cord("draining"));
}

TEST_F(ServiceTest, AnswersWithTheErrorOfAFailedModel) {
  repository_.PutBytes("broken", 1, "not a flow");
  Start();
  v1::LogLikelihoodRequest request = Score(1);
  request.mutable_model()->set_name("broken");
  v1::LogLikelihoodResponse response;
  const grpc::Status status = LogLikelihood(request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(status.error_message(), HasSubstr("failed to load"));
  // It is counted under its name, and stays so.
  const std::vector<std::string> labels = {"code=\"FAILED_PRECONDITION\"", "model=\"broken\"",
                                           "version=\"1\""};
  EXPECT_EQ(running_->Metric("glowworm_requests_total", labels), 1);
  EXPECT_FALSE(LogLikelihood(request, &response).ok());
  EXPECT_EQ(running_->Metric("glowworm_requests_total", labels), 2);
}

TEST_F(ServiceTest, EchoesTheRequestIdOnSuccessAndFailure) {
  Start();
  for (const int64_t rows : {1, 0}) {
    grpc::ClientContext context;
    context.AddMetadata("x-request-id", "abc 123");
    v1::LogLikelihoodResponse response;
    EXPECT_EQ(stub()->LogLikelihood(&context, Score(rows), &response).ok(), rows == 1);
    const auto& metadata = context.GetServerInitialMetadata();
    const auto it = metadata.find("x-request-id");
    ASSERT_NE(it, metadata.end());
    EXPECT_EQ(std::string(it->second.data(), it->second.size()), "abc_123");
  }
}

TEST_F(ServiceTest, RefusesWhatDoesNotFitTheQueueWithAdviceToWait) {
  repository_.Put("slow", 1, SlowFlow(1024));
  // Two rows of the slow flow fit, a third does not.
  Start([](ServerOptions* o) {
    o->precision = Precision::kFloat64;
    o->max_queue_bytes = 20000;
  });
  v1::LogLikelihoodRequest request;
  request.mutable_model()->set_name("slow");
  *request.mutable_x() = SomeRows(2, {2, 32, 32});
  grpc::ClientContext busy;
  grpc::CompletionQueue queue;
  v1::LogLikelihoodResponse response, refused;
  grpc::Status status;
  auto call = stub()->AsyncLogLikelihood(&busy, request, &queue);
  call->Finish(&response, &status, nullptr);
  while (running_->Metric("glowworm_pending_bytes", {"slow"}) == 0) std::this_thread::yield();

  grpc::ClientContext context;
  const grpc::Status refusal = stub()->LogLikelihood(&context, request, &refused);
  EXPECT_EQ(refusal.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  const auto& trailers = context.GetServerTrailingMetadata();
  ASSERT_EQ(trailers.count("grpc-retry-pushback-ms"), 1u);
  EXPECT_EQ(Reason(context), "queue_bytes");

  void* tag;
  bool ok;
  ASSERT_TRUE(queue.Next(&tag, &ok));
  EXPECT_TRUE(status.ok()) << status.error_message();
  queue.Shutdown();
  while (queue.Next(&tag, &ok)) {
  }
  // The bytes come back when gRPC has sent the reply, a moment after the caller may have it.
  while (running_->Metric("glowworm_pending_bytes", {"slow"}) > 0) std::this_thread::yield();
  v1::LogLikelihoodResponse next;
  EXPECT_TRUE(LogLikelihood(request, &next).ok());
}

TEST_F(ServiceTest, RefusesWhatCouldNeverFit) {
  Start([](ServerOptions* o) { o->max_queue_bytes = 4096; });
  v1::LogLikelihoodResponse response;
  const grpc::Status status = LogLikelihood(Score(1000), &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_GT(status.error_message().size(), 12u);
}

TEST_F(ServiceTest, NeverComputesARowWhoseDeadlinePassedInTheQueue) {
  constexpr int kLongRows = 3;  // each far longer than the deadline
  repository_.Put("slow", 1, SlowFlow(1536));
  Start([](ServerOptions* o) { o->precision = Precision::kFloat64; });
  v1::LogLikelihoodRequest request;
  request.mutable_model()->set_name("slow");
  *request.mutable_x() = SomeRows(1, {2, 32, 32});
  std::vector<std::thread> busy;
  v1::LogLikelihoodRequest long_one = request;
  *long_one.mutable_x() = SomeRows(kLongRows, {2, 32, 32});
  busy.emplace_back([&] {
    v1::LogLikelihoodResponse response;
    EXPECT_TRUE(LogLikelihood(long_one, &response).ok());
  });
  // Until the thread is computing: nothing waits, and the request's bytes are held.
  while (running_->Metric("glowworm_pending_bytes", {"slow"}) == 0 ||
         running_->Metric("glowworm_pending_rows", {"slow"}) >= kLongRows) {
    std::this_thread::yield();
  }
  const auto start = system_clock::now();
  grpc::ClientContext context;
  context.set_deadline(start + milliseconds(50));
  v1::LogLikelihoodResponse response;
  const grpc::Status status = stub()->LogLikelihood(&context, Score(3), &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_LT(system_clock::now() - start, milliseconds(400));
  for (std::thread& thread : busy) thread.join();
  running_->Stop();
  EXPECT_EQ(running_->Metric("glowworm_rows_total", {"model=\"small\""}), 0);
  EXPECT_EQ(running_->Metric("glowworm_rows_total", {"model=\"slow\""}), kLongRows);
}

TEST_F(ServiceTest, SurvivesAStormOfCancelledCalls) {
  Start();
  const v1::LogLikelihoodRequest request = Score(64);
  grpc::CompletionQueue queue;
  constexpr int kCalls = 300;
  struct Call {
    grpc::ClientContext context;
    v1::LogLikelihoodResponse response;
    grpc::Status status;
    std::unique_ptr<grpc::ClientAsyncResponseReader<v1::LogLikelihoodResponse>> reader;
  };
  std::vector<Call> calls(kCalls);
  for (int i = 0; i < kCalls; ++i) {
    calls[i].reader = stub()->AsyncLogLikelihood(&calls[i].context, request, &queue);
    calls[i].reader->Finish(&calls[i].response, &calls[i].status, nullptr);
    if (i % 3 != 0) calls[i].context.TryCancel();
  }
  void* tag;
  bool ok;
  for (int i = 0; i < kCalls; ++i) ASSERT_TRUE(queue.Next(&tag, &ok));
  queue.Shutdown();
  while (queue.Next(&tag, &ok)) {
  }
  for (int i = 0; i < kCalls; i += 3) EXPECT_TRUE(calls[i].status.ok()) << calls[i].status.error_message();
  running_->Stop();
  EXPECT_EQ(running_->Metric("glowworm_requests_in_flight"), 0);
  EXPECT_EQ(running_->Metric("glowworm_pending_bytes"), 0);
}

TEST_F(ServiceTest, CountsWhatTheClientCounts) {
  Start();
  v1::LogLikelihoodResponse response;
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(LogLikelihood(Score(3), &response).ok());
  for (int i = 0; i < 2; ++i) EXPECT_FALSE(LogLikelihood(Score(0), &response).ok());
  v1::LogLikelihoodRequest unknown = Score(1);
  unknown.mutable_model()->set_name("nope");
  EXPECT_FALSE(LogLikelihood(unknown, &response).ok());
  const std::string calls = "glowworm_requests_total";
  EXPECT_EQ(running_->Metric(calls, {"code=\"OK\"", "model=\"small\""}), 5);
  EXPECT_EQ(running_->Metric(calls, {"code=\"INVALID_ARGUMENT\"", "model=\"small\""}), 2);
  EXPECT_EQ(running_->Metric(calls, {"code=\"NOT_FOUND\"", "model=\"\""}), 1);
  EXPECT_EQ(running_->Metric("glowworm_rows_total", {"status=\"OK\""}), 15);
  EXPECT_EQ(running_->Metric("glowworm_negative_log_likelihood_nats_per_dim_count"), 15);
}

}  // namespace
}  // namespace glowworm
