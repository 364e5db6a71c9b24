// ParseStrictJson(): nlohmann-json's event parser, which does not recurse, feeding a builder that refuses
// what the grammar allows and we do not. Tested by tests/model/strict_json_test.cc.

#include "model/strict_json.h"

#include <algorithm>
#include <exception>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "nlohmann/json.hpp"

namespace glowworm {
namespace {

// Every event returns false to stop the parse; `error` then says why.
class Builder final : public nlohmann::json_sax<nlohmann::json> {
 public:
  Builder(const JsonLimits& limits, Json* root) : limits_(limits), root_(root) {}

  const std::string& error() const { return error_; }

  bool null() override { return Add({nullptr}) != nullptr; }
  bool boolean(bool v) override { return Add({v}) != nullptr; }
  bool number_integer(int64_t v) override { return Add({v}) != nullptr; }
  bool number_unsigned(uint64_t v) override { return Add({v}) != nullptr; }
  bool number_float(double v, const std::string& /*text*/) override { return Add({v}) != nullptr; }
  bool string(std::string& v) override { return Add({std::move(v)}) != nullptr; }
  bool binary(nlohmann::json::binary_t& /*v*/) override { return Stop("is not JSON"); }

  bool start_object(size_t /*size*/) override { return Open({Json::Object()}); }
  bool start_array(size_t /*size*/) override { return Open({Json::Array()}); }
  bool key(std::string& key) override {
    std::get<Json::Object>(open_.back()->value).push_back({std::move(key), {}});
    return true;
  }
  bool end_object() override {
    auto& object = std::get<Json::Object>(open_.back()->value);
    std::sort(object.begin(), object.end(),
              [](const JsonMember& a, const JsonMember& b) { return a.key < b.key; });
    const auto twin =
        std::adjacent_find(object.begin(), object.end(),
                           [](const JsonMember& a, const JsonMember& b) { return a.key == b.key; });
    if (twin != object.end()) return Stop(absl::StrCat("has the key ", Quoted(twin->key), " twice"));
    open_.pop_back();
    return true;
  }
  bool end_array() override {
    open_.pop_back();
    return true;
  }

  bool parse_error(size_t position, const std::string& /*token*/,
                   const nlohmann::detail::exception& /*why*/) override {
    return Stop(absl::StrCat("is not valid JSON at byte ", position));
  }

 private:
  // Only the innermost open container grows, so that the pointers to the open ones stay good.
  Json* Add(Json value) {
    if (++values_ > limits_.values) {
      Stop(absl::StrCat("has more than ", limits_.values, " JSON values"));
      return nullptr;
    }
    if (open_.empty()) {
      *root_ = std::move(value);
      return root_;
    }
    Json& parent = *open_.back();
    if (auto* array = std::get_if<Json::Array>(&parent.value)) {
      array->push_back(std::move(value));
      return &array->back();
    }
    Json& member = std::get<Json::Object>(parent.value).back().value;
    member = std::move(value);
    return &member;
  }

  bool Open(Json container) {
    if (static_cast<int>(open_.size()) == limits_.depth) {
      return Stop(absl::StrCat("nests deeper than ", limits_.depth, " levels"));
    }
    Json* added = Add(std::move(container));
    if (added == nullptr) return false;
    open_.push_back(added);
    return true;
  }

  bool Stop(std::string error) {
    error_ = std::move(error);
    return false;
  }

  const JsonLimits limits_;
  Json* const root_;
  std::vector<Json*> open_;
  int64_t values_ = 0;
  std::string error_;
};

}  // namespace

const Json* Json::Find(absl::string_view key) const {
  const Object* object = As<Object>();
  if (object == nullptr) return nullptr;
  const auto it = std::lower_bound(object->begin(), object->end(), key,
                                   [](const JsonMember& m, absl::string_view k) { return m.key < k; });
  return it != object->end() && it->key == key ? &it->value : nullptr;
}

absl::StatusOr<Json> ParseStrictJson(absl::string_view text, const JsonLimits& limits) {
  // The parser would skip a byte order mark, and take a NUL byte for the end of the text.
  if (text.substr(0, 3) == "\xEF\xBB\xBF") {
    return absl::InvalidArgumentError("begins with a byte order mark");
  }
  const size_t nul = text.find('\0');
  if (nul != absl::string_view::npos) {
    return absl::InvalidArgumentError(absl::StrCat("is not valid JSON at byte ", nul + 1));
  }
  Json root;
  Builder builder(limits, &root);
  try {
    if (nlohmann::json::sax_parse(text.begin(), text.end(), &builder)) return root;
  } catch (const std::exception&) {
    return absl::InvalidArgumentError("cannot be read as JSON");
  }
  return absl::InvalidArgumentError(builder.error());
}

std::string Quoted(absl::string_view text) {
  constexpr size_t kLongest = 64;
  const bool cut = text.size() > kLongest;
  return absl::StrCat("'", absl::CHexEscape(text.substr(0, kLongest)), cut ? "...'" : "'");
}

}  // namespace glowworm
