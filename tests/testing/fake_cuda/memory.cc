// Implements tests/testing/fake_cuda/memory.h. Tested by tests/testing/fake_cuda/fake_cuda_test.cc.

#include "tests/testing/fake_cuda/memory.h"

#include <algorithm>
#include <cstdlib>
#include <cstring>

namespace fake_cuda {
namespace {

constexpr size_t kAlignment = 256;  // of cudaMalloc
constexpr size_t kFreedRanges = 4096;
constexpr size_t kFilled = size_t{1} << 20;  // of a block: what is never touched costs nothing

uintptr_t Address(const void* p) { return reinterpret_cast<uintptr_t>(p); }

}  // namespace

const Block* Memory::Allocate(size_t bytes, int device) {
  void* data = nullptr;
  if (posix_memalign(&data, kAlignment, std::max<size_t>(bytes, 1)) != 0) return nullptr;
  std::memset(data, 0xFF, std::min(bytes, kFilled));
  const uintptr_t from = Address(data), to = from + bytes;
  auto freed = freed_.upper_bound(from);
  if (freed != freed_.begin() && std::prev(freed)->second > from) --freed;
  while (freed != freed_.end() && freed->first < to) freed = freed_.erase(freed);
  live_.insert(++last_id_);
  used_[device] += bytes;
  return &(blocks_[from] = {last_id_, static_cast<unsigned char*>(data), bytes, device});
}

void Memory::Release(const Block* block) {
  const uintptr_t from = Address(block->data);
  if (freed_.size() >= kFreedRanges) freed_.erase(freed_.begin());
  freed_[from] = from + std::max<size_t>(block->bytes, 1);
  used_[block->device] -= block->bytes;
  live_.erase(block->id);
  std::free(block->data);
  blocks_.erase(from);
}

const Block* Memory::Find(uintptr_t address) const {
  const auto next = blocks_.upper_bound(address);
  if (next == blocks_.begin()) return nullptr;
  const Block& block = std::prev(next)->second;
  return address - Address(block.data) <= block.bytes ? &block : nullptr;
}

bool Memory::WasFreed(uintptr_t address) const {
  const auto next = freed_.upper_bound(address);
  return next != freed_.begin() && address < std::prev(next)->second;
}

Place Memory::Locate(const void* address, size_t bytes) const {
  const Block* block = Find(Address(address));
  const size_t offset = block == nullptr ? 0 : Address(address) - Address(block->data);
  if (block == nullptr) {
    return WasFreed(Address(address)) ? Place{Place::kFreed, nullptr, "freed memory"}
                                      : Place{Place::kPageable, nullptr, "pageable host memory"};
  }
  const std::string kind =
      block->device == kPinned ? "pinned host memory" : "memory of device " + std::to_string(block->device);
  if (bytes > block->bytes - offset) {
    return {Place::kOverrun, block,
            std::to_string(bytes) + " bytes from byte " + std::to_string(offset) + " of an allocation of " +
                std::to_string(block->bytes) + " bytes of " + kind};
  }
  return {block->device == kPinned ? Place::kPinnedHost : Place::kDevice, block, kind};
}

size_t Memory::used(int device) const {
  const auto found = used_.find(device);
  return found == used_.end() ? 0 : found->second;
}

int64_t Memory::pinned_blocks() const {
  return std::count_if(blocks_.begin(), blocks_.end(),
                       [](const auto& entry) { return entry.second.device == kPinned; });
}

}  // namespace fake_cuda
