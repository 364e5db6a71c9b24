// FloatMode: what a thread needs while it computes: denormals flushed to zero (one denormal input costs 200
// times a normal one otherwise), and OpenMP, which oneDNN is built on, kept to this thread. Tested by
// tests/model/flow_test.cc.

#ifndef GLOWWORM_MODEL_CPU_FLOAT_MODE_H_
#define GLOWWORM_MODEL_CPU_FLOAT_MODE_H_

#include <omp.h>
#include <xmmintrin.h>

namespace glowworm {

// Sets the mode for its own lifetime and puts the caller's back.
class FloatMode {
 public:
  FloatMode() : saved_(_mm_getcsr()), saved_threads_(omp_get_max_threads()) {
    _mm_setcsr(saved_ | kFlushToZero | kDenormalsAreZero);
    if (saved_threads_ != 1) omp_set_num_threads(1);
  }
  ~FloatMode() {
    if (saved_threads_ != 1) omp_set_num_threads(saved_threads_);
    _mm_setcsr(saved_);
  }
  FloatMode(const FloatMode&) = delete;
  FloatMode& operator=(const FloatMode&) = delete;

 private:
  static constexpr unsigned kFlushToZero = 0x8000, kDenormalsAreZero = 0x0040;
  const unsigned saved_;
  const int saved_threads_;
};

}  // namespace glowworm

#endif  // GLOWWORM_MODEL_CPU_FLOAT_MODE_H_
