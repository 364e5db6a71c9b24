// Fuzz target: the flow-file reader, and the compiler behind it. A flow that is accepted is read back the
// same from what the writer makes of it, and compiles or is refused in one sentence. Run by
// tests/fuzz/run.sh.

#include <string>

#include "model/flow_file.h"
#include "model/plan.h"
#include "tests/fuzz/accepted_inputs.h"
#include "tests/fuzz/require.h"
#include "tests/model/flow_equal.h"

namespace glowworm {
namespace {

// Larger events are legal: a few bytes may ask for 2^24 numbers. They would only make the fuzzer slow.
constexpr int64_t kMaxCompiledEvent = 4096;
constexpr double kMaxConditionNumber = 1e6;

void CheckRoundTrip(const FlowSpec& spec) {
  const std::string written = SerializeFlow(spec);
  const absl::StatusOr<FlowFile> again = ParseFlowFile(written);
  Require(again.ok(), "what was accepted is accepted again when it is written");
  Require(again->spec == spec, "the flow is read back");
  Require(SerializeFlow(again->spec) == written, "writing twice gives the same bytes");
}

void CheckCompiles(const FlowSpec& spec) {
  if (spec.event.size() > kMaxCompiledEvent) return;
  const absl::StatusOr<Plan> plan = Compile(spec, kMaxConditionNumber);
  if (!plan.ok()) return RequireRefusal(plan.status());
  Require(plan->event == spec.event && plan->context_size == spec.context_size,
          "the plan is of the flow's shape");
  Require(plan->layers.size() == spec.layers.size(), "the plan has a summary of every layer");
  Require(!Dump(*plan).empty(), "the plan can be dumped");
}

}  // namespace
}  // namespace glowworm

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  const absl::StatusOr<glowworm::FlowFile> file = glowworm::ParseFlowFile(bytes);
  if (!file.ok()) {
    glowworm::RequireRefusal(file.status());
    return 0;
  }
  glowworm::KeepAccepted(bytes);
  glowworm::Require(file->sha256.size() == 64 && file->parameters >= 0, "an accepted flow has a digest");
  glowworm::CheckRoundTrip(file->spec);
  glowworm::CheckCompiles(file->spec);
  return 0;
}
