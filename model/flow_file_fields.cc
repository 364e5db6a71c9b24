// Strict access to JSON fields and the tensors they name. Tested through tests/model/flow_file_test.cc.

#include "model/flow_file_fields.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace glowworm {
namespace {

constexpr size_t kMaxMessage = 1000;  // bytes; the API promises 1 KiB

bool Fits(const std::vector<int64_t>& shape, const std::vector<int64_t>& expected) {
  if (shape.size() != expected.size()) return false;
  for (size_t i = 0; i < shape.size(); ++i) {
    if (expected[i] == kAnyOrNone) continue;
    if (expected[i] == kAny ? shape[i] < 1 : shape[i] != expected[i]) return false;
  }
  return true;
}

}  // namespace

Place Place::Field(absl::string_view key) const {
  return {owner, path.empty() ? std::string(key) : absl::StrCat(path, ".", key)};
}

Place Place::Item(size_t index) const { return {owner, absl::StrCat(path, "[", index, "]")}; }

std::string Place::Text() const { return path.empty() ? owner : absl::StrCat(owner, " ", path); }

std::string ShapeText(const std::vector<int64_t>& shape) {
  const auto dimension = [](std::string* out, int64_t d) {
    d == kAny         ? absl::StrAppend(out, "1+")
    : d == kAnyOrNone ? absl::StrAppend(out, "any")
                      : absl::StrAppend(out, d);
  };
  return absl::StrCat("[", absl::StrJoin(shape, ", ", dimension), "]");
}

bool FlowSource::Fail(const Place& place, absl::string_view what) {
  if (status_.ok()) {
    const std::string message = absl::StrCat(place.Text(), ": ", what);
    status_ = absl::InvalidArgumentError(absl::string_view(message).substr(0, kMaxMessage));
  }
  return false;
}

const TensorEntry* FlowSource::Reference(const Place& place, const std::string& name) {
  const auto it = file_.tensors().find(name);
  if (it == file_.tensors().end()) {
    Fail(place, absl::StrCat("tensor ", Quoted(name), " is not in the file"));
    return nullptr;
  }
  referenced_.insert(name);
  numbers_ += it->second.size();
  if (numbers_ > max_numbers_) {
    Fail(place, absl::StrCat("the flow holds more than ", max_numbers_, " numbers"));
    return nullptr;
  }
  return &it->second;
}

bool FlowSource::AllReferenced() {
  for (const auto& [name, entry] : file_.tensors()) {
    if (referenced_.count(name) == 0) {
      return Fail({"the flow", ""}, absl::StrCat("tensor ", Quoted(name), " is not referenced"));
    }
  }
  return true;
}

Fields::Fields(FlowSource* source, const Json* json, Place place)
    : source_(source), json_(json), place_(std::move(place)) {
  if (json == nullptr) return;
  object_ = json->As<Json::Object>();
  if (object_ == nullptr) Fail("an object was expected");
}

const Json* Fields::Optional(absl::string_view key) {
  if (object_ == nullptr) return nullptr;
  asked_.emplace_back(key);
  return json_->Find(key);
}

const Json* Fields::Need(absl::string_view key) {
  if (object_ == nullptr) return nullptr;
  const Json* value = Optional(key);
  if (value == nullptr) Fail(absl::StrCat("field '", key, "' is missing"));
  return value;
}

std::string Fields::OneOf(std::initializer_list<absl::string_view> keys) {
  if (object_ == nullptr) return "";
  std::string found;
  for (const absl::string_view key : keys) {
    if (json_->Find(key) == nullptr) continue;
    if (!found.empty()) {
      Fail(absl::StrCat("both '", found, "' and '", key, "' are given; exactly one is expected"));
      return "";
    }
    found = std::string(key);
  }
  if (found.empty()) Fail(absl::StrCat("one of ", absl::StrJoin(keys, ", "), " is expected; none is given"));
  return found;
}

bool Fields::Text(absl::string_view key, std::string* out) {
  const Json* value = Need(key);
  if (value == nullptr) return false;
  const auto* text = value->As<std::string>();
  if (text == nullptr) return Fail(absl::StrCat("field '", key, "' is not a string"));
  *out = *text;
  return true;
}

bool Fields::Number(absl::string_view key, double* out) {
  const Json* value = Need(key);
  if (value == nullptr) return false;
  if (const auto* plain = value->As<uint64_t>()) {
    *out = static_cast<double>(*plain);
  } else if (const auto* negative = value->As<int64_t>()) {
    *out = static_cast<double>(*negative);
  } else if (const auto* other = value->As<double>()) {
    *out = *other;
  } else {
    return Fail(absl::StrCat("field '", key, "' is not a number"));
  }
  return true;
}

