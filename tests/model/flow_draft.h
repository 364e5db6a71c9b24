// A flow file taken apart, to be changed in one place, put together again and read: the verbs of the flow
// file's tests.

#ifndef GLOWWORM_TESTS_MODEL_FLOW_DRAFT_H_
#define GLOWWORM_TESTS_MODEL_FLOW_DRAFT_H_

#include <map>
#include <string>
#include <vector>

#include "model/flow_spec.h"
#include "model/safetensors.h"
#include "nlohmann/json.hpp"

namespace glowworm {

// Aborts where a test names something that is not there.
struct FlowDraft {
  nlohmann::json json;  // the flow
  std::map<std::string, TensorData> tensors;

  static FlowDraft Of(const FlowSpec& spec);
  static FlowDraft OfBytes(const std::string& bytes);

  // What the tensor field at the JSON pointer names: "/layers/0/affine/scale".
  TensorData& Tensor(const std::string& pointer);
  void SetFloats(const std::string& pointer, std::vector<int64_t> shape, const std::vector<double>& values);
  void SetIndices(const std::string& pointer, const std::vector<int64_t>& values);
  void SetNumber(const std::string& pointer, size_t i, double value);  // the i-th of an F64 tensor
  void Set(const std::string& pointer, const nlohmann::json& value);
  // Removes the field, and the tensor if it names one.
  void Remove(const std::string& pointer);

  std::string Bytes() const { return BytesWith(json.dump()); }
  std::string BytesWith(const std::string& flow_text) const;  // another text for the flow
};

// Why ParseFlowFile refuses it; "" if it does not. Checks what every refusal must be: one InvalidArgument
// sentence.
std::string Refusal(const std::string& bytes);
std::string Refusal(const FlowDraft& draft);

// Flows with a part of every kind. RowFlow: event [4], context 2, classes 3. ImageFlow: event [2, 8, 8],
// classes 3. Their layers are named by what they are: "affine", "plu", "coupling", "maf",
// ...
FlowSpec RowFlow();
FlowSpec ImageFlow();

// The number of the layer of that name, as a JSON pointer: "/layers/3".
std::string LayerAt(const FlowDraft& draft, const std::string& name);

// The bytes of tests/golden/<name>/1/flow.safetensors.
std::string GoldenBytes(const std::string& name);

}  // namespace glowworm

#endif  // GLOWWORM_TESTS_MODEL_FLOW_DRAFT_H_
