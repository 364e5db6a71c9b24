// See file_mutation.h. Run by tests/fuzz/run.sh.

#include "tests/fuzz/file_mutation.h"

#include <algorithm>
#include <cstdint>
#include <vector>

#include "tests/fuzz/file_mutator.h"
#include "tests/testing/random_numbers.h"

extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace glowworm {
namespace {

constexpr size_t kMostKept = 300;
constexpr size_t kLongestKept = 1 << 15;

// Room is made once: libFuzzer takes an input that leaves something allocated for a leak, and searches all
// memory.
class Kept {
 public:
  Kept() : files_(kMostKept) {
    for (std::string& file : files_) file.reserve(kLongestKept);
  }
  void Add(const std::string& file) {
    if (file.size() <= kLongestKept) files_[added_++ % kMostKept].assign(file);
  }
  // null: there is none yet.
  const std::string* Any(RandomNumbers& random) const {
    const size_t size = std::min(added_, kMostKept);
    return size == 0 ? nullptr : &files_[random.Below(static_cast<int64_t>(size))];
  }

 private:
  std::vector<std::string> files_;
  size_t added_ = 0;
};

Kept& KeptFiles() {
  static auto* const kept = new Kept;
  return *kept;
}

std::string Text(const uint8_t* data, size_t size) {
  return std::string(reinterpret_cast<const char*>(data), size);
}

}  // namespace

void KeepAccepted(const std::string& file) { KeptFiles().Add(file); }

}  // namespace glowworm

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned int seed) {
  glowworm::RandomNumbers random(seed);
  const std::string* accepted = glowworm::KeptFiles().Any(random);
  const std::string file = accepted != nullptr && random.Coin() ? *accepted : glowworm::Text(data, size);
  const std::string changed = glowworm::MutateFile(file, max_size, seed, LLVMFuzzerMutate);
  std::copy(changed.begin(), changed.end(), data);
  return changed.size();
}

extern "C" size_t LLVMFuzzerCustomCrossOver(const uint8_t* data1, size_t size1, const uint8_t* data2,
                                            size_t size2, uint8_t* out, size_t max_size, unsigned int seed) {
  const std::string crossed =
      glowworm::CrossFiles(glowworm::Text(data1, size1), glowworm::Text(data2, size2), max_size, seed);
  std::copy(crossed.begin(), crossed.end(), out);
  return crossed.size();
}
