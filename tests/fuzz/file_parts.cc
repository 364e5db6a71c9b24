// See file_parts.h. Tested by tests/fuzz/file_mutator_test.cc.

#include "tests/fuzz/file_parts.h"

#include <algorithm>
#include <cstring>
#include <utility>

namespace glowworm {
namespace {

using Json = FileParts::Json;
using Tensor = FileParts::Tensor;

constexpr size_t kMaxTensorBytes = 1 << 16;
constexpr int kMaxDepth = 64;  // nlohmann-json writes by recursion
constexpr char kMetadata[] = "__metadata__";
constexpr char kFlow[] = "glowworm.flow";

std::optional<std::pair<size_t, size_t>> Offsets(const Json& entry) {
  if (!entry.is_object() || !entry.contains("data_offsets")) return std::nullopt;
  const Json& pair = entry["data_offsets"];
  if (!pair.is_array() || pair.size() != 2 || !pair[0].is_number_unsigned() ||
      !pair[1].is_number_unsigned()) {
    return std::nullopt;
  }
  return std::make_pair(pair[0].get<size_t>(), pair[1].get<size_t>());
}

}  // namespace

Json* FileParts::Layers() {
  if (!flow.is_object() || !flow.contains("layers") || !flow["layers"].is_array()) return nullptr;
  return &flow["layers"];
}

bool FileParts::IsFree(const std::string& name) const {
  return std::none_of(tensors.begin(), tensors.end(),
                      [&](const Tensor& tensor) { return tensor.name == name; });
}

std::optional<Json> ParseText(const std::string& text) {
  int depth = 0, deepest = 0;
  for (const char c : text) {
    depth += (c == '[' || c == '{') - (c == ']' || c == '}');
    deepest = std::max(deepest, depth);
  }
  if (deepest > kMaxDepth) return std::nullopt;
  Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded()) return std::nullopt;
  return json;
}

std::string Text(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

std::optional<FileParts> TakeApart(const std::string& file) {
  uint64_t length = 0;
  if (file.size() < kLengthBytes) return std::nullopt;
  std::memcpy(&length, file.data(), kLengthBytes);
  if (length > file.size() - kLengthBytes) return std::nullopt;
  const std::optional<Json> header = ParseText(file.substr(kLengthBytes, length));
  if (!header || !header->is_object()) return std::nullopt;
  const std::string data = file.substr(kLengthBytes + length);
  FileParts parts;
  for (const auto& [name, value] : header->items()) {
    if (name == kMetadata) {
      parts.metadata = value;
      continue;
    }
    Tensor tensor{name, value, ""};
    const auto offsets = Offsets(value);
    if (offsets && offsets->first <= offsets->second && offsets->second <= data.size()) {
      tensor.bytes = data.substr(offsets->first, offsets->second - offsets->first);
    }
    parts.tensors.push_back(std::move(tensor));
  }
  if (parts.metadata.is_object() && parts.metadata.contains(kFlow) && parts.metadata[kFlow].is_string()) {
    if (auto flow = ParseText(parts.metadata[kFlow].get<std::string>())) parts.flow = *std::move(flow);
  }
  return parts;
}

std::string Together(uint64_t length, const std::string& header, const std::string& data) {
  std::string file(kLengthBytes, '\0');
  std::memcpy(&file[0], &length, kLengthBytes);
  return file + header + data;
}

std::string PutTogether(FileParts parts) {
  Json header = Json::object();
  const bool holds_flow = parts.metadata.is_object() && !parts.flow.is_null();
  if (holds_flow) parts.metadata[kFlow] = Text(parts.flow);
  if (!parts.metadata.is_null()) header[kMetadata] = std::move(parts.metadata);
  std::string data;
  for (Tensor& tensor : parts.tensors) {
    header[tensor.name] = std::move(tensor.entry);
    data += tensor.bytes;
  }
  const std::string text = Text(header);
  return Together(text.size(), text, data);
}

size_t NumberBytes(const Json& entry) {
  const std::string dtype = entry.value("dtype", Json()).is_string() ? entry["dtype"].get<std::string>() : "";
  if (dtype == "F64" || dtype == "I64") return 8;
  if (dtype == "F32" || dtype == "I32") return 4;
  return dtype == "F16" || dtype == "BF16" ? 2 : 0;
}

void Mend(FileParts* parts) {
  size_t offset = 0;
  for (Tensor& tensor : parts->tensors) {
    if (!tensor.entry.is_object()) continue;
    size_t bytes = NumberBytes(tensor.entry);
    const Json shape = tensor.entry.value("shape", Json());
    for (const Json& d : shape) {
      const bool fits = d.is_number_unsigned() && d.get<uint64_t>() <= kMaxTensorBytes;
      bytes = fits ? std::min<size_t>(bytes * d.get<size_t>(), kMaxTensorBytes) : 0;
    }
    tensor.bytes.resize(bytes, '\0');
    tensor.entry["data_offsets"] = {offset, offset + bytes};
    offset += bytes;
  }
}

void AddStrings(const Json& json, std::set<std::string>* out) {
  if (json.is_string()) out->insert(json.get<std::string>());
  if (json.is_structured()) {
    for (const Json& child : json) AddStrings(child, out);
  }
}

void DropUnused(FileParts* parts) {
  if (parts->flow.is_null()) return;
  std::set<std::string> used;
  AddStrings(parts->flow, &used);
  parts->tensors.erase(std::remove_if(parts->tensors.begin(), parts->tensors.end(),
                                      [&](const Tensor& tensor) { return used.count(tensor.name) == 0; }),
                       parts->tensors.end());
}

}  // namespace glowworm
