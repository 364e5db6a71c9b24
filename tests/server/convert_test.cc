// Requests to payloads and payloads to replies: which bytes land where.

#include "server/convert.h"

#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

namespace glowworm {
namespace {

FlowInfo Flow(std::vector<int64_t> event_shape) {
  FlowInfo info;
  info.event_shape = std::move(event_shape);
  info.event_size = 1;
  for (const int64_t d : info.event_shape) info.event_size *= d;
  info.latent_size = info.event_size;
  return info;
}

v1::Tensor Floats(const std::vector<int64_t>& shape, const std::vector<float>& values) {
  v1::Tensor out;
  out.set_dtype(v1::DATA_TYPE_FLOAT32);
  for (const int64_t d : shape) out.add_shape(d);
  out.set_data(std::string(reinterpret_cast<const char*>(values.data()), 4 * values.size()));
  return out;
}

float FirstFloat(const RowInput& row) {
  float value;
  std::memcpy(&value, row.data, sizeof(value));
  return value;
}

TEST(TakeRows, HandsOutEachRowInPlace) {
  v1::LogLikelihoodRequest request;
  *request.mutable_x() = Floats({3, 2}, {1, 2, 3, 4, 5, 6});
  const char* const sent = request.x().data().data();
  const auto payload = TakeRows(&request, Flow({2}));
  EXPECT_EQ(payload->x.bytes.data(), sent);  // moved, not copied
  EXPECT_EQ(payload->rows, 3);
  EXPECT_EQ(FirstFloat(payload->Row(0).x), 1);
  EXPECT_EQ(FirstFloat(payload->Row(2).x), 5);
  EXPECT_EQ(payload->Row(2).x.dtype, DataType::kFloat32);
  EXPECT_EQ(payload->Row(2).log_likelihood, payload->Row(0).log_likelihood + 2);
  EXPECT_EQ(payload->Row(0).z.data, nullptr);
  EXPECT_EQ(payload->Row(0).context.data, nullptr);
}

TEST(TakeRows, RepeatsOneContextAndOneLabelForAllRows) {
  v1::LogLikelihoodRequest request;
  *request.mutable_x() = Floats({2, 1}, {1, 2});
  *request.mutable_context() = Floats({1, 1}, {7});
  request.add_class_label(4);
  const auto payload = TakeRows(&request, Flow({1}));
  EXPECT_EQ(FirstFloat(payload->Row(0).context), 7);
  EXPECT_EQ(FirstFloat(payload->Row(1).context), 7);
  EXPECT_EQ(payload->Row(1).class_label, 4);
}

TEST(TakeRows, GivesEachRowItsOwnContextAndLabel) {
  v1::LogLikelihoodRequest request;
  *request.mutable_x() = Floats({2, 1}, {1, 2});
  *request.mutable_context() = Floats({2, 1}, {7, 8});
  request.add_class_label(4);
  request.add_class_label(5);
  const auto payload = TakeRows(&request, Flow({1}));
  EXPECT_EQ(FirstFloat(payload->Row(1).context), 8);
  EXPECT_EQ(payload->Row(0).class_label, 4);
  EXPECT_EQ(payload->Row(1).class_label, 5);
}

TEST(TakeRows, WithoutLabelsMeansTheMixture) {
  v1::LogLikelihoodRequest request;
  *request.mutable_x() = Floats({1, 1}, {1});
  EXPECT_EQ(TakeRows(&request, Flow({1}))->Row(0).class_label, -1);
}

TEST(TakeRows, AsksForTailProbabilitiesOfACalibratedFlowOnly) {
  FlowInfo flow = Flow({1});
  v1::LogLikelihoodRequest request;
  *request.mutable_x() = Floats({1, 1}, {1});
  EXPECT_EQ(TakeRows(&request, flow)->Row(0).tail_probability, nullptr);
  flow.has_calibration = true;
  *request.mutable_x() = Floats({1, 1}, {1});
  EXPECT_NE(TakeRows(&request, flow)->Row(0).tail_probability, nullptr);
}

TEST(TakeRows, AnswersBytesInDoubles) {
  v1::EncodeRequest request;
  request.mutable_x()->set_dtype(v1::DATA_TYPE_UINT8);
  request.mutable_x()->add_shape(2);
  request.mutable_x()->add_shape(3);
  request.mutable_x()->set_data("abcdef");
  const auto payload = TakeRows(&request, Flow({3}));
  EXPECT_EQ(payload->z.dtype, DataType::kFloat64);
  EXPECT_EQ(payload->z.bytes.size(), 2u * 3 * 8);
  EXPECT_EQ(Bytes(*payload), 6 + 48 + 2 * 8 + 2 * 4);
}

TEST(FillReply, MovesTensorsAndLeavesStatusOutWhenAllRowsAreFine) {
  v1::DecodeRequest request;
  *request.mutable_z() = Floats({2, 4}, {1, 2, 3, 4, 5, 6, 7, 8});
  const FlowInfo flow = Flow({1, 2, 2});
  const auto payload = TakeRows(&request, flow);
  std::memcpy(payload->Row(1).x.data, "0123456789abcdef", 16);
  v1::DecodeResponse reply;
  FillReply(payload.get(), flow, &reply);
  EXPECT_EQ(reply.x().dtype(), v1::DATA_TYPE_FLOAT32);
  EXPECT_EQ(std::vector<int64_t>(reply.x().shape().begin(), reply.x().shape().end()),
            (std::vector<int64_t>{2, 1, 2, 2}));
  EXPECT_EQ(reply.x().data().substr(16), "0123456789abcdef");
  EXPECT_EQ(reply.row_status_size(), 0);
}

TEST(FillReply, TellsEveryRowsStatusWhenOneIsNotFine) {
  v1::LogLikelihoodRequest request;
  *request.mutable_x() = Floats({2, 1}, {1, 2});
  const FlowInfo flow = Flow({1});
  const auto payload = TakeRows(&request, flow);
  *payload->Row(0).log_likelihood = -3.5;
  *payload->Row(1).status = RowStatus::kOutOfSupport;
  v1::LogLikelihoodResponse reply;
  FillReply(payload.get(), flow, &reply);
  EXPECT_EQ(reply.log_likelihood(0), -3.5);
  ASSERT_EQ(reply.row_status_size(), 2);
  EXPECT_EQ(reply.row_status(0), v1::ROW_STATUS_OK);
  EXPECT_EQ(reply.row_status(1), v1::ROW_STATUS_OUT_OF_SUPPORT);
}

TEST(MakeRows, NumbersSamplesFromTheFirstIndex) {
  v1::SampleRequest request;
  request.set_num_samples(100);
  request.set_temperature(0.5);
  request.set_class_label(2);
  FlowInfo flow = Flow({3});
  flow.num_classes = 4;
  const auto payload = MakeRows(request, flow, 42, 90, 10);
  EXPECT_EQ(payload->Row(9).index, 99u);
  EXPECT_EQ(payload->Row(9).seed, 42u);
  EXPECT_EQ(payload->Row(9).temperature, 0.5);
  EXPECT_EQ(payload->Row(9).class_label, 2);
  EXPECT_EQ(payload->Row(9).log_likelihood, nullptr);
  v1::SampleResponse reply;
  FillReply(payload.get(), flow, &reply);
  EXPECT_EQ(reply.first_index(), 90u);
  EXPECT_EQ(reply.seed(), 42u);
  EXPECT_EQ(reply.class_label_size(), 10);
  EXPECT_EQ(reply.x().data().size(), 10u * 3 * 8);
}

TEST(ToGrpcStatus, KeepsTheCodeAndCutsTheText) {
  const grpc::Status status = ToGrpcStatus(absl::NotFoundError("no\nsuch\tmodel" + std::string(2000, 'x')));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(status.error_message().size(), 1024u);
  EXPECT_EQ(status.error_message().substr(0, 14), "no such modelx");
  EXPECT_TRUE(ToGrpcStatus(absl::OkStatus()).ok());
}

TEST(SetError, CarriesTheSameNumbers) {
  v1::Error error;
  SetError(absl::InvalidArgumentError("x: missing"), &error);
  EXPECT_EQ(error.code(), 3);
  EXPECT_EQ(error.message(), "x: missing");
}

}  // namespace
}  // namespace glowworm
