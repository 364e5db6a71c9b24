// A JSON reader for untrusted text: no duplicate keys, bounded depth and size, integers told apart from other
// numbers, no exceptions. Entry: ParseStrictJson(). Tested by tests/model/strict_json_test.cc.

#ifndef GLOWWORM_MODEL_STRICT_JSON_H_
#define GLOWWORM_MODEL_STRICT_JSON_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace glowworm {

struct JsonMember;

struct Json {
  using Array = std::vector<Json>;
  using Object = std::vector<JsonMember>;  // by ascending key

  // Alternatives 2 to 4 are the numbers: uint64_t holds those written as plain non-negative integers, int64_t
  // those written as negative integers ("-0" too), double all others.
  std::variant<std::nullptr_t, bool, uint64_t, int64_t, double, std::string, Array, Object> value;

  template <typename T>
  const T* As() const {
    return std::get_if<T>(&value);
  }
  // The member of that key; null if there is none or this is no object.
  const Json* Find(absl::string_view key) const;
};

struct JsonMember {
  std::string key;
  Json value;
};

struct JsonLimits {
  int depth = 64;              // of nested objects and arrays
  int64_t values = 1'000'000;  // in all; each costs some 50 to 100 bytes
};

// InvalidArgument unless `text` is one JSON value, in UTF-8, with nothing but JSON whitespace around it. A
// byte order mark and a NUL byte are refused.
absl::StatusOr<Json> ParseStrictJson(absl::string_view text, const JsonLimits& limits = {});

// A string that a file holds, fit for an error message: in quotes, escaped, cut at 64 bytes.
std::string Quoted(absl::string_view text);

}  // namespace glowworm

#endif  // GLOWWORM_MODEL_STRICT_JSON_H_
