// Changes a fuzzed request as what it is: fields come and go, dimensions and counts become odd, a tensor's
// data (mostly) stays as long as its shape says. Entry: MutateRequest(). Tested by
// tests/fuzz/request_mutator_test.cc.

#ifndef GLOWWORM_TESTS_FUZZ_REQUEST_MUTATOR_H_
#define GLOWWORM_TESTS_FUZZ_REQUEST_MUTATOR_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "tests/fuzz/file_mutator.h"

namespace glowworm {

// `request` as ParseFuzzedRequest takes it, changed; at most `max_size` bytes. The same arguments give the
// same answer if `bytes` does.
std::string MutateRequest(const std::string& request, size_t max_size, uint64_t seed, ByteMutation bytes);

}  // namespace glowworm

#endif  // GLOWWORM_TESTS_FUZZ_REQUEST_MUTATOR_H_
