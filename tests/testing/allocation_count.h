// Counts calls of operator new on the calling thread, for tests that claim that none happen. Link
// glowworm_allocation_count, which replaces the global operator new.

#ifndef GLOWWORM_TESTS_TESTING_ALLOCATION_COUNT_H_
#define GLOWWORM_TESTS_TESTING_ALLOCATION_COUNT_H_

#include <cstdint>

namespace glowworm {

// Calls of operator new by this thread since it began, those of shared libraries included.
int64_t AllocationCount();

}  // namespace glowworm

#endif  // GLOWWORM_TESTS_TESTING_ALLOCATION_COUNT_H_
