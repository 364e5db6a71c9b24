// Changes the parts of a file: file_parts.h takes it apart. Tested by tests/fuzz/file_mutator_test.cc.

#include "tests/fuzz/file_mutator.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "tests/fuzz/file_parts.h"
#include "tests/testing/random_numbers.h"

namespace glowworm {
namespace {

using Json = FileParts::Json;
using Tensor = FileParts::Tensor;

Json OddValue(RandomNumbers& random) {
  static const auto* const values = new Json(Json::parse(R"([
    0, 1, 2, 3, 8, 9, 255, 8192, 8193, 16384, 16777216, 16777217, 4294967296, 281474976710655, 281474976710656,
    9223372036854775807, 9223372036854775808, 18446744073709551615, -1, -9223372036854775808,
    0.0, 0.5, 1.0, -0.0, 1e-320, 1e30, 1e31, 1e308, true, null, "", "0", [], {}, [1], [0, 0],
    "F16", "BF16", "I32", "I64", "F32", "F64"])",
                                                         nullptr, false));
  return (*values)[static_cast<size_t>(random.Below(static_cast<int64_t>(values->size())))];
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
  static constexpr double kInfinity = std::numeric_limits<double>::infinity();
  static constexpr double kOdd[] = {0,     -0.0,   1,    -1,   60,    61,  -61,      1e-320,
                                    1e308, -1e308, 1e30, 1e31, 1e-30, 0.5, kInfinity};
  return random.Below(16) == 0 ? std::numeric_limits<double>::quiet_NaN()
                               : kOdd[random.Below(std::size(kOdd))];
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
void ChangeANumber(FileParts* parts, RandomNumbers& random) {
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

std::string FreshName(const FileParts& parts, std::string name, RandomNumbers& random) {
  while (!parts.IsFree(name)) name += static_cast<char>('a' + random.Below(26));
  return name;
}

void ChangeTensors(FileParts* parts, RandomNumbers& random, ByteMutation mutate) {
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

void Change(FileParts* parts, RandomNumbers& random, ByteMutation mutate) {
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
  std::optional<FileParts> parts = TakeApart(file);
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
  std::optional<FileParts> into = TakeApart(file), from = TakeApart(other);
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
    if (into->IsFree(tensor.name)) into->tensors.push_back(std::move(tensor));
  }
  Mend(&*into);
  std::string crossed = PutTogether(*std::move(into));
  return crossed.size() <= max_size ? crossed : "";
}

}  // namespace glowworm
