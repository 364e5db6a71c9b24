// Every refusal of server/validate.h: its code, and a sentence that says what was expected and what came.

#include "server/validate.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>
#include <vector>

namespace glowworm {
namespace {

using ::testing::HasSubstr;

constexpr int64_t kMaxInt64 = std::numeric_limits<int64_t>::max();

FlowInfo TabularFlow(int64_t size = 6) {
  FlowInfo info;
  info.event_shape = {size};
  info.event_size = info.latent_size = size;
  return info;
}

FlowInfo ImageFlow() {
  FlowInfo info;
  info.event_shape = {1, 8, 4};
  info.event_size = info.latent_size = 32;
  return info;
}

FlowInfo WithContext(int64_t context_size) {
  FlowInfo info = TabularFlow();
  info.context_size = context_size;
  return info;
}

FlowInfo WithClasses(int64_t classes) {
  FlowInfo info = TabularFlow();
  info.num_classes = classes;
  return info;
}

v1::Tensor Tensor(const std::vector<int64_t>& shape, size_t bytes, int dtype = v1::DATA_TYPE_FLOAT32) {
  v1::Tensor out;
  out.set_dtype(static_cast<v1::DataType>(dtype));
  for (const int64_t d : shape) out.add_shape(d);
  out.set_data(std::string(bytes, '\0'));
  return out;
}

v1::LogLikelihoodRequest Of(const v1::Tensor& x) {
  v1::LogLikelihoodRequest request;
  *request.mutable_x() = x;
  return request;
}

void ExpectOk(const absl::Status& status) { EXPECT_TRUE(status.ok()) << status; }

void ExpectInvalid(const absl::Status& status, const std::string& text) {
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(text));
  EXPECT_GE(status.message().size(), 12u);
  EXPECT_LE(status.message().size(), 1024u);
}

void ExpectX(const v1::Tensor& x, const std::string& text) {
  ExpectInvalid(Validate(Of(x), TabularFlow(), RequestLimits()), text);
}

TEST(ValidateTensor, TakesTheEventShape) {
  ExpectOk(Validate(Of(Tensor({3, 6}, 72)), TabularFlow(), RequestLimits()));
  ExpectOk(Validate(Of(Tensor({2, 1, 8, 4}, 512, v1::DATA_TYPE_FLOAT64)), ImageFlow(), RequestLimits()));
  ExpectOk(Validate(Of(Tensor({2, 1, 8, 4}, 64, v1::DATA_TYPE_UINT8)), ImageFlow(), RequestLimits()));
}

TEST(ValidateTensor, TakesFlattenedImages) {
  ExpectOk(Validate(Of(Tensor({2, 32}, 64, v1::DATA_TYPE_UINT8)), ImageFlow(), RequestLimits()));
}

TEST(ValidateTensor, RefusesAMissingOne) {
  ExpectInvalid(Validate(v1::LogLikelihoodRequest(), TabularFlow(), RequestLimits()), "x: missing");
  ExpectInvalid(Validate(v1::EncodeRequest(), TabularFlow(), RequestLimits()), "x: missing");
  ExpectInvalid(Validate(v1::DecodeRequest(), TabularFlow(), RequestLimits()), "z: missing");
}

TEST(ValidateTensor, RefusesUnknownTypes) {
  ExpectX(Tensor({1, 6}, 24, 0), "x.dtype: 0");
  ExpectX(Tensor({1, 6}, 24, 9), "x.dtype: 9");
  ExpectX(Tensor({1, 6}, 24, -1), "x.dtype: -1");
}

TEST(ValidateTensor, RefusesWrongShapes) {
  ExpectX(Tensor({}, 24), "expected (rows, 6), got ()");
  ExpectX(Tensor({6}, 24), "expected (rows, 6), got (6)");
  ExpectX(Tensor({1, 7}, 28), "expected (rows, 6), got (1, 7)");
  ExpectX(Tensor({1, 2, 3}, 24), "expected (rows, 6), got (1, 2, 3)");
  ExpectX(Tensor({1, 1, 1, 1, 1, 1, 1, 1, 6}, 24), "got one of 9 dimensions");
  ExpectX(Tensor({1, -6}, 24), "got (1, -6)");
}

TEST(ValidateTensor, RefusesWrongRowCounts) {
  ExpectX(Tensor({0, 6}, 0), "at least one row");
  ExpectX(Tensor({-1, 6}, 24), "got (-1, 6)");
  ExpectX(Tensor({65537, 6}, 24), "65537 rows, at most 65536");
}

TEST(ValidateTensor, RefusesAProductThatOverflows) {
  RequestLimits unlimited;
  unlimited.max_rows = kMaxInt64;
  ExpectInvalid(Validate(Of(Tensor({int64_t{1} << 62, 6}, 24)), TabularFlow(), unlimited),
                "x.data: 24 bytes");
  ExpectInvalid(Validate(Of(Tensor({int64_t{1} << 62, 1, 8, 4}, 0)), ImageFlow(), unlimited),
                "x.data: 0 bytes");
}

TEST(ValidateTensor, RefusesWrongLengths) {
  ExpectX(Tensor({1, 6}, 23), "x.data: 23 bytes");
  ExpectX(Tensor({1, 6}, 25), "(1, 6) of DATA_TYPE_FLOAT32 takes 24");
  ExpectX(Tensor({2, 6}, 0), "takes 48");
}

TEST(ValidateTensor, TellsNoWrappedNumberWhenAProductOverflows) {
  v1::LogLikelihoodRequest request = Of(Tensor({3, 6}, 72));
  *request.mutable_context() = Tensor({int64_t{1} << 62, 2}, 8);
  ExpectInvalid(Validate(request, WithContext(2), RequestLimits()), "takes more than fits");
}

TEST(ValidateContext, IsRequiredByAFlowThatTakesOne) {
  ExpectInvalid(Validate(Of(Tensor({3, 6}, 72)), WithContext(2), RequestLimits()), "context: missing");
}

TEST(ValidateContext, IsRefusedByAFlowThatTakesNone) {
  v1::LogLikelihoodRequest request = Of(Tensor({1, 6}, 24));
  *request.mutable_context() = Tensor({1, 2}, 8);
  ExpectInvalid(Validate(request, TabularFlow(), RequestLimits()), "context: this flow takes none");
}

TEST(ValidateContext, IsOneRowOrOnePerRow) {
  v1::LogLikelihoodRequest request = Of(Tensor({3, 6}, 72));
  *request.mutable_context() = Tensor({1, 2}, 8);
  ExpectOk(Validate(request, WithContext(2), RequestLimits()));
  *request.mutable_context() = Tensor({3, 2}, 48, v1::DATA_TYPE_FLOAT64);
  ExpectOk(Validate(request, WithContext(2), RequestLimits()));
  *request.mutable_context() = Tensor({2, 2}, 16);
  ExpectInvalid(Validate(request, WithContext(2), RequestLimits()), "expected 1 or 3 rows, got 2");
  *request.mutable_context() = Tensor({3, 3}, 36);
  ExpectInvalid(Validate(request, WithContext(2), RequestLimits()),
                "context.shape: expected (1 or 3, 2), got (3, 3)");
}

TEST(ValidateClasses, AreNoneOneOrOnePerRow) {
  v1::LogLikelihoodRequest request = Of(Tensor({3, 6}, 72));
  ExpectOk(Validate(request, WithClasses(4), RequestLimits()));
  request.add_class_label(3);
  ExpectOk(Validate(request, WithClasses(4), RequestLimits()));
  request.add_class_label(0);
  ExpectInvalid(Validate(request, WithClasses(4), RequestLimits()),
                "expected none, 1 or 3 (one per row), got 2");
  request.add_class_label(2);
  ExpectOk(Validate(request, WithClasses(4), RequestLimits()));
}

TEST(ValidateClasses, LieInRange) {
  v1::LogLikelihoodRequest request = Of(Tensor({2, 6}, 48));
  request.add_class_label(1);
  request.add_class_label(4);
  ExpectInvalid(Validate(request, WithClasses(4), RequestLimits()), "class_label[1]: 4 is not in 0 .. 3");
  request.set_class_label(1, -1);
  ExpectInvalid(Validate(request, WithClasses(4), RequestLimits()), "class_label[1]: -1");
}

TEST(ValidateClasses, AreRefusedByAFlowWithout) {
  v1::LogLikelihoodRequest request = Of(Tensor({1, 6}, 24));
  request.add_class_label(0);
  ExpectInvalid(Validate(request, TabularFlow(), RequestLimits()), "this flow has no classes");
  v1::SampleRequest sample;
  sample.set_num_samples(1);
  sample.set_class_label(0);
  ExpectInvalid(Validate(sample, TabularFlow(), RequestLimits()), "this flow has no classes");
}

TEST(ValidateReply, IsBoundedBeforeAnythingIsComputed) {
  RequestLimits limits;
  limits.max_reply_bytes = 4096;
  v1::EncodeRequest encode;
  *encode.mutable_x() = Tensor({100, 6}, 600, v1::DATA_TYPE_UINT8);  // a reply of float64
  ExpectInvalid(Validate(encode, TabularFlow(), limits),
                "the server sends at most 4096: ask for at most 62 rows");
  *encode.mutable_x() = Tensor({62, 6}, 372, v1::DATA_TYPE_UINT8);
  ExpectOk(Validate(encode, TabularFlow(), limits));
  v1::DecodeRequest decode;
  *decode.mutable_z() = Tensor({1000, 6}, 24000);
  ExpectInvalid(Validate(decode, TabularFlow(), limits), "the reply to 1000 rows could take");
}

TEST(ValidateDecode, TakesFlatLatentsOnly) {
  v1::DecodeRequest request;
  *request.mutable_z() = Tensor({2, 32}, 256);
  ExpectOk(Validate(request, ImageFlow(), RequestLimits()));
  *request.mutable_z() = Tensor({2, 1, 8, 4}, 256);
  ExpectInvalid(Validate(request, ImageFlow(), RequestLimits()), "z.shape: expected (rows, 32)");
}

void ExpectSample(const std::function<void(v1::SampleRequest*)>& spoil, const std::string& text) {
  v1::SampleRequest request;
  request.set_num_samples(5);
  ExpectOk(Validate(request, TabularFlow(), RequestLimits()));
  spoil(&request);
  ExpectInvalid(Validate(request, TabularFlow(), RequestLimits()), text);
}

TEST(ValidateSample, RefusesWrongCounts) {
  ExpectSample([](auto* r) { r->set_num_samples(0); }, "at least 1, got 0");
  ExpectSample([](auto* r) { r->set_num_samples(-1); }, "at least 1, got -1");
  ExpectSample([](auto* r) { r->set_num_samples(65537); }, "at most 65536");
  ExpectSample([](auto* r) { r->set_num_samples(kMaxInt64); }, "at most 65536");
}

TEST(ValidateSample, RefusesWrongTemperatures) {
  ExpectSample([](auto* r) { r->set_temperature(std::nan("")); }, "temperature");
  ExpectSample([](auto* r) { r->set_temperature(-1); }, "got -1");
  ExpectSample([](auto* r) { r->set_temperature(std::numeric_limits<double>::infinity()); }, "got inf");
}

TEST(ValidateSample, RefusesIndicesBeyondTheLast) {
  const uint64_t last = std::numeric_limits<uint64_t>::max();
  ExpectSample([=](auto* r) { r->set_first_index(last - 3); }, "beyond the last index");
  v1::SampleRequest request;
  request.set_num_samples(5);
  request.set_first_index(last - 4);
  ExpectOk(Validate(request, TabularFlow(), RequestLimits()));
}

TEST(ValidateSample, RefusesIntegerReplies) {
  ExpectSample([](auto* r) { r->set_dtype(v1::DATA_TYPE_UINT8); }, "dtype: 3");
}

TEST(ValidateSample, TakesOneRowOfContext) {
  v1::SampleRequest request;
  request.set_num_samples(5);
  *request.mutable_context() = Tensor({1, 2}, 8);
  ExpectOk(Validate(request, WithContext(2), RequestLimits()));
  *request.mutable_context() = Tensor({5, 2}, 40);
  ExpectInvalid(Validate(request, WithContext(2), RequestLimits()), "expected 1 rows, got 5");
}

TEST(ValidateStream, TakesAnyNumberOfSamples) {
  v1::SampleRequest request;
  request.set_num_samples(kMaxInt64);
  ExpectOk(ValidateStream(request, TabularFlow(), RequestLimits()));
  EXPECT_EQ(SamplesPerReply(request, TabularFlow(), RequestLimits()),
            ((4 << 20) - (64 << 10) - 512) / (6 * 8 + 1));
}

TEST(ValidateStream, RefusesSamplesThatFitNoReply) {
  RequestLimits limits;
  limits.max_reply_bytes = 4096;
  v1::SampleRequest request;
  request.set_num_samples(1);
  ExpectInvalid(ValidateStream(request, TabularFlow(1000), limits), "the reply to 1 rows could take");
}

TEST(ValidateModelRef, TakesPlainNames) {
  for (const char* name : {"digits", "thyroid-glow", "a.b_c-9", "0"}) EXPECT_TRUE(IsModelName(name)) << name;
  ExpectOk(ValidateModelRef(v1::ModelRef()));
}

TEST(ValidateModelRef, RefusesPathsAndOddities) {
  for (const char* name : {"../digits", "a/b", ".", "..", ".hidden", "-x", "a b", "a\nb", "caf\xc3\xa9"}) {
    v1::ModelRef ref;
    ref.set_name(name);
    ExpectInvalid(ValidateModelRef(ref), "model.name");
  }
  v1::ModelRef ref;
  ref.set_name(std::string(65536, 'a'));
  ExpectInvalid(ValidateModelRef(ref), "65536 bytes");
  ref.set_name("digits");
  ref.set_version(-1);
  ExpectInvalid(ValidateModelRef(ref), "model.version");
}

TEST(ValidateLogLikelihood, BoundsTheRequestId) {
  v1::LogLikelihoodRequest request = Of(Tensor({1, 6}, 24));
  request.set_request_id(std::string(1025, 'a'));
  ExpectInvalid(Validate(request, TabularFlow(), RequestLimits()), "request_id: 1025 bytes");
}

}  // namespace
}  // namespace glowworm
