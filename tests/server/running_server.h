// RunningServer: a Server of this process on loopback, over a repository of flows that a test makes, and a
// client's view of it. Shared by service_test.cc, stream_test.cc and lifecycle_test.cc.

#ifndef GLOWWORM_TESTS_SERVER_RUNNING_SERVER_H_
#define GLOWWORM_TESTS_SERVER_RUNNING_SERVER_H_

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "glowworm/v1/density.grpc.pb.h"
#include "model/flow_spec.h"
#include "server/server.h"

namespace glowworm {

// A folder of models that goes with the object.
class TemporaryRepository {
 public:
  TemporaryRepository();
  ~TemporaryRepository();
  TemporaryRepository(const TemporaryRepository&) = delete;
  TemporaryRepository& operator=(const TemporaryRepository&) = delete;

  void Put(const std::string& name, int64_t version, const FlowSpec& spec);
  void PutBytes(const std::string& name, int64_t version, const std::string& bytes);
  std::string path() const { return path_.string(); }

 private:
  std::filesystem::path path_;
};

// Six numbers a row, some layers; quick.
FlowSpec SmallFlow();
// The same with a context of two numbers and three classes.
FlowSpec ConditionalFlow();
// A flow of images [2, 32, 32] that costs some 2000 hidden^2 operations a row: tens of milliseconds of a core
// in float64 with the default, half a second with 1536.
FlowSpec SlowFlow(int64_t hidden = 384);

// A free port, no metrics listener, one thread, no lame duck.
ServerOptions LoopbackOptions(const TemporaryRepository& repository);

// The trailer that says why a call was refused; empty if there is none.
std::string Reason(const grpc::ClientContext& context);

class RunningServer {
 public:
  // Waits until the models are loaded and the server is announced.
  explicit RunningServer(const ServerOptions& options);
  ~RunningServer();  // stops it

  Server* server() { return server_.get(); }
  v1::DensityService::Stub* stub() { return stub_.get(); }
  // A stub over a connection of its own.
  std::unique_ptr<v1::DensityService::Stub> NewStub() const {
    return v1::DensityService::NewStub(NewChannel());
  }
  void Stop();
  // Whether the server's health service says SERVING of the server as a whole.
  bool Serving() const;

  // The sum of the series of this name whose labels all occur.
  double Metric(const std::string& name, const std::vector<std::string>& labels = {}) const;

 private:
  std::shared_ptr<grpc::Channel> NewChannel() const;

  std::unique_ptr<Server> server_;
  std::unique_ptr<v1::DensityService::Stub> stub_;
  bool stopped_ = false;
};

// A server with the small flow as "small", and whatever else a test puts into the repository first.
class RunningServerTest : public ::testing::Test {
 protected:
  void Start(const std::function<void(ServerOptions*)>& change = [](ServerOptions*) {}) {
    repository_.Put("small", 1, SmallFlow());
    ServerOptions options = LoopbackOptions(repository_);
    change(&options);
    running_ = std::make_unique<RunningServer>(options);
  }
  v1::DensityService::Stub* stub() { return running_->stub(); }

  TemporaryRepository repository_;
  std::unique_ptr<RunningServer> running_;
};

// (rows, shape...) of small numbers that differ, as FLOAT32.
v1::Tensor SomeRows(int64_t rows, const std::vector<int64_t>& row_shape, int first = 0);

}  // namespace glowworm

#endif  // GLOWWORM_TESTS_SERVER_RUNNING_SERVER_H_
