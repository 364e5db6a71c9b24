// Ten thousand calls that their callers give up, at every stage of a call: whatever they held comes back, and
// the next call gets the bits that it got before. Under AddressSanitizer this is also the check for leaks.

#include <fcntl.h>
#include <grpcpp/create_channel_posix.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <deque>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "server/log.h"
#include "server/mutex.h"
#include "tests/server/running_server.h"

namespace glowworm {
namespace {

using grpc::StatusCode;
using Stub = v1::DensityService::Stub;

constexpr absl::Duration kBound = absl::Seconds(100);  // more than any of it takes

v1::LogLikelihoodRequest Score(const std::string& model, int64_t rows) {
  v1::LogLikelihoodRequest request;
  request.mutable_model()->set_name(model);
  *request.mutable_x() = model == "small" ? SomeRows(rows, {6}) : SomeRows(rows, {2, 32, 32});
  return request;
}

v1::SampleRequest EndlessSamples() {
  v1::SampleRequest request;
  request.mutable_model()->set_name("small");
  request.set_num_samples(int64_t{1} << 40);
  request.set_seed(42);
  return request;
}

// Unary calls under way together. Not thread-safe.
class Calls {
 public:
  explicit Calls(Stub* stub) : stub_(stub) {}
  ~Calls() { Await(); }

  grpc::ClientContext* Start(const v1::LogLikelihoodRequest& request,
                             absl::Time deadline = absl::InfiniteFuture()) {
    Call& call = calls_.emplace_back();
    call.request = request;
    if (deadline != absl::InfiniteFuture()) call.context.set_deadline(absl::ToChronoTime(deadline));
    stub_->async()->LogLikelihood(&call.context, &call.request, &call.response,
                                  [this, &call](grpc::Status status) {
                                    MutexLock lock(&mutex_);
                                    call.code = status.error_code();
                                    ++ended_;
                                    ended_changed_.notify_all();
                                  });
    return &call.context;
  }
  void Cancel() {
    for (Call& call : calls_) call.context.TryCancel();
  }
  // Waits for every one. How many ended so.
  int Await(StatusCode code = StatusCode::OK) {
    MutexLock lock(&mutex_);
    while (ended_ < calls_.size()) ended_changed_.wait(mutex_);
    int count = 0;
    for (const Call& call : calls_) count += call.code == code ? 1 : 0;
    return count;
  }
  int size() const { return static_cast<int>(calls_.size()); }

 private:
  struct Call {
    grpc::ClientContext context;
    v1::LogLikelihoodRequest request;
    v1::LogLikelihoodResponse response;
    StatusCode code = StatusCode::UNKNOWN;
  };

  Stub* const stub_;
  std::deque<Call> calls_;
  Mutex mutex_;
  CondVar ended_changed_;
  size_t ended_ = 0;
};

// A connection that the test cuts under the calls.
class Cable {
 public:
  explicit Cable(const std::string& address) : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in to{};
    to.sin_family = AF_INET;
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    to.sin_port = htons(static_cast<uint16_t>(ParseHostPort(address)->port));
    EXPECT_EQ(connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof(to)), 0);
    const int fd = dup(fd_);  // gRPC's own, which it closes
    fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
    stub_ = v1::DensityService::NewStub(grpc::CreateInsecureChannelFromFd(address, fd));
  }
  ~Cable() { close(fd_); }
  void Cut() { shutdown(fd_, SHUT_RDWR); }
  Stub* stub() { return stub_.get(); }

 private:
  const int fd_;
  std::unique_ptr<Stub> stub_;
};

class CancelTest : public RunningServerTest {
 protected:
  static void SetUpTestSuite() { StartLog("off"); }  // a line for each call
  static void TearDownTestSuite() { StopLog(); }

  void SetUp() override {
    repository_.Put("slow", 1, SlowFlow(128));      // a fraction of a millisecond a row
    repository_.Put("slowest", 1, SlowFlow(1024));  // tens of milliseconds
    Start([](ServerOptions* o) { o->max_batch_rows = 4; });
    before_ = Answer();
  }
  void TearDown() override {
    for (const char* held :
         {"glowworm_requests_in_flight", "glowworm_pending_rows", "glowworm_pending_bytes"}) {
      AwaitMetric(held, 0);
    }
    EXPECT_EQ(Answer(), before_);
  }

