// The verbs of the flow file's tests; see flow_draft.h.

#include "tests/model/flow_draft.h"

#include <cstdlib>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "model/flow_file.h"
#include "model/regular_file.h"

namespace glowworm {
namespace {

using nlohmann::json;

// The bytes of a tensor of a file that is known to be good.
std::string BytesOf(const std::string& file, const TensorEntry& entry) {
  uint64_t header = 0;
  std::memcpy(&header, file.data(), 8);
  return file.substr(8 + header + entry.begin, entry.end - entry.begin);
}

}  // namespace

FlowDraft FlowDraft::Of(const FlowSpec& spec) { return OfBytes(SerializeFlow(spec)); }

FlowDraft FlowDraft::OfBytes(const std::string& bytes) {
  const Safetensors file = *Safetensors::Parse(bytes);
  FlowDraft draft;
  draft.json = json::parse(file.metadata().at("glowworm.flow"));
  for (const auto& [name, entry] : file.tensors()) {
    // Narrow numbers are widened, so that SetNumber() may put any in their place.
    draft.tensors[name] = entry.dtype == Dtype::kF32
                              ? FloatTensor(name, entry.shape, file.Floats(entry))
                              : TensorData{name, entry.dtype, entry.shape, BytesOf(bytes, entry)};
  }
  return draft;
}

TensorData& FlowDraft::Tensor(const std::string& pointer) {
  return tensors.at(json.at(json::json_pointer(pointer)).get<std::string>());
}

void FlowDraft::SetFloats(const std::string& pointer, std::vector<int64_t> shape,
                          const std::vector<double>& values) {
  TensorData& tensor = Tensor(pointer);
  tensor = FloatTensor(tensor.name, std::move(shape), values);
}

void FlowDraft::SetIndices(const std::string& pointer, const std::vector<int64_t>& values) {
  TensorData& tensor = Tensor(pointer);
  tensor = IndexTensor(tensor.name, {static_cast<int64_t>(values.size())}, values);
}

void FlowDraft::SetNumber(const std::string& pointer, size_t i, double value) {
  std::string& bytes = Tensor(pointer).bytes;
  if ((i + 1) * sizeof(value) > bytes.size()) std::abort();
  std::memcpy(&bytes[i * sizeof(value)], &value, sizeof(value));
}

void FlowDraft::Set(const std::string& pointer, const nlohmann::json& value) {
  json[json::json_pointer(pointer)] = value;
}

void FlowDraft::Remove(const std::string& pointer) {
  const json::json_pointer at(pointer);
  if (json.at(at).is_string()) tensors.erase(json.at(at).get<std::string>());
  json.at(at.parent_pointer()).erase(at.back());
}

std::string FlowDraft::BytesWith(const std::string& flow_text) const {
  std::vector<TensorData> list;
  for (const auto& [name, tensor] : tensors) {
    list.push_back(tensor);
    list.back().name = name;
  }
  return SerializeSafetensors({{"glowworm.flow", flow_text}}, std::move(list));
}

std::string Refusal(const std::string& bytes) {
  const auto file = ParseFlowFile(bytes);
  if (file.ok()) return "";
  EXPECT_EQ(file.status().code(), absl::StatusCode::kInvalidArgument) << file.status();
  const std::string message(file.status().message());
  EXPECT_LE(message.size(), 1024u);
  EXPECT_EQ(message.find('\n'), std::string::npos);
  return message;
}

std::string Refusal(const FlowDraft& draft) { return Refusal(draft.Bytes()); }

std::string LayerAt(const FlowDraft& draft, const std::string& name) {
  const auto& layers = draft.json.at("layers");
  for (size_t i = 0; i < layers.size(); ++i) {
    if (layers[i].at("name") == name) return absl::StrCat("/layers/", i);
  }
  std::abort();
}

std::string GoldenBytes(const std::string& name) {
  const char* root = std::getenv("GLOWWORM_SOURCE_DIR");
  if (root == nullptr) {
    ADD_FAILURE() << "GLOWWORM_SOURCE_DIR is not set; run the test by ctest";
    return "";
  }
  const auto bytes =
      ReadRegularFile(absl::StrCat(root, "/tests/golden/", name, "/1/flow.safetensors"), 1 << 20);
  if (!bytes.ok()) {
    ADD_FAILURE() << name << ": " << bytes.status();
    return "";
  }
  return *bytes;
}

}  // namespace glowworm
