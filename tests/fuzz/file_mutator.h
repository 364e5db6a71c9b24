// Changes a safetensors file as what it is, for the fuzzers: tensors, fields and layers come, go and
// contradict one another, while the header's length and (mostly) the data's layout stay right, so that the
// reader gets past them. Entries: MutateFile() and CrossFiles(). Tested by tests/fuzz/file_mutator_test.cc.

#ifndef GLOWWORM_TESTS_FUZZ_FILE_MUTATOR_H_
#define GLOWWORM_TESTS_FUZZ_FILE_MUTATOR_H_

#include <cstddef>
#include <cstdint>
#include <string>

namespace glowworm {

// Changes bytes in place and returns how many there are then: libFuzzer's own mutation, or a test's.
using ByteMutation = size_t (*)(uint8_t* data, size_t size, size_t max_size);

// `file` changed in one to four places. The same arguments give the same answer if `bytes` does. A file that
// cannot be taken apart has its bytes changed only. At most `max_size` bytes.
std::string MutateFile(const std::string& file, size_t max_size, uint64_t seed, ByteMutation bytes);

// `file` with a layer of `other`, or one of its tensors, put in. Empty if one of them cannot be taken apart
// or the result would have more than `max_size` bytes.
std::string CrossFiles(const std::string& file, const std::string& other, size_t max_size, uint64_t seed);

}  // namespace glowworm

#endif  // GLOWWORM_TESTS_FUZZ_FILE_MUTATOR_H_
