// Validation: every request is checked here, against the flow and the limits, before any of its bytes is
// used.
//
// InvalidArgument says what was expected and what came. Nothing is allocated or computed; all of it is safe
// from any thread. Tested by tests/server/validate_test.cc.

#ifndef GLOWWORM_SERVER_VALIDATE_H_
#define GLOWWORM_SERVER_VALIDATE_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "glowworm/v1/density.pb.h"
#include "model/flow.h"

namespace glowworm {

// As GetModel shows them.
struct RequestLimits {
  int64_t max_rows = 65536;
  int64_t max_samples = 65536;
  int64_t max_message_bytes = 4 << 20;
  int64_t max_reply_bytes = (4 << 20) - (64 << 10);
};

constexpr size_t kMaxNameBytes = 128;
constexpr size_t kMaxRequestIdBytes = 1024;

// Letters, digits, '.', '_' and '-', not starting with '.' or '-', at most kMaxNameBytes.
bool IsModelName(absl::string_view name);
absl::Status ValidateModelRef(const v1::ModelRef& ref);

// A request that passes has x.shape[0] or z.shape[0] rows, and its data lies as RowInput wants it.
absl::Status Validate(const v1::LogLikelihoodRequest& request, const FlowInfo& flow,
                      const RequestLimits& limits);
absl::Status Validate(const v1::EncodeRequest& request, const FlowInfo& flow, const RequestLimits& limits);
absl::Status Validate(const v1::DecodeRequest& request, const FlowInfo& flow, const RequestLimits& limits);
absl::Status Validate(const v1::SampleRequest& request, const FlowInfo& flow, const RequestLimits& limits);

// Of StreamSamples: any number of samples, as long as one fits a reply.
absl::Status ValidateStream(const v1::SampleRequest& request, const FlowInfo& flow,
                            const RequestLimits& limits);
// How many samples one reply holds at most. REQUIRES: ValidateStream passed.
int64_t SamplesPerReply(const v1::SampleRequest& request, const FlowInfo& flow, const RequestLimits& limits);

// The type of a reply's tensor: the request's own; FLOAT64 for UINT8 and for unspecified.
DataType ReplyDataType(v1::DataType dtype);

}  // namespace glowworm

#endif  // GLOWWORM_SERVER_VALIDATE_H_
