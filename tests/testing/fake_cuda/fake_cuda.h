// fake_cuda: the CUDA runtime and cuBLAS on host memory, for tests of model/cuda where there is no GPU. This
// is what tests say to it; the calls themselves are in include/. Tested by
// tests/testing/fake_cuda/fake_cuda_test.cc.
//
// - Work (launches, copies, products, event records) only waits in its stream until the stream is
//   synchronised or destroyed: whoever reads a result too early sees old bytes. What a stream captures runs
//   when its graph is launched.
// - A launch runs every index once, in shuffled order, over some threads.
// - Device memory is of the heap (AddressSanitizer sees an overrun), bounded, and the first MiB of a block
//   start as 0xFF bytes (NaN). So is pinned host memory, but for the bound.
// - What a device would not tell, or only by wrong numbers, is kept as a misuse, one sentence each:
// Misuses().

#ifndef GLOWWORM_TESTS_TESTING_FAKE_CUDA_FAKE_CUDA_H_
#define GLOWWORM_TESTS_TESTING_FAKE_CUDA_FAKE_CUDA_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace fake_cuda {

#ifdef __SANITIZE_THREAD__
constexpr int kDefaultThreads = 3;
#else
constexpr int kDefaultThreads = 1;
#endif

struct Options {
  bool driver = true;  // else no device is found, for lack of one
  int devices = 1;
  int multiprocessors = 1;                // of each
  int capability_major = 9;               // of each device; the minor number is 0
  size_t memory_bytes = size_t{4} << 30;  // of each device
  int threads = kDefaultThreads;          // over which the indices of a launch are split
  uint64_t seed = 1;                      // of their order
  bool abort = false;                     // a misuse ends the program with its sentence
};

// All functions are thread-safe. Until Configure, the options are those of the environment variable
// GLOWWORM_FAKE_CUDA="driver=1,devices=2,major=8,memory=1073741824,threads=2,seed=7,abort=1,fail=3" (each
// part may be left out; fail is FailCall). While there is a file of the name in GLOWWORM_FAKE_CUDA_LOST,
// every call fails.

// Starts anew: no misuses, no failure to come, no calls counted, the calling thread on device 0. REQUIRES:
// nothing is live (Live()); ends the program otherwise.
void Configure(const Options& options);

// The sentences since Configure, oldest first.
std::vector<std::string> Misuses();

// What was made and is not yet destroyed.
struct LiveObjects {
  int64_t allocations = 0;
  int64_t pinned = 0;
  int64_t streams = 0;
  int64_t events = 0;
  int64_t graphs = 0;
  int64_t execs = 0;
  int64_t handles = 0;

  int64_t total() const { return allocations + pinned + streams + events + graphs + execs + handles; }
};
LiveObjects Live();

// The calls since Configure that can fail, launches included.
int64_t Calls();

// The n-th of those calls from now (the next is the first) fails, once; none if n is 0. A call that destroys
// does so all the same, a synchronisation that fails drops what waits in its stream, a capture in which a
// call fails gives no graph.
void FailCall(int64_t n);
// The name of the call that failed so, the last if several; empty if none has since Configure.
std::string FailedCall();

}  // namespace fake_cuda

#endif  // GLOWWORM_TESTS_TESTING_FAKE_CUDA_FAKE_CUDA_H_
