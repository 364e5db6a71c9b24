// A server's start and stop within one process: ports, health, drain. The process itself (signals, exit
// codes, the port file) is tested in tests/e2e.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "tests/server/running_server.h"

namespace glowworm {
namespace {

using ::testing::HasSubstr;

class LifecycleTest : public ::testing::Test {
 protected:
  LifecycleTest() { repository_.Put("small", 1, SmallFlow()); }

  static v1::LogLikelihoodRequest Score(int64_t rows) {
    v1::LogLikelihoodRequest request;
    request.mutable_model()->set_name("small");
    *request.mutable_x() = SomeRows(rows, {6});
    return request;
  }
  static grpc::Status Call(v1::DensityService::Stub* stub, int64_t rows) {
    grpc::ClientContext context;
    v1::LogLikelihoodResponse response;
    return stub->LogLikelihood(&context, Score(rows), &response);
  }
  absl::Status StartStatus(const ServerOptions& options) { return Server::Start(options).status(); }

  TemporaryRepository repository_;
};

TEST_F(LifecycleTest, RefusesAPortThatAnotherServerHas) {
  RunningServer first(LoopbackOptions(repository_));
  ServerOptions second = LoopbackOptions(repository_);
  second.listen = first.server()->address();
  const absl::Status status = StartStatus(second);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr("cannot listen for gRPC on " + second.listen));
}

TEST_F(LifecycleTest, RefusesAMetricsPortThatAnotherServerHas) {
  ServerOptions options = LoopbackOptions(repository_);
  options.metrics = "127.0.0.1:0";
  RunningServer first(options);
  ServerOptions second = LoopbackOptions(repository_);
  second.metrics = first.server()->metrics_address();
  EXPECT_THAT(std::string(StartStatus(second).message()), HasSubstr("cannot listen for metrics"));
}

TEST_F(LifecycleTest, RunsWithoutAMetricsListener) {
  RunningServer running(LoopbackOptions(repository_));
  EXPECT_EQ(running.server()->metrics_address(), "none");
  EXPECT_TRUE(Call(running.stub(), 1).ok());
}

TEST_F(LifecycleTest, CannotServeAnEmptyRepository) {
  TemporaryRepository empty;
  auto server = Server::Start(LoopbackOptions(empty));
  ASSERT_TRUE(server.ok());
  EXPECT_EQ((*server)->WaitUntilLoaded().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(LifecycleTest, ServesWhatLoadsUnlessToldOtherwise) {
  repository_.PutBytes("broken", 1, "not a flow");
  ServerOptions options = LoopbackOptions(repository_);
  RunningServer running(options);
  EXPECT_TRUE(Call(running.stub(), 1).ok());
  options.exit_on_load_error = true;
  auto strict = Server::Start(options);
  ASSERT_TRUE(strict.ok());
  EXPECT_THAT(std::string((*strict)->WaitUntilLoaded().message()), HasSubstr("1 of the models"));
}

TEST_F(LifecycleTest, IsNeverHealthyAgainOnceItStops) {
  ServerOptions options = LoopbackOptions(repository_);
  options.lame_duck = absl::Seconds(2);
  RunningServer running(options);
  EXPECT_TRUE(running.Serving());
  auto stopped = std::async(std::launch::async, [&] { running.Stop(); });
  while (running.Serving()) std::this_thread::yield();
  EXPECT_TRUE(running.server()->Announce().ok());  // a load that ends only now
  EXPECT_FALSE(running.Serving());
  EXPECT_TRUE(Call(running.stub(), 1).ok());  // so it was the lame duck that answered
  stopped.get();
}

TEST_F(LifecycleTest, StopsWhileModelsLoad) {
  for (int version = 1; version <= 4; ++version) repository_.Put("slow", version, SlowFlow());
  for (int i = 0; i < 8; ++i) {
    auto server = Server::Start(LoopbackOptions(repository_));
    ASSERT_TRUE(server.ok()) << server.status();
    if (i % 2 == 0) (*server)->Stop();
    server->reset();  // with a load under way
  }
}

TEST_F(LifecycleTest, AnswersEverythingThatWasTakenBeforeItStops) {
  repository_.Put("slow", 1, SlowFlow());
  RunningServer running(LoopbackOptions(repository_));
  v1::LogLikelihoodRequest request;
  request.mutable_model()->set_name("slow");
  *request.mutable_x() = SomeRows(2, {2, 32, 32});
  std::vector<std::future<grpc::Status>> calls;
  for (int i = 0; i < 6; ++i) {
    calls.push_back(std::async(std::launch::async, [&] {
      grpc::ClientContext context;
      v1::LogLikelihoodResponse response;
      return running.stub()->LogLikelihood(&context, request, &response);
    }));
  }
  // Until all six have arrived, whether or not the first has been answered.
  while (running.Metric("glowworm_requests_in_flight") + running.Metric("glowworm_requests_total") < 6) {
    std::this_thread::yield();
  }
  running.Stop();
  for (auto& call : calls) {
    const grpc::Status status = call.get();
    EXPECT_TRUE(status.ok()) << status.error_message();
  }
}

TEST_F(LifecycleTest, EndsWhatDoesNotDrainInTime) {
  repository_.Put("slow", 1, SlowFlow());
  ServerOptions options = LoopbackOptions(repository_);
  options.precision = Precision::kFloat64;
  options.drain_timeout = absl::Milliseconds(1);
  RunningServer running(options);
  v1::LogLikelihoodRequest request;
  request.mutable_model()->set_name("slow");
  *request.mutable_x() = SomeRows(40, {2, 32, 32});
  auto call = std::async(std::launch::async, [&] {
    grpc::ClientContext context;
    v1::LogLikelihoodResponse response;
    return running.stub()->LogLikelihood(&context, request, &response);
  });
  while (running.Metric("glowworm_pending_bytes") == 0) std::this_thread::yield();
  running.Stop();
  EXPECT_EQ(call.get().error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(LifecycleTest, StopsWhileCallersKeepComing) {
  ServerOptions options = LoopbackOptions(repository_);
  options.lame_duck = absl::Milliseconds(50);
  RunningServer running(options);
  std::atomic<bool> done{false};
  std::atomic<int> answered{0}, odd{0};
  std::vector<std::thread> callers;
  for (int i = 0; i < 4; ++i) {
    callers.emplace_back([&] {
      while (!done) {
        const grpc::Status status = Call(running.stub(), 20);
        if (status.ok()) {
          ++answered;
        } else if (status.error_code() != grpc::StatusCode::UNAVAILABLE &&
                   status.error_code() != grpc::StatusCode::CANCELLED) {
          ++odd;
        }
      }
    });
  }
  while (answered < 50) std::this_thread::yield();
  running.Stop();
  done = true;
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(odd, 0);
}

}  // namespace
}  // namespace glowworm
