// What the parts of the flow-file reader share: the first error, strict access to the fields of a JSON
// object, and to the tensors that they reference. Used by flow_file*.cc only; tested through
// tests/model/flow_file_test.cc.
//
// Reading functions return false once anything has failed; the reason is then in FlowSource::status().

#ifndef GLOWWORM_MODEL_FLOW_FILE_FIELDS_H_
#define GLOWWORM_MODEL_FLOW_FILE_FIELDS_H_

#include <cstdint>
#include <initializer_list>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "model/flow_file_names.h"
#include "model/safetensors.h"
#include "model/strict_json.h"

namespace glowworm {

// Numbers that one flow may hold in memory, 2 GiB of them; a tensor referenced twice counts twice.
inline constexpr int64_t kMaxNumbers = int64_t{1} << 28;
inline constexpr size_t kMaxLayerName = 128;  // bytes, printable ASCII

// A free dimension of an expected shape.
inline constexpr int64_t kAny = -1;        // 1 or more
inline constexpr int64_t kAnyOrNone = -2;  // 0 or more

// Where in the flow we are: "layer '03.coupling' net.ops[0].dense".
struct Place {
  std::string owner;
  std::string path;

  Place Field(absl::string_view key) const;
  Place Item(size_t index) const;  // of the array at `path`
  std::string Text() const;
};

// The file behind the fields. Not safe for use by several threads.
class FlowSource {
 public:
  explicit FlowSource(const Safetensors& file, int64_t max_numbers = kMaxNumbers)
      : file_(file), max_numbers_(max_numbers) {}

  // Keeps the first failure, "<place>: <what>"; always false.
  bool Fail(const Place& place, absl::string_view what);
  const absl::Status& status() const { return status_; }

  // The tensor of that name, marked as referenced; null after a failure.
  const TensorEntry* Reference(const Place& place, const std::string& name);
  bool AllReferenced();

  const Safetensors& file() const { return file_; }

 private:
  const Safetensors& file_;
  const int64_t max_numbers_;
  absl::Status status_;
  std::set<std::string> referenced_;
  int64_t numbers_ = 0;
};

// The fields of one JSON object. Each is asked for once; Done() refuses those that nobody asked for.
class Fields {
 public:
  // `json` may be null: then something has failed already, and so does everything here.
  Fields(FlowSource* source, const Json* json, Place place);

  const Place& place() const { return place_; }
  bool Fail(absl::string_view what) { return source_->Fail(place_, what); }

  const Json* Optional(absl::string_view key);  // null if absent
  const Json* Need(absl::string_view key);      // null after a failure
  // The key of the one field present among `keys`; "" after a failure. Need() then gives its value.
  std::string OneOf(std::initializer_list<absl::string_view> keys);

  bool Text(absl::string_view key, std::string* out);
  bool Number(absl::string_view key, double* out);
  // A plain integer from `least` to `most`.
  bool Integer(absl::string_view key, int64_t least, int64_t most, int64_t* out);
  template <typename E, size_t n>
  bool Enum(absl::string_view key, const EnumName<E> (&names)[n], E* out) {
    std::string name;
    if (!Text(key, &name)) return false;
    for (const EnumName<E>& row : names) {
      if (name != row.name) continue;
      *out = row.value;
      return true;
    }
    return UnknownName(key, name);
  }

  // The tensor that the field names: F64 or F32, finite, of one of the shapes. `shape`, if given, is what it
  // has.
  bool Floats(absl::string_view key, const std::vector<std::vector<int64_t>>& shapes,
              std::vector<double>* out, std::vector<int64_t>* shape = nullptr);
  // The same for a field that may be absent: `out` is then left empty.
  bool OptionalFloats(absl::string_view key, const std::vector<int64_t>& shape, std::vector<double>* out);
  // An I64 tensor of `size` numbers, or of one or more with kAny, each in 0 .. below - 1 and none twice.
  bool Indices(absl::string_view key, int64_t size, int64_t below, std::vector<int64_t>* out);

  bool Done();

 private:
  bool UnknownName(absl::string_view key, absl::string_view name);
  const TensorEntry* Tensor(absl::string_view key, const std::vector<std::vector<int64_t>>& shapes,
                            std::string* name);

  FlowSource* const source_;
  const Json::Object* object_ = nullptr;
  const Json* json_ = nullptr;
  const Place place_;
  std::vector<std::string> asked_;
};

// "[3, 2]"; "1+" and "any" stand for kAny and kAnyOrNone.
std::string ShapeText(const std::vector<int64_t>& shape);

}  // namespace glowworm

#endif  // GLOWWORM_MODEL_FLOW_FILE_FIELDS_H_
