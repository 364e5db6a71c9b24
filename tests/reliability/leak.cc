// A library to preload into a server whose memory must be seen to grow: each GLOWWORM_LEAK_EVERY-th malloc of
// a thread leaks 1 KiB. It shows that the judgement of tests/reliability/soak_test.py, which uses it, can
// fail.

#include <cstdlib>
#include <cstring>

extern "C" void* __libc_malloc(size_t size);  // glibc's own

namespace {

constexpr size_t kLeak = 1024;
long every = 0;
thread_local long left = 0;

__attribute__((constructor)) void Start() {
  const char* const text = std::getenv("GLOWWORM_LEAK_EVERY");
  if (text != nullptr) every = std::atol(text);
}

}  // namespace

extern "C" void* malloc(size_t size) noexcept {
  if (every > 0 && --left <= 0) {
    left = every;
    void* const lost = __libc_malloc(kLeak);
    if (lost != nullptr) std::memset(lost, 1, kLeak);  // touched, so that it takes memory
    __asm__ volatile("" : : "r"(lost) : "memory");     // and not optimized away
  }
  return __libc_malloc(size);
}