bool Fields::Integer(absl::string_view key, int64_t least, int64_t most, int64_t* out) {
  const Json* value = Need(key);
  if (value == nullptr) return false;
  const auto* plain = value->As<uint64_t>();
  if (plain == nullptr) return Fail(absl::StrCat("field '", key, "' is not a plain non-negative integer"));
  if (*plain < static_cast<uint64_t>(least) || *plain > static_cast<uint64_t>(most)) {
    return Fail(absl::StrCat("field '", key, "' is ", *plain, "; ", least, " to ", most, " is expected"));
  }
  *out = static_cast<int64_t>(*plain);
  return true;
}

bool Fields::UnknownName(absl::string_view key, absl::string_view name) {
  return Fail(absl::StrCat("field '", key, "' has the unknown value ", Quoted(name)));
}

const TensorEntry* Fields::Tensor(absl::string_view key, const std::vector<std::vector<int64_t>>& shapes,
                                  std::string* name) {
  if (!Text(key, name)) return nullptr;
  const TensorEntry* entry = source_->Reference(place_.Field(key), *name);
  if (entry == nullptr) return nullptr;
  const auto fits = [entry](const std::vector<int64_t>& expected) { return Fits(entry->shape, expected); };
  if (std::any_of(shapes.begin(), shapes.end(), fits)) return entry;
  const auto shape_text = [](std::string* out, const std::vector<int64_t>& s) { *out += ShapeText(s); };
  Fail(absl::StrCat("tensor ", Quoted(*name), " has shape ", ShapeText(entry->shape), "; ",
                    absl::StrJoin(shapes, " or ", shape_text), " is expected"));
  return nullptr;
}

bool Fields::Floats(absl::string_view key, const std::vector<std::vector<int64_t>>& shapes,
                    std::vector<double>* out, std::vector<int64_t>* shape) {
  std::string name;
  const TensorEntry* entry = Tensor(key, shapes, &name);
  if (entry == nullptr) return false;
  if (entry->dtype != Dtype::kF64 && entry->dtype != Dtype::kF32) {
    return Fail(absl::StrCat("tensor ", Quoted(name), " has dtype ", DtypeName(entry->dtype),
                             "; F64 or F32 is expected"));
  }
  *out = source_->file().Floats(*entry);
  for (size_t i = 0; i < out->size(); ++i) {
    if (!std::isfinite((*out)[i])) {
      return Fail(absl::StrCat("tensor ", Quoted(name), ": number ", i, " is ", (*out)[i], ", not finite"));
    }
  }
  if (shape != nullptr) *shape = entry->shape;
  return true;
}

bool Fields::OptionalFloats(absl::string_view key, const std::vector<int64_t>& shape,
                            std::vector<double>* out) {
  out->clear();
  return Optional(key) == nullptr ? source_->status().ok() : Floats(key, {shape}, out);
}

bool Fields::Indices(absl::string_view key, int64_t size, int64_t below, std::vector<int64_t>* out) {
  std::string name;
  const TensorEntry* entry = Tensor(key, {{size}}, &name);
  if (entry == nullptr) return false;
  if (entry->dtype != Dtype::kI64) {
    return Fail(
        absl::StrCat("tensor ", Quoted(name), " has dtype ", DtypeName(entry->dtype), "; I64 is expected"));
  }
  *out = source_->file().Integers(*entry);
  std::vector<bool> seen(static_cast<size_t>(below), false);
  for (const int64_t index : *out) {
    if (index < 0 || index >= below) {
      return Fail(absl::StrCat("tensor ", Quoted(name), " holds the index ", index, "; 0 to ", below - 1,
                               " is expected"));
    }
    if (seen[static_cast<size_t>(index)]) {
      return Fail(absl::StrCat("tensor ", Quoted(name), " holds the index ", index, " twice"));
    }
    seen[static_cast<size_t>(index)] = true;
  }
  return true;
}

bool Fields::Done() {
  if (!source_->status().ok() || object_ == nullptr) return false;
  for (const JsonMember& member : *object_) {
    if (std::find(asked_.begin(), asked_.end(), member.key) == asked_.end()) {
      return Fail(absl::StrCat("unknown field ", Quoted(member.key)));
    }
  }
  return true;
}

}  // namespace glowworm
