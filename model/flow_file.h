// Reads and writes flow.safetensors: a FlowSpec as JSON in the metadata, its numbers as tensors. The only
// code that knows the file. Every refusal is one sentence that names the layer or the tensor, and nothing is
// half-loaded. Tested by tests/model/flow_file_test.cc.

#ifndef GLOWWORM_MODEL_FLOW_FILE_H_
#define GLOWWORM_MODEL_FLOW_FILE_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "model/flow_spec.h"

namespace glowworm {

struct FlowFile {
  FlowSpec spec;
  int64_t parameters = 0;  // numbers in the file's floating-point tensors
  std::string sha256;      // of the file's bytes, hexadecimal
};

// InvalidArgument if the bytes are not a flow as this library understands it.
absl::StatusOr<FlowFile> ParseFlowFile(std::string bytes);

// As above; NotFound or Unavailable if the file cannot be read. Error texts name no path.
absl::StatusOr<FlowFile> ReadFlowFile(const std::string& path);

// The bytes of a flow file that ParseFlowFile reads back as the same spec. A tensor whose numbers are all
// float32 numbers is stored as float32, any other as float64.
// REQUIRES: `spec` is one that ParseFlowFile would accept.
std::string SerializeFlow(const FlowSpec& spec);

}  // namespace glowworm

#endif  // GLOWWORM_MODEL_FLOW_FILE_H_
