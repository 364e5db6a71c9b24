// A server on CUDA devices, which a toy plug-in (tests/testing/toy_plugin.cc) stands for: what it says of
// them, and what becomes of calls when one fails.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include "server/device_metrics.h"
#include "tests/server/running_server.h"
#include "tests/testing/random_flow.h"

namespace glowworm {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

FlowSpec FlowOf(int64_t numbers) {
  RandomFlow flow(3, RowShape(numbers));
  return flow.AddPlu(Side::kOutput, true, true).Finish(BaseKind::kStandard);
}

class DeviceTest : public RunningServerTest {
 protected:
  DeviceTest() { UsePlugin("toy"); }
  ~DeviceTest() override { unsetenv("GLOWWORM_CUDA_PLUGIN"); }

  static void UsePlugin(const std::string& variant) {
    setenv("GLOWWORM_CUDA_PLUGIN",
           (std::string(TOY_PLUGINS) + "/libglowworm_cuda_" + variant + ".so").c_str(), 1);
  }
  void StartOn(const std::string& device) {
    Start([&](ServerOptions* options) {
      options->device = device;
      options->threads = 0;
    });
  }

  // Rows whose first number is this, which is the toy's log p too; it fails with 666.
  static v1::LogLikelihoodRequest Rows(int64_t count, float first) {
    v1::LogLikelihoodRequest request;
    request.mutable_model()->set_name("small");
    std::vector<float> numbers(count * 6, 0.f);
    for (int64_t r = 0; r < count; ++r) numbers[r * 6] = first;
    v1::Tensor* x = request.mutable_x();
    x->set_dtype(v1::DATA_TYPE_FLOAT32);
    x->add_shape(count);
    x->add_shape(6);
    x->set_data(numbers.data(), numbers.size() * sizeof(float));
    return request;
  }
  grpc::Status LogLikelihood(const v1::LogLikelihoodRequest& request, v1::LogLikelihoodResponse* response) {
    grpc::ClientContext context;
    return stub()->LogLikelihood(&context, request, response);
  }
  static void ExpectDeviceFailed(const grpc::Status& status) {
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INTERNAL);
    EXPECT_EQ(status.error_message(), "the device failed: an illegal memory access was encountered");
  }
};

TEST_F(DeviceTest, AFailedBatchIsItsCallersAloneAndTheServerGoesOn) {
  StartOn("cuda");
  v1::LogLikelihoodResponse response;
  for (int round = 0; round < 3; ++round) {
    EXPECT_TRUE(LogLikelihood(Rows(5, -2), &response).ok());
    EXPECT_THAT(response.log_likelihood(), ElementsAre(-2, -2, -2, -2, -2));
    ExpectDeviceFailed(LogLikelihood(Rows(2, 666), &response));
  }
  EXPECT_EQ(running_->Metric("glowworm_requests_total", {"code=\"INTERNAL\"", "model=\"small\""}), 3);
  EXPECT_EQ(running_->Metric("glowworm_rows_dropped_total", {"reason=\"failed\""}), 6);
  EXPECT_EQ(running_->Metric("glowworm_rows_total", {"work=\"encode\""}), 15);
  EXPECT_TRUE(running_->Serving());
}

TEST_F(DeviceTest, EveryKindOfCallTellsOfAFailure) {
  StartOn("cuda:0");
  {
    v1::EncodeRequest request;
    request.mutable_model()->set_name("small");
    *request.mutable_x() = Rows(1, 666).x();
    v1::EncodeResponse response;
    grpc::ClientContext context;
    ExpectDeviceFailed(stub()->Encode(&context, request, &response));
  }
  {
    v1::DecodeRequest request;
    request.mutable_model()->set_name("small");
    *request.mutable_z() = Rows(1, 666).x();
    v1::DecodeResponse response;
    grpc::ClientContext context;
    const grpc::Status status = stub()->Decode(&context, request, &response);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INTERNAL);
    EXPECT_EQ(status.error_message(), "the device could not decode");  // as it was said
  }
  v1::SampleRequest sample;
  sample.mutable_model()->set_name("small");
  sample.set_num_samples(3);
  sample.set_seed(666);
  v1::SampleResponse samples;
  {
    grpc::ClientContext context;
    ExpectDeviceFailed(stub()->Sample(&context, sample, &samples));
  }
  {
    grpc::ClientContext context;
    const auto stream = stub()->StreamSamples(&context, sample);
    EXPECT_FALSE(stream->Read(&samples));
    ExpectDeviceFailed(stream->Finish());
  }
  {
    grpc::ClientContext context;
    const auto stream = stub()->StreamLogLikelihood(&context);
    v1::LogLikelihoodResponse response;
    EXPECT_TRUE(stream->Write(Rows(1, 4)));
    EXPECT_TRUE(stream->Read(&response));
    EXPECT_TRUE(stream->Write(Rows(1, 666)));
    EXPECT_FALSE(stream->Read(&response));
    ExpectDeviceFailed(stream->Finish());
  }
}

