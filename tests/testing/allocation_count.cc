// Implements tests/testing/allocation_count.h.

#include "tests/testing/allocation_count.h"

#include <cstdlib>
#include <new>

namespace {
thread_local int64_t count = 0;
}  // namespace

namespace glowworm {
int64_t AllocationCount() { return count; }
}  // namespace glowworm

void* operator new(size_t size) {
  ++count;
  if (void* p = std::malloc(size == 0 ? 1 : size)) return p;
  throw std::bad_alloc();
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete(void* p, size_t) noexcept { std::free(p); }
