// See fuzzed_request.h. Run by tests/fuzz/run.sh.

#include "tests/fuzz/fuzzed_request.h"

#include "model/flow_file.h"
#include "tests/fuzz/require.h"
#include "tests/model/flow_draft.h"

namespace glowworm {
namespace {

FlowSpec PlainFlow() {
  FlowSpec spec;
  spec.event.channels = 3;
  spec.calibration = Calibration{{-3, -2, -1}, {0.1, 0.5, 0.9}};
  return spec;
}

FlowInfo ThroughAFile(const FlowSpec& spec) {
  const absl::StatusOr<FlowFile> file = ParseFlowFile(SerializeFlow(spec));
  Require(file.ok(), "the flow of a request can be read");
  return DescribeFlow(file->spec);
}

}  // namespace

const std::vector<FlowInfo>& FuzzedFlows() {
  static const auto* const flows = new std::vector<FlowInfo>{
      ThroughAFile(RowFlow()), ThroughAFile(ImageFlow()), ThroughAFile(PlainFlow())};
  return *flows;
}

RequestLimits FuzzedRequest::Limits() const {
  RequestLimits limits;
  if (small_limits) {
    limits.max_rows = limits.max_samples = 100;
    limits.max_reply_bytes = 1024;
  }
  return limits;
}

std::unique_ptr<google::protobuf::Message> FuzzedRequest::NewMessage() const {
  switch (kind) {
    case RequestKind::kLogLikelihood:
      return std::make_unique<v1::LogLikelihoodRequest>();
    case RequestKind::kEncode:
      return std::make_unique<v1::EncodeRequest>();
    case RequestKind::kDecode:
      return std::make_unique<v1::DecodeRequest>();
    case RequestKind::kSample:
    case RequestKind::kStreamSamples:
      break;
  }
  return std::make_unique<v1::SampleRequest>();
}

std::string Serialize(const FuzzedRequest& request) {
  const auto choice =
      static_cast<char>(static_cast<int>(request.kind) * 2 + static_cast<int>(request.small_limits));
  return std::string{choice, static_cast<char>(request.flow)} + request.message;
}

FuzzedRequest ParseFuzzedRequest(const std::string& bytes) {
  FuzzedRequest request;
  if (bytes.size() < 2) return request;
  const int choice = static_cast<unsigned char>(bytes[0]);
  request.kind = static_cast<RequestKind>(choice / 2 % kRequestKinds);
  request.small_limits = choice % 2 == 1;
  request.flow = static_cast<uint8_t>(bytes[1]);
  request.message = bytes.substr(2);
  return request;
}

}  // namespace glowworm
