// Inputs that a target accepted lately, for the mutators. Most of what libFuzzer keeps was refused for a new
// reason, and a refused input that is changed once more is mostly refused for the same: half of all changes
// start from an accepted one. Entries: KeepAccepted() and HalfAccepted(). Used by one thread, as libFuzzer
// does; tests/fuzz/run.sh runs them.

#ifndef GLOWWORM_TESTS_FUZZ_ACCEPTED_INPUTS_H_
#define GLOWWORM_TESTS_FUZZ_ACCEPTED_INPUTS_H_

#include <cstddef>
#include <cstdint>
#include <string>

namespace glowworm {

// Keeps the last few hundred inputs, and says at the end of the process how many there were in all.
void KeepAccepted(const std::string& input);

// The input given, or as often one that was kept, if there is one.
std::string HalfAccepted(const uint8_t* data, size_t size, uint64_t seed);

}  // namespace glowworm

#endif  // GLOWWORM_TESTS_FUZZ_ACCEPTED_INPUTS_H_
