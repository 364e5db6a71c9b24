// See accepted_inputs.h. Run by tests/fuzz/run.sh.

#include "tests/fuzz/accepted_inputs.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "tests/testing/random_numbers.h"

namespace glowworm {
namespace {

constexpr size_t kMostKept = 300;
constexpr size_t kLongestKept = 1 << 15;

// Room is made once: libFuzzer takes an input that leaves something allocated for a leak, and searches all
// memory.
class Kept {
 public:
  Kept() : inputs_(kMostKept) {
    for (std::string& input : inputs_) input.reserve(kLongestKept);
  }
  void Add(const std::string& input) {
    if (input.size() <= kLongestKept) inputs_[added_ % kMostKept].assign(input);
    ++added_;
  }
  size_t added() const { return added_; }
  // REQUIRES: added() > 0.
  const std::string& Any(RandomNumbers& random) const {
    return inputs_[random.Below(static_cast<int64_t>(std::min(added_, kMostKept)))];
  }

 private:
  std::vector<std::string> inputs_;
  size_t added_ = 0;
};

Kept& KeptInputs() {
  static auto* const kept = new Kept;
  return *kept;
}

void TellAccepted() { std::fprintf(stderr, "accepted inputs: %zu\n", KeptInputs().added()); }

}  // namespace

void KeepAccepted(const std::string& input) {
  if (KeptInputs().added() == 0) std::atexit(TellAccepted);
  KeptInputs().Add(input);
}

std::string HalfAccepted(const uint8_t* data, size_t size, uint64_t seed) {
  RandomNumbers random(seed);
  if (KeptInputs().added() > 0 && random.Coin()) return KeptInputs().Any(random);
  return std::string(reinterpret_cast<const char*>(data), size);
}

}  // namespace glowworm
