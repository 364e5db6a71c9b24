// A fuzzed request as bytes: two bytes that choose what is asked of which flow within which limits, then the
// message as it comes over the wire. For request_fuzz.cc and make_seeds.cc; tests/fuzz/run.sh runs them.

#ifndef GLOWWORM_TESTS_FUZZ_FUZZED_REQUEST_H_
#define GLOWWORM_TESTS_FUZZ_FUZZED_REQUEST_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "google/protobuf/message.h"
#include "model/flow.h"
#include "server/validate.h"

namespace glowworm {

enum class RequestKind { kLogLikelihood, kEncode, kDecode, kSample, kStreamSamples };
constexpr int kRequestKinds = 5;

// Three small flows, as a file would describe them: rows with a context and classes, images with classes,
// rows with neither but a calibration.
const std::vector<FlowInfo>& FuzzedFlows();

struct FuzzedRequest {
  RequestKind kind = RequestKind::kLogLikelihood;
  uint8_t flow = 0;  // of FuzzedFlows(), modulo their number
  bool small_limits =
      false;  // replies of 1024 bytes, so that the limits are met by short requests; else the defaults
  std::string message;

  const FlowInfo& Flow() const { return FuzzedFlows()[flow % FuzzedFlows().size()]; }
  RequestLimits Limits() const;
  // An empty message of the request's type.
  std::unique_ptr<google::protobuf::Message> NewMessage() const;
};

std::string Serialize(const FuzzedRequest& request);
// Of any bytes; those that are missing count as 0.
FuzzedRequest ParseFuzzedRequest(const std::string& bytes);

}  // namespace glowworm

#endif  // GLOWWORM_TESTS_FUZZ_FUZZED_REQUEST_H_