  std::string Answer() {
    grpc::ClientContext context;
    v1::LogLikelihoodResponse response;
    const grpc::Status status = stub()->LogLikelihood(&context, Score("small", 40), &response);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return response.SerializeAsString();
  }
  // Calls that have arrived since the server began.
  double Arrived() {
    return running_->Metric("glowworm_requests_in_flight") + running_->Metric("glowworm_requests_total");
  }
  void AwaitMetric(const std::string& name, double value) {
    const absl::Time end = absl::Now() + kBound;
    while (running_->Metric(name) != value && absl::Now() < end) std::this_thread::yield();
    EXPECT_EQ(running_->Metric(name), value) << name;
  }
  // What a caller may do, `count` times each.
  void CancelAtOnce(Stub* stub, int count) {
    Calls calls(stub);
    for (int i = 0; i < count; ++i) calls.Start(Score("small", 1 + i % 9))->TryCancel();
    EXPECT_EQ(calls.Await(StatusCode::CANCELLED) + calls.Await(StatusCode::OK), count);
  }
  void CancelAtRandomMoments(Stub* stub, int count, unsigned seed) {
    std::minstd_rand random(seed);
    for (int i = 0; i < count; i += 10) {
      Calls calls(stub);
      for (int k = 0; k < 10; ++k) calls.Start(Score(k % 2 == 0 ? "slow" : "small", 1 + k));
      const absl::Time moment = absl::Now() + absl::Microseconds(random() % 20000);
      while (absl::Now() < moment) std::this_thread::yield();
      calls.Cancel();
      EXPECT_EQ(calls.Await(StatusCode::CANCELLED) + calls.Await(StatusCode::OK), 10);
    }
  }
  void LetDeadlinesPass(Stub* stub, int count, unsigned seed) {
    std::minstd_rand random(seed);
    for (int i = 0; i < count; i += 50) {
      Calls calls(stub);
      for (int k = 0; k < 50; ++k) {
        calls.Start(Score(k % 10 == 0 ? "slow" : "small", 2),
                    absl::Now() + absl::Microseconds(random() % 10000));
      }
      EXPECT_EQ(calls.Await(StatusCode::DEADLINE_EXCEEDED) + calls.Await(StatusCode::OK), 50);
    }
  }
  void CancelSampleStreams(Stub* stub, int count) {
    for (int i = 0; i < count; ++i) {
      grpc::ClientContext context;
      const auto stream = stub->StreamSamples(&context, EndlessSamples());
      v1::SampleResponse chunk;
      for (int k = 0; k < i % 3; ++k) EXPECT_TRUE(stream->Read(&chunk));  // or none: cancelled as it starts
      context.TryCancel();
      while (stream->Read(&chunk)) {
      }
      EXPECT_EQ(stream->Finish().error_code(), StatusCode::CANCELLED);
    }
  }
  void CancelScoreStreams(Stub* stub, int count) {
    for (int i = 0; i < count; ++i) {
      grpc::ClientContext context;
      const auto stream = stub->StreamLogLikelihood(&context);
      v1::LogLikelihoodResponse response;
      for (int k = 0; k < i % 5; ++k) EXPECT_TRUE(stream->Write(Score(k % 2 == 0 ? "small" : "slow", 1 + k)));
      for (int k = 0; k < i % 5 - 1; ++k) EXPECT_TRUE(stream->Read(&response));
      context.TryCancel();
      EXPECT_EQ(stream->Finish().error_code(), StatusCode::CANCELLED);
    }
  }
  // Twenty calls to a connection.
  void CutConnections(int count, unsigned seed) {
    std::minstd_rand random(seed);
    for (int i = 0; i < count; i += 20) {
      Cable cable(running_->server()->address());
      Calls calls(cable.stub());
      for (int k = 0; k < 19; ++k) calls.Start(Score(k % 2 == 0 ? "slow" : "small", 2));
      grpc::ClientContext context;
      const auto stream = cable.stub()->StreamSamples(&context, EndlessSamples());
      v1::SampleResponse chunk;
      EXPECT_TRUE(stream->Read(&chunk));
      const absl::Time moment = absl::Now() + absl::Microseconds(random() % 5000);
      while (absl::Now() < moment) std::this_thread::yield();
      cable.Cut();
      while (stream->Read(&chunk)) {
      }
      EXPECT_EQ(stream->Finish().error_code(), StatusCode::UNAVAILABLE);
      EXPECT_EQ(calls.Await(StatusCode::UNAVAILABLE) + calls.Await(StatusCode::OK), 19);
    }
  }

  std::string before_;
};

TEST_F(CancelTest, AsSoonAsTheyStart) { CancelAtOnce(stub(), 1000); }

TEST_F(CancelTest, WhileTheyWaitInTheQueue) {
  constexpr int kWaves = 10, kCalls = 99;  // with one more, what a connection carries
  for (int wave = 0; wave < kWaves; ++wave) {
    const double before = Arrived();
    Calls patient(stub()), others(stub());
    for (int i = 0; i < kCalls; ++i) others.Start(Score("slowest", 8));  // many seconds, all together
    patient.Start(Score("slowest", 8));
    const absl::Time end = absl::Now() + kBound;
    while (Arrived() < before + kCalls + 1 && absl::Now() < end) std::this_thread::yield();
    others.Cancel();
    const int cancelled = others.Await(StatusCode::CANCELLED);
    EXPECT_EQ(cancelled + others.Await(StatusCode::OK), kCalls);
    EXPECT_GT(cancelled, kCalls / 2) << "few are computed before the last has arrived";
    EXPECT_EQ(patient.Await(StatusCode::OK), 1);
  }
}

TEST_F(CancelTest, AtRandomMoments) { CancelAtRandomMoments(stub(), 2000, 5); }

TEST_F(CancelTest, ByTheirDeadlines) { LetDeadlinesPass(stub(), 1000, 5); }

TEST_F(CancelTest, StreamsWhileTheServerWrites) { CancelSampleStreams(stub(), 1000); }

TEST_F(CancelTest, StreamsWithMessagesOfEveryStage) { CancelScoreStreams(stub(), 1000); }

TEST_F(CancelTest, ByConnectionsThatAreCut) { CutConnections(1000, 5); }

TEST_F(CancelTest, AllOfItAtOnce) {
  constexpr int kEach = 340;
  const std::vector<std::function<void(Stub*)>> manners = {
      [&](Stub* stub) { CancelAtOnce(stub, kEach); },
      [&](Stub* stub) { CancelAtRandomMoments(stub, kEach, 1); },
      [&](Stub* stub) { LetDeadlinesPass(stub, kEach, 2); },
      [&](Stub* stub) { CancelSampleStreams(stub, kEach); },
      [&](Stub* stub) { CancelScoreStreams(stub, kEach); },
      [&](Stub*) { CutConnections(kEach, 3); },
  };
  std::vector<std::thread> callers;
  for (const auto& manner : manners) {
    callers.emplace_back([this, &manner] { manner(running_->NewStub().get()); });
  }
  for (std::thread& caller : callers) caller.join();
}

}  // namespace
}  // namespace glowworm
