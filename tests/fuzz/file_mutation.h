// libFuzzer's hooks for targets that read safetensors files: file_mutator.h's changes beside its own. What a
// target accepts it hands to KeepAccepted(). Linked into safetensors_fuzz and flow_file_fuzz;
// tests/fuzz/run.sh runs them.

#ifndef GLOWWORM_TESTS_FUZZ_FILE_MUTATION_H_
#define GLOWWORM_TESTS_FUZZ_FILE_MUTATION_H_

#include <string>

namespace glowworm {

// Half of all changes start from a file that was accepted: most of what libFuzzer keeps was refused for a new
// reason, and a refused file that is changed once more is mostly refused for the same. Keeps a few hundred
// files.
void KeepAccepted(const std::string& file);

}  // namespace glowworm

#endif  // GLOWWORM_TESTS_FUZZ_FILE_MUTATION_H_
