// Chunks: how many rows fit one request, how rows become a message, and how a reply is checked and becomes
// numbers. Pure functions; no calls. Tested by tests/client/chunk_test.cc.

#ifndef GLOWWORM_CLIENT_CHUNK_H_
#define GLOWWORM_CLIENT_CHUNK_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/client.h"

namespace glowworm {
namespace client {

enum class Method { kLogLikelihood, kEncode, kDecode, kSample };

// The most rows of `dtype` (of a sample: the reply's type) whose request and reply both stay within the
// model's limits and `max_receive_bytes`; at least 1, at most max_chunk_rows. A limit of 0 limits nothing.
int64_t RowsPerChunk(const v1::Model& model, Method method, v1::DataType dtype, const ClientOptions& options);

// INVALID_ARGUMENT unless the arrays are whole and the conditions fit the rows.
absl::Status CheckBlock(const Array& x, const Conditions& conditions);

void SetModel(const ModelRef& model, v1::ModelRef* message);
v1::Tensor ToTensor(Array array);
absl::StatusOr<Array> ToArray(v1::Tensor tensor);

// Replies of a call for `rows` rows, row statuses filled in. INTERNAL if the reply does not answer just
// these.
absl::StatusOr<Scores> ReadReply(v1::LogLikelihoodResponse reply, int64_t rows);
absl::StatusOr<Encoded> ReadReply(v1::EncodeResponse reply, int64_t rows);
absl::StatusOr<Decoded> ReadReply(v1::DecodeResponse reply, int64_t rows);
absl::StatusOr<Samples> ReadReply(v1::SampleResponse reply, int64_t rows);

// Appends a chunk's answer to those before it. INTERNAL if the two cannot belong together.
absl::Status Append(Scores* all, const Scores& part);
absl::Status Append(Encoded* all, const Encoded& part);
absl::Status Append(Decoded* all, const Decoded& part);
absl::Status Append(Samples* all, const Samples& part);

}  // namespace client
}  // namespace glowworm

#endif  // GLOWWORM_CLIENT_CHUNK_H_
