// Conversion between messages and the server's own values: requests to payloads, payloads to replies,
// absl::Status to grpc::Status (here and nowhere else). Safe from any thread. Tested by
// tests/server/convert_test.cc.

#ifndef GLOWWORM_SERVER_CONVERT_H_
#define GLOWWORM_SERVER_CONVERT_H_

#include <grpcpp/support/status.h>

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "glowworm/v1/density.pb.h"
#include "model/flow.h"
#include "server/payload.h"

namespace glowworm {

// The codes are the same numbers; a message longer than 1 KiB is cut (it travels in a header), and line
// breaks go.
grpc::Status ToGrpcStatus(const absl::Status& status);
// For a stream that goes on.
void SetError(const absl::Status& status, v1::Error* error);

// Take a request's tensors without copying them, and make room for the answers.
// REQUIRES: Validate passed for this flow; the request is not read again (its model and request_id may be).
std::shared_ptr<EncodePayload> TakeRows(v1::LogLikelihoodRequest* request, const FlowInfo& flow);
std::shared_ptr<EncodePayload> TakeRows(v1::EncodeRequest* request, const FlowInfo& flow);
std::shared_ptr<DecodePayload> TakeRows(v1::DecodeRequest* request, const FlowInfo& flow);
// Samples first_index .. first_index + rows - 1 of the request's sequence; the request stays as it is.
std::shared_ptr<SamplePayload> MakeRows(const v1::SampleRequest& request, const FlowInfo& flow, uint64_t seed,
                                        uint64_t first_index, int64_t rows);

// What a payload holds, inputs and outputs.
int64_t Bytes(const EncodePayload& payload);
int64_t Bytes(const DecodePayload& payload);
int64_t Bytes(const SamplePayload& payload);

// Move a computed payload's answers into a reply; all but `model` and `request_id` is filled.
void FillReply(EncodePayload* payload, const FlowInfo& flow, v1::LogLikelihoodResponse* reply);
void FillReply(EncodePayload* payload, const FlowInfo& flow, v1::EncodeResponse* reply);
void FillReply(DecodePayload* payload, const FlowInfo& flow, v1::DecodeResponse* reply);
void FillReply(SamplePayload* payload, const FlowInfo& flow, v1::SampleResponse* reply);

// What the flow says of itself; `ref`, `state`, `error` and `limits` are the repository's.
void FillModel(const FlowInfo& flow, v1::Model* model);

}  // namespace glowworm

#endif  // GLOWWORM_SERVER_CONVERT_H_
