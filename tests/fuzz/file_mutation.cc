// libFuzzer's hooks for targets that read safetensors files: file_mutator.h's changes beside its own. Linked
// into safetensors_fuzz and flow_file_fuzz, which tests/fuzz/run.sh runs.

#include <algorithm>
#include <string>

#include "tests/fuzz/accepted_inputs.h"
#include "tests/fuzz/file_mutator.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned int seed) {
  const std::string changed =
      glowworm::MutateFile(glowworm::HalfAccepted(data, size, seed), max_size, seed, LLVMFuzzerMutate);
  std::copy(changed.begin(), changed.end(), data);
  return changed.size();
}

extern "C" size_t LLVMFuzzerCustomCrossOver(const uint8_t* data1, size_t size1, const uint8_t* data2,
                                            size_t size2, uint8_t* out, size_t max_size, unsigned int seed) {
  const std::string other(reinterpret_cast<const char*>(data2), size2);
  const std::string crossed =
      glowworm::CrossFiles(glowworm::HalfAccepted(data1, size1, seed), other, max_size, seed);
  std::copy(crossed.begin(), crossed.end(), out);
  return crossed.size();
}