TEST_F(DeviceTest, ModelsThatDoNotFitOrDoNotComputeFailToLoadAndOthersServe) {
  repository_.Put("large", 1, FlowOf(7));
  repository_.Put("broken", 1, FlowOf(5));
  StartOn("cuda:1");
  v1::ListModelsResponse list;
  grpc::ClientContext context;
  ASSERT_TRUE(stub()->ListModels(&context, {}, &list).ok());
  ASSERT_EQ(list.models_size(), 3);
  EXPECT_EQ(list.models(0).ref().name(), "broken");
  EXPECT_EQ(list.models(0).error(), "the device failed: an illegal memory access was encountered");
  EXPECT_EQ(list.models(1).ref().name(), "large");
  EXPECT_EQ(list.models(1).error(), "the memory of device 1 does not hold this flow: 7 numbers");
  EXPECT_EQ(list.models(2).state(), v1::MODEL_STATE_READY);
  EXPECT_EQ(list.models(2).device(), "cuda:1");
}

TEST_F(DeviceTest, MetricsTellOfEachDevice) {
  StartOn("cuda");
  const auto metric = [&](const std::string& name, const std::string& device) {
    return running_->Metric("glowworm_device_" + name, {"device=\"" + device + "\""});
  };
  EXPECT_EQ(metric("memory_used_bytes", "cuda:0"), 1000);
  EXPECT_EQ(metric("memory_used_bytes", "cuda:1"), 1001);
  EXPECT_EQ(metric("memory_total_bytes", "cuda:1"), 4000);
  EXPECT_EQ(metric("utilization_ratio", "cuda:0"), 0.75);
  EXPECT_EQ(running_->server()->metrics().Text().find("utilization_ratio{device=\"cuda:1\"}"),
            std::string::npos);  // it does not tell
  const double before = metric("compute_seconds_total", "cuda:0");
  v1::LogLikelihoodResponse response;
  EXPECT_TRUE(LogLikelihood(Rows(1, 1), &response).ok());
  EXPECT_EQ(metric("compute_seconds_total", "cuda:0"), before + 0.5);
  EXPECT_EQ(metric("transfer_seconds_total", "cuda:0"), (before + 0.5) / 2);
}

TEST_F(DeviceTest, TheCpuHasNoDeviceMetrics) {
  StartOn("cpu");
  EXPECT_EQ(running_->server()->metrics().Text().find("glowworm_device_"), std::string::npos);
}

TEST_F(DeviceTest, WithoutSuchADeviceTheServerDoesNotStart) {
  repository_.Put("small", 1, SmallFlow());
  ServerOptions options = LoopbackOptions(repository_);
  options.device = "cuda:2";
  EXPECT_EQ(Server::Start(options).status(),
            absl::NotFoundError(
                "--device=cuda:2: there is no CUDA device 2: the driver sees 2, the first of them 0"));
}

TEST_F(DeviceTest, AutoGoesOnWithTheCpu) {
  UsePlugin("no_driver");
  StartOn("auto");
  v1::Model model;
  v1::GetModelRequest request;
  request.mutable_model()->set_name("small");
  grpc::ClientContext context;
  ASSERT_TRUE(stub()->GetModel(&context, request, &model).ok());
  EXPECT_EQ(model.device(), "cpu");
}

TEST(DeviceMetrics, AFamilyWithoutASeriesIsLeftOut) {
  std::vector<prometheus::MetricFamily> families;
  AppendDeviceMetrics({}, &families);
  EXPECT_TRUE(families.empty());
  DeviceUse quiet;
  AppendDeviceMetrics({quiet}, &families);
  ASSERT_EQ(families.size(), 4);
  for (const prometheus::MetricFamily& family : families) {
    EXPECT_NE(family.name, "glowworm_device_utilization_ratio");
  }
}

}  // namespace
}  // namespace glowworm
