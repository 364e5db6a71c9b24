// The admin listener over gRPC: what its calls do, and that no other listener has them.

#include "server/admin_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "inference/grpc_service.grpc.pb.h"
#include "tests/server/running_server.h"

namespace glowworm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Admin = inference::GRPCInferenceService;

class AdminServiceTest : public RunningServerTest {
 protected:
  void StartExplicit() {
    Start([](ServerOptions* options) {
      options->repository_mode = RepositoryMode::kExplicit;
      options->admin = "127.0.0.1:0";
    });
    admin_ = StubAt(running_->server()->admin_address());
  }
  static std::unique_ptr<Admin::Stub> StubAt(const std::string& address) {
    return Admin::NewStub(grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
  }

  static inference::RepositoryModelLoadRequest LoadRequest(const std::string& model) {
    inference::RepositoryModelLoadRequest request;
    request.set_model_name(model);
    return request;
  }
  grpc::Status Load(const inference::RepositoryModelLoadRequest& request) {
    grpc::ClientContext context;
    inference::RepositoryModelLoadResponse response;
    return admin_->RepositoryModelLoad(&context, request, &response);
  }
  grpc::Status Load(const std::string& model) { return Load(LoadRequest(model)); }
  grpc::Status Unload(const std::string& model, int64_t version = 0) {
    grpc::ClientContext context;
    inference::RepositoryModelUnloadRequest request;
    inference::RepositoryModelUnloadResponse response;
    request.set_model_name(model);
    (*request.mutable_parameters())["unload_dependents"].set_bool_param(false);
    if (version > 0) (*request.mutable_parameters())["version"].set_int64_param(version);
    return admin_->RepositoryModelUnload(&context, request, &response);
  }
  // "name/version STATE reason" of each.
  std::vector<std::string> Index(bool ready = false) {
    grpc::ClientContext context;
    inference::RepositoryIndexRequest request;
    inference::RepositoryIndexResponse response;
    request.set_ready(ready);
    EXPECT_TRUE(admin_->RepositoryIndex(&context, request, &response).ok());
    std::vector<std::string> out;
    for (const auto& model : response.models()) {
      out.push_back(
          absl::StrCat(model.name(), "/", model.version(), " ", model.state(), " ", model.reason()));
    }
    return out;
  }
  grpc::StatusCode Score(int64_t version) {
    grpc::ClientContext context;
    v1::LogLikelihoodRequest request;
    v1::LogLikelihoodResponse response;
    request.mutable_model()->set_name("small");
    request.mutable_model()->set_version(version);
    *request.mutable_x() = SomeRows(3, {6});
    return stub()->LogLikelihood(&context, request, &response).error_code();
  }

  std::unique_ptr<Admin::Stub> admin_;
};

TEST_F(AdminServiceTest, LoadsIndexesAndUnloads) {
  StartExplicit();
  repository_.Put("small", 2, SmallFlow());
  EXPECT_THAT(Index(), ElementsAre("small/1 READY ", "small/2 UNAVAILABLE unloaded"));
  EXPECT_TRUE(Load("small").ok());
  EXPECT_EQ(Score(2), grpc::StatusCode::OK);
  EXPECT_TRUE(Unload("small", 1).ok());
  EXPECT_EQ(Score(1), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(Index(), ElementsAre("small/1 UNAVAILABLE unloaded", "small/2 READY "));
  EXPECT_THAT(Index(/*ready=*/true), ElementsAre("small/2 READY "));
}

TEST_F(AdminServiceTest, LoadsTheVersionThatAParameterNames) {
  StartExplicit();
  for (const int version : {2, 3}) repository_.Put("small", version, SmallFlow());
  auto request = LoadRequest("small");
  (*request.mutable_parameters())["version"].set_int64_param(3);
  EXPECT_TRUE(Load(request).ok());
  EXPECT_THAT(Index(/*ready=*/true), ElementsAre("small/1 READY ", "small/3 READY "));
  (*request.mutable_parameters())["version"].set_string_param("2");
  EXPECT_TRUE(Load(request).ok());
  EXPECT_THAT(Index(/*ready=*/true), ElementsAre("small/1 READY ", "small/2 READY ", "small/3 READY "));
}

TEST_F(AdminServiceTest, ABadVersionFailsTheCallAndLeavesTheOldOneServing) {
  StartExplicit();
  repository_.PutBytes("small", 2, "not a flow");
  const grpc::Status status = Load("small");
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(status.error_message(), HasSubstr("model 'small' version 2 failed to load: "));
  EXPECT_THAT(Index(), ElementsAre("small/1 READY ", HasSubstr("small/2 UNAVAILABLE ")));
  EXPECT_EQ(Score(0), grpc::StatusCode::OK);
  EXPECT_EQ(running_->Metric("glowworm_model_loads_total", {"model=\"small\"", "result=\"failed\""}), 1);
  EXPECT_EQ(running_->Metric("glowworm_model_loads_total", {"model=\"small\"", "result=\"ok\""}), 1);
}

TEST_F(AdminServiceTest, RefusesRequestsThatAskForWhatThereIsNot) {
  StartExplicit();
  EXPECT_EQ(Load("nope").error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(Unload("nope").error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(Unload("small", 9).error_code(), grpc::StatusCode::NOT_FOUND);
  for (const char* name : {"", "../small", "small/1", "a\nb"}) {
    EXPECT_EQ(Load(name).error_code(), grpc::StatusCode::INVALID_ARGUMENT) << name;
  }
  auto request = LoadRequest("small");
  request.set_repository_name("another");
  EXPECT_EQ(Load(request).error_code(), grpc::StatusCode::NOT_FOUND);
  for (const char* version : {"0", "-1", "x", ""}) {
    request = LoadRequest("small");
    (*request.mutable_parameters())["version"].set_string_param(version);
    EXPECT_EQ(Load(request).error_code(), grpc::StatusCode::INVALID_ARGUMENT) << version;
  }
  request = LoadRequest("small");
  (*request.mutable_parameters())["config"].set_string_param("{}");
  EXPECT_THAT(Load(request).error_message(), HasSubstr("parameters['config']: not known"));
}

TEST_F(AdminServiceTest, IsOnTheAdminListenerAlone) {
  StartExplicit();
  const auto public_stub = StubAt(running_->server()->address());
  grpc::ClientContext context;
  inference::RepositoryIndexResponse response;
  EXPECT_EQ(public_stub->RepositoryIndex(&context, {}, &response).error_code(),
            grpc::StatusCode::UNIMPLEMENTED);
  const auto density = v1::DensityService::NewStub(
      grpc::CreateChannel(running_->server()->admin_address(), grpc::InsecureChannelCredentials()));
  grpc::ClientContext other;
  v1::ListModelsResponse models;
  EXPECT_EQ(density->ListModels(&other, {}, &models).error_code(), grpc::StatusCode::UNIMPLEMENTED);
}

TEST_F(AdminServiceTest, TheIndexIsThereInEveryModeAndLoadingOnlyInExplicit) {
  Start([](ServerOptions* options) { options->admin = "127.0.0.1:0"; });
  admin_ = StubAt(running_->server()->admin_address());
  EXPECT_THAT(Index(), ElementsAre("small/1 READY "));
  const grpc::Status status = Load("small");
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(status.error_message(), HasSubstr("--repository_mode=explicit"));
}

TEST_F(AdminServiceTest, SeriesOfAVersionGoWithIt) {
  StartExplicit();
  EXPECT_EQ(running_->Metric("glowworm_model_loaded", {"version=\"1\""}), 1);
  EXPECT_TRUE(Unload("small").ok());
  EXPECT_THAT(running_->server()->metrics().Text(), ::testing::Not(HasSubstr("version=\"1\"")));
  EXPECT_EQ(Score(0), grpc::StatusCode::NOT_FOUND);
  EXPECT_TRUE(Load("small").ok());
  EXPECT_EQ(running_->Metric("glowworm_model_loaded", {"version=\"1\""}), 1);
}

TEST_F(AdminServiceTest, AnUnloadWaitsForAStreamAndEndsItWhenThatTakesTooLong) {
  Start([](ServerOptions* options) {
    options->repository_mode = RepositoryMode::kExplicit;
    options->admin = "127.0.0.1:0";
    options->drain_timeout = absl::Milliseconds(100);
  });
  admin_ = StubAt(running_->server()->admin_address());
  grpc::ClientContext context;
  v1::SampleRequest request;
  request.set_num_samples(int64_t{1} << 40);
  auto stream = stub()->StreamSamples(&context, request);
  v1::SampleResponse chunk;
  ASSERT_TRUE(stream->Read(&chunk));
  grpc::Status unloaded;
  std::thread unload([&] { unloaded = Unload("small"); });
  while (stream->Read(&chunk)) {
  }
  const grpc::Status status = stream->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(Reason(context), "draining");
  const uint64_t next = chunk.first_index() + static_cast<uint64_t>(chunk.x().shape(0));
  EXPECT_THAT(status.error_message(), HasSubstr(absl::StrCat("first_index=", next)));
  unload.join();
  EXPECT_TRUE(unloaded.ok());
  EXPECT_THAT(Index(/*ready=*/true), IsEmpty());
}

TEST_F(AdminServiceTest, AnOpenStreamOfRequestsKeepsNoVersionInMemory) {
  StartExplicit();
  repository_.Put("small", 2, SmallFlow());
  grpc::ClientContext context;
  const auto stream = stub()->StreamLogLikelihood(&context);
  v1::LogLikelihoodRequest request;
  request.mutable_model()->set_name("small");
  *request.mutable_x() = SomeRows(3, {6});
  v1::LogLikelihoodResponse answer;
  const auto ask = [&] {
    EXPECT_TRUE(stream->Write(request));
    EXPECT_TRUE(stream->Read(&answer));
    return answer.model().version();
  };
  EXPECT_EQ(ask(), 1);
  EXPECT_TRUE(Load("small").ok());
  EXPECT_EQ(ask(), 2) << "each message finds the newest version";
  EXPECT_TRUE(Unload("small", 1).ok());
  EXPECT_EQ(ask(), 2);
  stream->WritesDone();
  EXPECT_TRUE(stream->Finish().ok());
}

}  // namespace
}  // namespace glowworm
