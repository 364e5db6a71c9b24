// A repository, a server and a client in one process.

#include "tests/server/running_server.h"

#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <cstring>
#include <fstream>
#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "model/flow_file.h"
#include "tests/testing/random_flow.h"

namespace glowworm {
namespace {

namespace fs = std::filesystem;

RandomFlow& AddSteps(RandomFlow& flow, int steps) {
  for (int i = 0; i < steps; ++i) flow.AddPlu(Side::kOutput, true, true).AddCoupling(CouplingOptions());
  return flow;
}

}  // namespace

TemporaryRepository::TemporaryRepository() {
  std::string name = (fs::path(::testing::TempDir()) / "glowworm-models-XXXXXX").string();
  path_ = mkdtemp(name.data());
}

TemporaryRepository::~TemporaryRepository() { fs::remove_all(path_); }

void TemporaryRepository::Put(const std::string& name, int64_t version, const FlowSpec& spec) {
  PutBytes(name, version, SerializeFlow(spec));
}

void TemporaryRepository::PutBytes(const std::string& name, int64_t version, const std::string& bytes) {
  const fs::path folder = path_ / name / absl::StrCat(version);
  fs::create_directories(folder);
  std::ofstream(folder / "flow.safetensors", std::ios::binary) << bytes;
}

FlowSpec SmallFlow() {
  RandomFlow flow(7, RowShape(6));
  return AddSteps(flow, 2).Finish(BaseKind::kStandard);
}

FlowSpec ConditionalFlow() {
  RandomFlow flow(8, RowShape(6), 2, 3);
  CouplingOptions coupling;
  coupling.net.concat = true;
  return flow.AddPlu(Side::kOutput, true, true).AddCoupling(coupling).Finish(BaseKind::kClass);
}

FlowSpec SlowFlow(int64_t hidden) {
  RandomFlow flow(9, ImageShape(2, 32, 32));
  CouplingOptions coupling;
  coupling.net.hidden = hidden;
  return flow.AddCoupling(coupling).Finish(BaseKind::kStandard);
}

ServerOptions LoopbackOptions(const TemporaryRepository& repository) {
  ServerOptions options;
  options.repository = repository.path();
  options.listen = "127.0.0.1:0";
  options.metrics = "";  // the listener takes two seconds to close
  options.threads = 1;
  options.lame_duck = absl::ZeroDuration();
  return options;
}

RunningServer::RunningServer(const ServerOptions& options) {
  auto started = Server::Start(options);
  if (!started.ok()) {
    ADD_FAILURE() << started.status();
    abort();
  }
  server_ = *std::move(started);
  EXPECT_TRUE(server_->WaitUntilLoaded().ok());
  EXPECT_TRUE(server_->Announce().ok());
  stub_ = NewStub();
}

RunningServer::~RunningServer() { Stop(); }

void RunningServer::Stop() {
  if (!stopped_) server_->Stop();
  stopped_ = true;
}

std::shared_ptr<grpc::Channel> RunningServer::NewChannel() const {
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  return grpc::CreateCustomChannel(server_->address(), grpc::InsecureChannelCredentials(), arguments);
}

// No generated code for grpc.health.v1 is installed, and none is needed: a request for the whole server is an
// empty message, SERVING is field 1 with the value 1.
bool RunningServer::Serving() const {
  grpc::GenericStub stub(NewChannel());
  grpc::ClientContext context;
  grpc::CompletionQueue queue;
  grpc::Slice empty("");
  const auto call =
      stub.PrepareUnaryCall(&context, "/grpc.health.v1.Health/Check", grpc::ByteBuffer(&empty, 1), &queue);
  call->StartCall();
  grpc::ByteBuffer reply;
  grpc::Status status;
  call->Finish(&reply, &status, nullptr);
  void* tag;
  bool ok;
  queue.Next(&tag, &ok);
  grpc::Slice bytes;
  return status.ok() && reply.DumpToSingleSlice(&bytes).ok() &&
         std::string(reinterpret_cast<const char*>(bytes.begin()), bytes.size()) == "\x08\x01";
}

std::string Reason(const grpc::ClientContext& context) {
  const auto& trailers = context.GetServerTrailingMetadata();
  const auto it = trailers.find("glowworm-reason");
  return it == trailers.end() ? "" : std::string(it->second.data(), it->second.size());
}

double RunningServer::Metric(const std::string& name, const std::vector<std::string>& labels) const {
  std::istringstream text(server_->metrics().Text());
  double sum = 0;
  for (std::string line; std::getline(text, line);) {
    if (!absl::StartsWith(line, name + "{") && !absl::StartsWith(line, name + " ")) continue;
    bool all = true;
    for (const std::string& label : labels) all = all && absl::StrContains(line, label);
    double value = 0;
    if (all && absl::SimpleAtod(line.substr(line.rfind(' ') + 1), &value)) sum += value;
  }
  return sum;
}

v1::Tensor SomeRows(int64_t rows, const std::vector<int64_t>& row_shape, int first) {
  v1::Tensor out;
  out.set_dtype(v1::DATA_TYPE_FLOAT32);
  out.add_shape(rows);
  int64_t numbers = rows;
  for (const int64_t d : row_shape) {
    out.add_shape(d);
    numbers *= d;
  }
  std::string* data = out.mutable_data();
  data->resize(static_cast<size_t>(4 * numbers));
  for (int64_t i = 0; i < numbers; ++i) {
    const float value = static_cast<float>((first + i) % 101) / 50.0f - 1.0f;
    std::memcpy(data->data() + 4 * i, &value, 4);
  }
  return out;
}

}  // namespace glowworm
