// Takes a file apart into JSON and the bytes of each tensor, changes the parts, puts it together. Tested by
// tests/fuzz/file_mutator_test.cc.

#include "tests/fuzz/file_mutator.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "nlohmann/json.hpp"
#include "tests/testing/random_numbers.h"

namespace glowworm {
namespace {

using Json = nlohmann::ordered_json;

constexpr size_t kLengthBytes = 8;
constexpr size_t kMaxTensorBytes = 1 << 16;
constexpr int kMaxDepth = 64;  // nlohmann-json writes by recursion
constexpr char kMetadata[] = "__metadata__";
constexpr char kFlow[] = "glowworm.flow";

// JSON for `text`, unless it is none or nests too deep.
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

struct Tensor {
  std::string name;
  Json entry;  // {"dtype", "shape", "data_offsets"}, or whatever stands there
  std::string bytes;
};

struct Parts {
  Json metadata;  // null: none
  Json flow;      // the JSON inside the metadata; null: none
  std::vector<Tensor> tensors;

  Json* Layers() {
    if (!flow.is_object() || !flow.contains("layers") || !flow["layers"].is_array()) return nullptr;
    return &flow["layers"];
  }
};

std::optional<std::pair<size_t, size_t>> Offsets(const Json& entry) {
  if (!entry.is_object() || !entry.contains("data_offsets")) return std::nullopt;
  const Json& pair = entry["data_offsets"];
  if (!pair.is_array() || pair.size() != 2 || !pair[0].is_number_unsigned() ||
      !pair[1].is_number_unsigned()) {
    return std::nullopt;
  }
  return std::make_pair(pair[0].get<size_t>(), pair[1].get<size_t>());
}

std::optional<Parts> TakeApart(const std::string& file) {
  uint64_t length = 0;
  if (file.size() < kLengthBytes) return std::nullopt;
  std::memcpy(&length, file.data(), kLengthBytes);
  if (length > file.size() - kLengthBytes) return std::nullopt;
  const std::optional<Json> header = ParseText(file.substr(kLengthBytes, length));
  if (!header || !header->is_object()) return std::nullopt;
  const std::string data = file.substr(kLengthBytes + length);
  Parts parts;
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

std::string PutTogether(Parts parts) {
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

// --- Mending: what a writer would have made of the parts ---

size_t NumberBytes(const Json& entry) {
  const std::string dtype = entry.value("dtype", Json()).is_string() ? entry["dtype"].get<std::string>() : "";
  if (dtype == "F64" || dtype == "I64") return 8;
  if (dtype == "F32" || dtype == "I32") return 4;
  return dtype == "F16" || dtype == "BF16" ? 2 : 0;
}

// Gives every tensor as many bytes as its shape takes (nothing where that cannot be), and the offsets where
// they lie.
void Mend(Parts* parts) {
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

// Every tensor of a flow must be used.
void DropUnused(Parts* parts) {
  if (parts->flow.is_null()) return;
  std::set<std::string> used;
  AddStrings(parts->flow, &used);
  parts->tensors.erase(std::remove_if(parts->tensors.begin(), parts->tensors.end(),
                                      [&](const Tensor& tensor) { return used.count(tensor.name) == 0; }),
                       parts->tensors.end());
}

// --- Changes ---

Json OddValue(RandomNumbers& random) {
  constexpr int64_t kMost = std::numeric_limits<int64_t>::max();
  static const std::vector<Json>* const kValues = new std::vector<Json>{0,
                                                                        1,
                                                                        2,
                                                                        3,
                                                                        8,
                                                                        9,
                                                                        255,
                                                                        8192,
                                                                        8193,
                                                                        16384,
                                                                        1 << 24,
                                                                        (1 << 24) + 1,
                                                                        int64_t{1} << 32,
                                                                        int64_t{1} << 48,
                                                                        (int64_t{1} << 48) - 1,
                                                                        kMost,
                                                                        static_cast<uint64_t>(kMost) + 1,
                                                                        std::numeric_limits<uint64_t>::max(),
                                                                        -1,
                                                                        -kMost - 1,
                                                                        0.0,
                                                                        0.5,
                                                                        1.0,
                                                                        -0.0,
                                                                        1e-320,
                                                                        1e30,
                                                                        1e31,
                                                                        1e308,
                                                                        true,
                                                                        nullptr,
                                                                        "",
                                                                        "0",
                                                                        Json::array(),
                                                                        Json::object(),
                                                                        Json::array({1}),
                                                                        Json::array({0, 0}),
                                                                        "F16",
                                                                        "BF16",
                                                                        "I32",
                                                                        "I64",
                                                                        "F32",
                                                                        "F64"};
  return (*kValues)[random.Below(static_cast<int64_t>(kValues->size()))];
}

void AddNodes(Json* json, std::vector<Json*>* out) {
  out->push_back(json);
  if (json->is_structured()) {
    for (Json& child : *json) AddNodes(&child, out);
  }
}

Json* AnyNode(Json* root, RandomNumbers& random) {
  std::vector<Json*> nodes;
  AddNodes(root, &nodes);
  return nodes[random.Below(static_cast<int64_t>(nodes.size()))];
}

std::string MutateBytes(std::string text, RandomNumbers& random, ByteMutation mutate) {
  const size_t room = text.size() + 16;
  const size_t size = text.size();
  text.resize(room);
  text.resize(mutate(reinterpret_cast<uint8_t*>(&text[0]), size, room));
  return text;
}

void ChangeChildren(Json* node, Json* root, RandomNumbers& random) {
  const int64_t i = random.Below(static_cast<int64_t>(node->size()));
  const auto at = std::next(node->begin(), i);
  if (random.Coin()) {
    node->erase(at);
  } else if (node->is_array()) {
    Json copy = *at;
    node->insert(node->begin() + random.Below(static_cast<int64_t>(node->size())), std::move(copy));
  } else {  // another key for the member: one that stands elsewhere
    const Json* other = AnyNode(root, random);
    const bool keyed = other->is_object() && !other->empty();
    const std::string key =
        keyed ? std::next(other->begin(), random.Below(static_cast<int64_t>(other->size()))).key() : "x";
    Json value = at.value();
    if (random.Coin()) node->erase(at);
    (*node)[key] = std::move(value);
  }
}

void ChangeNode(Json* root, RandomNumbers& random, ByteMutation mutate) {
  Json* node = AnyNode(root, random);
  if (node->is_structured() && !node->empty() && random.Below(4) != 0) {
    return ChangeChildren(node, root, random);
  }
  if (node->is_string() && random.Below(4) == 0) {
    *node = MutateBytes(node->get<std::string>(), random, mutate);
  } else if (node->is_number_integer() && random.Coin()) {
    const auto value =
        static_cast<int64_t>(node->get<uint64_t>() + static_cast<uint64_t>(random.Below(9) - 4));
    *node = value < 0 ? Json(value) : Json(static_cast<uint64_t>(value));
  } else if (random.Coin()) {
    Json copy = *AnyNode(root, random);
    *node = std::move(copy);
  } else {
    *node = OddValue(random);
  }
}

// Numbers that a check might miss.
double OddNumber(RandomNumbers& random) {
  static constexpr double kNumbers[] = {0,
                                        -0.0,
                                        1,
                                        -1,
                                        60,
                                        61,
                                        -61,
                                        1e-320,
                                        1e308,
                                        -1e308,
                                        1e30,
                                        1e31,
                                        1e-30,
                                        0.5,
                                        std::numeric_limits<double>::infinity(),
                                        std::numeric_limits<double>::quiet_NaN()};
  return kNumbers[random.Below(std::size(kNumbers))];
}

// Changes one number of the tensor; an index into as many things as the tensor has numbers mostly stays about
// right.
void ChangeNumber(Tensor* tensor, RandomNumbers& random) {
  const size_t width = tensor->entry.is_object() ? NumberBytes(tensor->entry) : 0;
  if (width < 4 || tensor->bytes.size() < width) return;
  const auto count = static_cast<int64_t>(tensor->bytes.size() / width);
  char* at = &tensor->bytes[width * static_cast<size_t>(random.Below(count))];
  const bool floating = tensor->entry["dtype"].get<std::string>()[0] == 'F';
  if (!floating) {
    const int64_t index = random.Coin() ? count + random.Below(3) - 1 : random.Below(9) - 1;
    std::memcpy(at, &index, width);
    return;
  }
  const double number = OddNumber(random);
  const auto narrow = static_cast<float>(std::abs(number) < 1e38 ? number : 1e38);
  width == 8 ? std::memcpy(at, &number, width) : std::memcpy(at, &narrow, width);
}

// Of indices as often as of all other tensors: there are few of them, and much hangs on them.
void ChangeANumber(Parts* parts, RandomNumbers& random) {
  std::vector<Tensor*> all, indices;
  for (Tensor& tensor : parts->tensors) {
    all.push_back(&tensor);
    if (tensor.entry.is_object() && tensor.entry.value("dtype", Json()) == "I64") indices.push_back(&tensor);
  }
  const std::vector<Tensor*>& among = !indices.empty() && random.Coin() ? indices : all;
  if (!among.empty()) ChangeNumber(among[random.Below(static_cast<int64_t>(among.size()))], random);
}

// Dimensions whose product may be zero, or wrap around to something small.
void ChangeShape(Tensor* tensor, RandomNumbers& random) {
  if (!tensor->entry.is_object()) return;
  Json shape = Json::array();
  for (int64_t rank = random.Below(5); rank > 0; --rank) {
    shape.push_back(random.Coin() ? uint64_t{1} << random.Below(48) : static_cast<uint64_t>(random.Below(4)));
  }
  tensor->entry["shape"] = std::move(shape);
}

std::string FreshName(const Parts& parts, const std::string& wanted, RandomNumbers& random) {
  for (std::string name = wanted;; name += static_cast<char>('a' + random.Below(26))) {
    if (std::none_of(parts.tensors.begin(), parts.tensors.end(),
                     [&](const Tensor& tensor) { return tensor.name == name; })) {
      return name;
    }
  }
}

void ChangeTensors(Parts* parts, RandomNumbers& random, ByteMutation mutate) {
  std::vector<Tensor>& tensors = parts->tensors;
  if (tensors.empty())
    return tensors.push_back({"t", {{"dtype", "F64"}, {"shape", {1}}}, std::string(8, '\0')});
  const auto at = tensors.begin() + random.Below(static_cast<int64_t>(tensors.size()));
  Tensor copy = *at;
  switch (random.Below(6)) {
    case 0:
      tensors.erase(at);
      return;
    case 1:
      copy.name = FreshName(*parts, copy.name, random);
      return tensors.push_back(std::move(copy));
    case 2:
      std::swap(*at, tensors[random.Below(static_cast<int64_t>(tensors.size()))]);
      return;
    case 3:
      return ChangeShape(&*at, random);
    case 4:
      copy.bytes = MutateBytes(copy.bytes, random, mutate);
      copy.bytes.resize(at->bytes.size());
      at->bytes = std::move(copy.bytes);
      return;
    default:
      return ChangeNode(&at->entry, random, mutate);
  }
}

// A layer once more, under another name: it fits, unless it changes the shape.
void RepeatLayer(Json* layers, RandomNumbers& random) {
  if (layers == nullptr || layers->empty()) return;
  const int64_t i = random.Below(static_cast<int64_t>(layers->size()));
  Json layer = (*layers)[i];
  if (layer.is_object()) layer["name"] = "again" + std::to_string(random.Below(1000));
  layers->insert(layers->begin() + i, std::move(layer));
}

void Change(Parts* parts, RandomNumbers& random, ByteMutation mutate) {
  const bool flow = !parts->flow.is_null();
  switch (random.Below(flow ? 8 : 4)) {
    case 0:
    case 1:
      return ChangeTensors(parts, random, mutate);
    case 2:
      return ChangeANumber(parts, random);
    case 3:
      return flow ? ChangeANumber(parts, random) : ChangeNode(&parts->metadata, random, mutate);
    case 4:
      return RepeatLayer(parts->Layers(), random);
    default:
      return ChangeNode(&parts->flow, random, mutate);
  }
}

// What JSON in memory cannot hold, and lies about the length.
std::string ChangeText(const std::string& file, RandomNumbers& random) {
  uint64_t length = 0;
  std::memcpy(&length, file.data(), kLengthBytes);
  std::string header = file.substr(kLengthBytes, length);
  const std::string data = file.substr(kLengthBytes + length);
  switch (random.Below(4)) {
    case 0: {  // a member twice
      const std::optional<Json> json = ParseText(header);
      if (!json || !json->is_object() || json->empty()) return file;
      const auto at = std::next(json->begin(), random.Below(static_cast<int64_t>(json->size())));
      header.insert(1, Text(at.key()) + ":" + Text(at.value()) + ",");
      return Together(header.size(), header, data);
    }
    case 1:
      header.insert(random.Coin() ? 0 : header.size(), std::string(1 + random.Below(8), ' '));
      return Together(header.size(), header, data);
    case 2:
      return Together(length + static_cast<uint64_t>(random.Below(17) - 8), header, data);
    default:
      return Together(length, header, random.Coin() ? data + '\0' : data.substr(0, data.size() / 2));
  }
}

std::string WithChangedBytes(const std::string& file, size_t max_size, ByteMutation mutate) {
  std::string changed = file;
  changed.resize(max_size);
  changed.resize(mutate(reinterpret_cast<uint8_t*>(&changed[0]), std::min(file.size(), max_size), max_size));
  return changed;
}

}  // namespace

std::string MutateFile(const std::string& file, size_t max_size, uint64_t seed, ByteMutation bytes) {
  RandomNumbers random(seed);
  std::optional<Parts> parts = TakeApart(file);
  if (!parts || random.Below(8) == 0) return WithChangedBytes(file, max_size, bytes);
  for (int64_t changes = random.Coin() ? 1 : 2 + random.Below(3); changes > 0; --changes)
    Change(&*parts, random, bytes);
  if (random.Below(4) != 0) {
    if (random.Coin()) DropUnused(&*parts);
    Mend(&*parts);
  }
  std::string changed = PutTogether(*std::move(parts));
  if (random.Below(8) == 0) changed = ChangeText(changed, random);
  return changed.size() <= max_size ? changed : WithChangedBytes(file, max_size, bytes);
}

std::string CrossFiles(const std::string& file, const std::string& other, size_t max_size, uint64_t seed) {
  RandomNumbers random(seed);
  std::optional<Parts> into = TakeApart(file), from = TakeApart(other);
  if (!into || !from) return "";
  std::vector<Tensor> tensors;
  Json* layers = into->Layers();
  Json* others = from->Layers();
  if (layers != nullptr && others != nullptr && !others->empty()) {
    Json layer = (*others)[random.Below(static_cast<int64_t>(others->size()))];
    if (layer.is_object()) layer["name"] = "other" + std::to_string(random.Below(1000));
    std::set<std::string> used;
    AddStrings(layer, &used);
    for (Tensor& tensor : from->tensors) {
      if (used.count(tensor.name) != 0) tensors.push_back(std::move(tensor));
    }
    layers->insert(layers->begin() + random.Below(static_cast<int64_t>(layers->size()) + 1),
                   std::move(layer));
  } else if (!from->tensors.empty()) {
    tensors.push_back(from->tensors[random.Below(static_cast<int64_t>(from->tensors.size()))]);
  }
  for (Tensor& tensor : tensors) {  // one of the same name stays
    if (FreshName(*into, tensor.name, random) == tensor.name) into->tensors.push_back(std::move(tensor));
  }
  Mend(&*into);
  std::string crossed = PutTogether(*std::move(into));
  return crossed.size() <= max_size ? crossed : "";
}

}  // namespace glowworm
