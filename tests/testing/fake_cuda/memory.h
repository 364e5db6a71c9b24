// Memory: the blocks of device and of pinned host memory, and what an address is. Not thread-safe: guarded by
// the machine's mutex (machine.h). Tested by tests/testing/fake_cuda/fake_cuda_test.cc.

#ifndef GLOWWORM_TESTS_TESTING_FAKE_CUDA_MEMORY_H_
#define GLOWWORM_TESTS_TESTING_FAKE_CUDA_MEMORY_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <string>

namespace fake_cuda {

constexpr int kPinned = -1;  // as a block's device

struct Block {
  uint64_t id;  // never given twice
  unsigned char* data;
  size_t bytes;
  int device;
};

// What [address, address + bytes) is.
struct Place {
  enum Kind { kDevice, kPinnedHost, kPageable, kFreed, kOverrun };
  Kind kind;
  const Block* block;  // of kDevice, kPinnedHost and kOverrun
  std::string text;    // for a sentence
};

class Memory {
 public:
  Memory() = default;
  Memory(const Memory&) = delete;
  Memory& operator=(const Memory&) = delete;

  // A block at a multiple of 256, its first MiB filled with 0xFF bytes; null if the heap has no more.
  const Block* Allocate(size_t bytes, int device);
  // REQUIRES: `block` is live.
  void Release(const Block* block);

  // The live block that holds the address or ends there; else null.
  const Block* Find(uintptr_t address) const;
  bool WasFreed(uintptr_t address) const;
  bool IsLive(uint64_t id) const { return live_.count(id) > 0; }
  Place Locate(const void* address, size_t bytes) const;

  size_t used(int device) const;  // bytes
  int64_t pinned_blocks() const;
  int64_t device_blocks() const { return static_cast<int64_t>(blocks_.size()) - pinned_blocks(); }

 private:
  std::map<uintptr_t, Block> blocks_;     // by address
  std::set<uint64_t> live_;               // their ids
  std::map<uintptr_t, uintptr_t> freed_;  // from, to; as far as nothing live lies there now
  std::map<int, size_t> used_;            // by device
  uint64_t last_id_ = 0;
};

}  // namespace fake_cuda

#endif  // GLOWWORM_TESTS_TESTING_FAKE_CUDA_MEMORY_H_
