// Chunk sizes and the checks of replies (client/chunk.h).

#include "client/chunk.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace glowworm {
namespace client {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

v1::Model ModelOf(std::vector<int64_t> event, int64_t latent, int64_t rows, int64_t message, int64_t reply) {
  v1::Model model;
  for (int64_t dim : event) model.add_event_shape(dim);
  model.set_latent_size(latent);
  model.mutable_limits()->set_max_rows(rows);
  model.mutable_limits()->set_max_samples(rows);
  model.mutable_limits()->set_max_message_bytes(message);
  model.mutable_limits()->set_max_reply_bytes(reply);
  return model;
}

int64_t RowsFor(const v1::Model& model, Method method, v1::DataType dtype) {
  ClientOptions options;
  options.max_chunk_rows = 1 << 30;
  return RowsPerChunk(model, method, dtype, options);
}

TEST(RowsPerChunk, TheModelsRowsAndTheClientsOwnCapBind) {
  const v1::Model model = ModelOf({2}, 2, 100, 4 << 20, 4 << 20);
  EXPECT_EQ(RowsFor(model, Method::kLogLikelihood, v1::DATA_TYPE_FLOAT32), 100);
  ClientOptions options;
  options.max_chunk_rows = 7;
  EXPECT_EQ(RowsPerChunk(model, Method::kSample, v1::DATA_TYPE_FLOAT64, options), 7);
}

// The real thing: a full chunk's message fits, for every method and type.
TEST(RowsPerChunk, AFullChunkFitsTheMessageAndTheReply) {
  constexpr int64_t kLimit = 100000;
  v1::Model model = ModelOf({3, 5, 7}, 105, 0, kLimit, kLimit);
  model.set_context_size(4);
  for (v1::DataType dtype : {v1::DATA_TYPE_FLOAT32, v1::DATA_TYPE_FLOAT64, v1::DATA_TYPE_UINT8}) {
    const int64_t rows = RowsFor(model, Method::kEncode, dtype);
    v1::EncodeRequest request;
    request.mutable_model()->set_name(std::string(255, 'n'));
    *request.mutable_x() = ToTensor(
        {dtype, {rows, 3, 5, 7}, std::string(static_cast<size_t>(rows * 105 * ValueBytes(dtype)), 'x')});
    *request.mutable_context() =
        ToTensor({v1::DATA_TYPE_FLOAT64, {rows, 4}, std::string(static_cast<size_t>(rows * 32), 'c')});
    v1::EncodeResponse reply;
    const v1::DataType out = dtype == v1::DATA_TYPE_FLOAT32 ? dtype : v1::DATA_TYPE_FLOAT64;
    *reply.mutable_z() =
        ToTensor({out, {rows, 105}, std::string(static_cast<size_t>(rows * 105 * ValueBytes(out)), 'z')});
    for (int64_t i = 0; i < rows; ++i) {
      request.add_class_label(std::numeric_limits<int32_t>::max());
      reply.add_log_likelihood(-1);
      reply.add_row_status(v1::ROW_STATUS_NON_FINITE_RESULT);
    }
    EXPECT_LE(static_cast<int64_t>(request.ByteSizeLong()), kLimit);
    EXPECT_LE(static_cast<int64_t>(reply.ByteSizeLong()), kLimit);
    // And it is not needlessly small: nine tenths of the one that binds.
    EXPECT_GE(static_cast<int64_t>(std::max(request.ByteSizeLong(), reply.ByteSizeLong())), kLimit * 9 / 10);
  }
}

TEST(RowsPerChunk, IsOneWhenNotEvenOneRowFits) {
  EXPECT_EQ(RowsFor(ModelOf({1000}, 1000, 10, 100, 100), Method::kDecode, v1::DATA_TYPE_FLOAT64), 1);
}

TEST(RowsPerChunk, LimitsOfZeroLimitNothing) {
  EXPECT_EQ(
      RowsPerChunk(ModelOf({2}, 2, 0, 0, 0), Method::kLogLikelihood, v1::DATA_TYPE_FLOAT32, ClientOptions()),
      ClientOptions().max_chunk_rows);
}

TEST(ReadReply, FillsInStatusesThatAreAllOk) {
  v1::LogLikelihoodResponse reply;
  reply.add_log_likelihood(-1);
  reply.add_log_likelihood(-2);
  EXPECT_THAT(ReadReply(reply, 2)->row_status, ElementsAre(v1::ROW_STATUS_OK, v1::ROW_STATUS_OK));
}

TEST(ReadReply, RefusesRepliesForOtherRows) {
  v1::LogLikelihoodResponse reply;
  reply.add_log_likelihood(-1);
  EXPECT_EQ(ReadReply(reply, 2).status().code(), absl::StatusCode::kInternal);
  reply.add_tail_probability(0.5);
  reply.add_tail_probability(0.5);
  EXPECT_THAT(std::string(ReadReply(reply, 1).status().message()),
              HasSubstr("2 values of tail_probability for 1 rows"));
  reply.clear_tail_probability();
  reply.add_row_status(v1::ROW_STATUS_OK);
  reply.add_row_status(v1::ROW_STATUS_OK);
  EXPECT_THAT(std::string(ReadReply(reply, 1).status().message()), HasSubstr("row_status"));
}

TEST(ReadReply, RefusesTensorsThatDoNotAddUp) {
  v1::DecodeResponse reply;
  EXPECT_EQ(ReadReply(reply, 1).status().code(), absl::StatusCode::kInternal);  // no tensor at all
  *reply.mutable_x() = ToTensor(Array::Of<double>({1, 2}, {1, 2}));
  EXPECT_TRUE(ReadReply(reply, 1).ok());
  EXPECT_FALSE(ReadReply(reply, 2).ok());
  reply.mutable_x()->set_shape(1, int64_t{1} << 62);
  EXPECT_FALSE(ReadReply(reply, 1).ok());
  reply.mutable_x()->set_shape(1, -2);
  EXPECT_FALSE(ReadReply(reply, 1).ok());
  reply.mutable_x()->set_shape(1, 2);
  reply.mutable_x()->set_dtype(static_cast<v1::DataType>(99));
  EXPECT_FALSE(ReadReply(reply, 1).ok());
}

TEST(AppendAnswers, RefusesAMixtureOfTwoVersions) {
  Scores all{{-1}, {0.5}, {v1::ROW_STATUS_OK}};
  EXPECT_TRUE(Append(&all, Scores{{-2}, {0.25}, {v1::ROW_STATUS_OK}}).ok());
  EXPECT_THAT(all.tail_probability, ElementsAre(0.5, 0.25));
  EXPECT_EQ(Append(&all, Scores{{-3}, {}, {v1::ROW_STATUS_OK}}).code(), absl::StatusCode::kInternal);
}

TEST(ArrayTest, SlicesJoinToTheWholeAndOddShapesAreRefused) {
  const Array whole = Array::Of<float>({3, 2}, {1, 2, 3, 4, 5, 6});
  Array joined;
  for (int64_t i = 0; i < 3; ++i) ASSERT_TRUE(joined.Append(whole.Slice(i, 1)).ok());
  EXPECT_EQ(joined.data, whole.data);
  EXPECT_EQ(joined.shape, whole.shape);
  EXPECT_FALSE(joined.Append(Array::Of<float>({1, 3}, {1, 2, 3})).ok());
  EXPECT_FALSE(joined.Append(Array::Of<double>({1, 2}, {1, 2})).ok());
  EXPECT_FALSE(joined.ReshapeRows({3}).ok());
  ASSERT_TRUE(joined.ReshapeRows({1, 1, 2}).ok());
  EXPECT_THAT(joined.shape, ElementsAre(3, 1, 1, 2));
}

TEST(ArrayTest, ProductsThatOverflowAreRefused) {
  EXPECT_EQ(Product({int64_t{1} << 32, int64_t{1} << 32}), -1);
  EXPECT_EQ(Product({int64_t{1} << 32, int64_t{1} << 32, 0}), 0);
  EXPECT_EQ(Product({2, -1}), -1);
  EXPECT_EQ(Product({}), 1);
}

}  // namespace
}  // namespace client
}  // namespace glowworm
