// Changes messages by protobuf's reflection, so that fields that are added later are changed too. Tested by
// tests/fuzz/request_mutator_test.cc.

#include "tests/fuzz/request_mutator.h"

#include <algorithm>
#include <limits>
#include <utility>
#include <vector>

#include "google/protobuf/descriptor.h"
#include "google/protobuf/message.h"
#include "tests/fuzz/fuzzed_request.h"
#include "tests/testing/random_numbers.h"

namespace glowworm {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

constexpr int64_t kMaxDataBytes = 1 << 16;

// A field of the message or of one inside it, set or not.
using Field = std::pair<Message*, const FieldDescriptor*>;

void AddFields(Message* message, std::vector<Field>* out) {
  for (int i = 0; i < message->GetDescriptor()->field_count(); ++i) {
    const FieldDescriptor* field = message->GetDescriptor()->field(i);
    out->emplace_back(message, field);
    const bool nested = field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE && !field->is_repeated();
    if (nested && message->GetReflection()->HasField(*message, field)) {
      AddFields(message->GetReflection()->MutableMessage(message, field), out);
    }
  }
}

int64_t OddInteger(RandomNumbers& random) {
  static constexpr int64_t kOdd[] = {
      -1, 0, 1, 2, 64, 100, 128, 255, 1000, 2147483648, 4294967296, 2305843009213693952, 9223372036854775807};
  if (random.Coin()) return random.Below(random.Coin() ? 10 : 120);
  if (random.Below(8) == 0) return std::numeric_limits<int64_t>::min();
  return kOdd[random.Below(std::size(kOdd))];
}

double OddDouble(RandomNumbers& random) {
  static constexpr double kInfinity = std::numeric_limits<double>::infinity();
  static constexpr double kOdd[] = {
      0, -0.0, 1, -1, 0.5, 1e-320, 1e308, -1e308, kInfinity, std::numeric_limits<double>::quiet_NaN()};
  return kOdd[random.Below(std::size(kOdd))];
}

std::string OddText(std::string text, RandomNumbers& random, ByteMutation mutate) {
  if (random.Below(4) == 0) text.resize(random.Below(random.Coin() ? 8 : 2000), 'a');
  const size_t size = text.size();
  text.resize(size + 16);
  text.resize(mutate(reinterpret_cast<uint8_t*>(&text[0]), size, size + 16));
  return text;
}

void SetOne(const Field& where, RandomNumbers& random, ByteMutation mutate) {
  const auto& [message, field] = where;
  const Reflection* reflection = message->GetReflection();
  switch (field->cpp_type()) {
    case FieldDescriptor::CPPTYPE_INT32:
      return reflection->SetInt32(message, field, static_cast<int32_t>(OddInteger(random)));
    case FieldDescriptor::CPPTYPE_INT64:
      return reflection->SetInt64(message, field, OddInteger(random));
    case FieldDescriptor::CPPTYPE_UINT64:
      return reflection->SetUInt64(message, field, static_cast<uint64_t>(OddInteger(random)));
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return reflection->SetDouble(message, field, OddDouble(random));
    case FieldDescriptor::CPPTYPE_BOOL:
      return reflection->SetBool(message, field, random.Coin());
    case FieldDescriptor::CPPTYPE_ENUM:
      return reflection->SetEnumValue(message, field, static_cast<int>(random.Below(5)));
    case FieldDescriptor::CPPTYPE_STRING:
      return reflection->SetString(message, field,
                                   OddText(reflection->GetString(*message, field), random, mutate));
    case FieldDescriptor::CPPTYPE_MESSAGE:
      reflection->MutableMessage(message, field);
      return;
    default:  // no other type stands in a request
      return;
  }
}

void ChangeRepeated(const Field& where, RandomNumbers& random) {
  const auto& [message, field] = where;
  const Reflection* reflection = message->GetReflection();
  const int size = reflection->FieldSize(*message, field);
  const int64_t value = OddInteger(random);
  const int64_t what = size == 0 ? 0 : random.Below(3);
  const int at = size == 0 ? 0 : static_cast<int>(random.Below(size));
  if (what == 1) return reflection->RemoveLast(message, field);
  if (field->cpp_type() == FieldDescriptor::CPPTYPE_INT64) {
    what == 0 ? reflection->AddInt64(message, field, value)
              : reflection->SetRepeatedInt64(message, field, at, value);
  }
  if (field->cpp_type() == FieldDescriptor::CPPTYPE_INT32) {
    const auto narrow = static_cast<int32_t>(value);
    what == 0 ? reflection->AddInt32(message, field, narrow)
              : reflection->SetRepeatedInt32(message, field, at, narrow);
  }
}

void ChangeField(Message* request, RandomNumbers& random, ByteMutation mutate) {
  std::vector<Field> fields;
  AddFields(request, &fields);
  const Field& where = fields[random.Below(static_cast<int64_t>(fields.size()))];
  if (random.Below(8) == 0) return where.first->GetReflection()->ClearField(where.first, where.second);
  where.second->is_repeated() ? ChangeRepeated(where, random) : SetOne(where, random, mutate);
}

// As many bytes as the shape takes.
void MendTensor(v1::Tensor* tensor) {
  int64_t bytes = ByteSize(static_cast<DataType>(tensor->dtype()));
  for (const int64_t d : tensor->shape()) {
    if (d < 0 || d > kMaxDataBytes || bytes > kMaxDataBytes) return;
    bytes *= d;
  }
  if (bytes <= kMaxDataBytes) tensor->mutable_data()->resize(static_cast<size_t>(bytes), '\1');
}

void MendTensors(Message* request) {
  std::vector<Field> fields;
  AddFields(request, &fields);
  for (const auto& [message, field] : fields) {
    if (auto* tensor = google::protobuf::DynamicCastToGenerated<v1::Tensor>(message)) MendTensor(tensor);
  }
}

}  // namespace

std::string MutateRequest(const std::string& request, size_t max_size, uint64_t seed, ByteMutation bytes) {
  RandomNumbers random(seed);
  FuzzedRequest fuzzed = ParseFuzzedRequest(request);
  if (random.Below(16) == 0) fuzzed.flow = static_cast<uint8_t>(random.Below(3));
  if (random.Below(16) == 0) fuzzed.kind = static_cast<RequestKind>(random.Below(kRequestKinds));
  if (random.Below(16) == 0) fuzzed.small_limits = random.Coin();
  const std::unique_ptr<Message> message = fuzzed.NewMessage();
  if (random.Below(8) != 0 && message->ParseFromString(fuzzed.message)) {
    for (int64_t changes = 1 + random.Below(4); changes > 0; --changes)
      ChangeField(message.get(), random, bytes);
    if (random.Below(4) != 0) MendTensors(message.get());
    // A text that is not UTF-8 makes protobuf complain and go on, as a careless client's would.
    fuzzed.message = message->SerializePartialAsString();
    std::string changed = Serialize(fuzzed);
    if (changed.size() <= max_size) return changed;
  }
  std::string changed = request;
  changed.resize(max_size);
  changed.resize(
      bytes(reinterpret_cast<uint8_t*>(&changed[0]), std::min(request.size(), max_size), max_size));
  return changed;
}

}  // namespace glowworm
