// What must hold of every input, in a fuzz target: Require(). Used by *_fuzz.cc; tests/fuzz/run.sh runs them.

#ifndef GLOWWORM_TESTS_FUZZ_REQUIRE_H_
#define GLOWWORM_TESTS_FUZZ_REQUIRE_H_

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "absl/status/status.h"

namespace glowworm {

// Ends the process, which the fuzzer reports as a finding and keeps the input of.
inline void Require(bool holds, const char* claim) {
  if (holds) return;
  std::fprintf(stderr, "does not hold: %s\n", claim);
  std::abort();
}

// A refusal is one InvalidArgument sentence that fits a reply.
inline void RequireRefusal(const absl::Status& status) {
  Require(status.code() == absl::StatusCode::kInvalidArgument, "a refusal is InvalidArgument");
  const absl::string_view text = status.message();
  Require(!text.empty() && text.size() <= 1024, "a refusal says why in at most 1 KiB");
  Require(std::none_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < ' '; }),
          "a refusal has no control bytes");
}

}  // namespace glowworm

#endif  // GLOWWORM_TESTS_FUZZ_REQUIRE_H_
