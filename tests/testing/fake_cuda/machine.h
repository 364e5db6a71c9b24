// Machine: the whole state of the fake, under one mutex, and Call: one call upon it. Tested by
// tests/testing/fake_cuda/fake_cuda_test.cc.

#ifndef GLOWWORM_TESTS_TESTING_FAKE_CUDA_MACHINE_H_
#define GLOWWORM_TESTS_TESTING_FAKE_CUDA_MACHINE_H_

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "tests/testing/fake_cuda/fake_cuda.h"
#include "tests/testing/fake_cuda/include/cublas_v2.h"
#include "tests/testing/fake_cuda/include/cuda_runtime.h"
#include "tests/testing/fake_cuda/memory.h"

namespace fake_cuda {

// What a stream or a graph holds. `run` is called without the machine's mutex.
struct Work {
  std::string call;              // that brought it
  std::vector<uint64_t> blocks;  // ids of those that it touches
  std::function<void(uint64_t seed)> run;
};
using WorkPtr = std::shared_ptr<const Work>;

struct Capture {
  cudaStreamCaptureMode mode;
  std::thread::id thread;
  bool invalid = false;
  std::vector<WorkPtr> works;
};

struct Stream {
  int device;
  uint64_t seed;
  std::deque<WorkPtr> queue;
  WorkPtr running;
  std::optional<Capture> capture;
};

struct Event {
  int device;
  bool captured = false;
  std::optional<std::chrono::steady_clock::time_point> time;
};

struct Graph {
  int device;
  std::vector<WorkPtr> works;
};

struct Handle {
  int device;
  cudaStream_t stream = nullptr;
  bool workspace = false;  // whether one was given for this stream
};

struct Machine {
  Machine();

  std::mutex mutex;
  std::condition_variable work_done;
  // All that follows is guarded by mutex.
  Options options;
  Memory memory;
  std::map<cudaStream_t, std::shared_ptr<Stream>> streams;
  std::map<cudaEvent_t, Event> events;
  std::map<cudaGraph_t, Graph> graphs;
  std::map<cudaGraphExec_t, Graph> execs;
  std::map<cublasHandle_t, Handle> handles;
  uintptr_t last_handle = 0;
  uint64_t made_streams = 0;
  int64_t calls = 0;
  int64_t failing_call = 0;  // 0: none
  std::string failed_call;
  std::vector<std::string> misuses;

  // A handle that was never given before.
  template <typename T>
  T NewHandle() {
    return reinterpret_cast<T>(last_handle += 16);
  }
};
Machine& TheMachine();
// For work as it runs. REQUIRES: the machine's mutex is not held.
void KeepMisuse(const std::string& sentence);

// Of the calling thread.
int CurrentDevice();
void SetCurrentDevice(int device);
cudaError_t& LastError();

// One call that can fail: counted, with the machine's mutex held as long as it lives. A call that is to fail,
// or that finds no driver, must do nothing (or only destroy) and return.
class Call {
 public:
  explicit Call(std::string name);

  const std::string& name() const { return name_; }
  Machine& machine() { return machine_; }
  std::unique_lock<std::mutex>& lock() { return lock_; }
  bool fails() const { return fails_; }

  // Makes it the thread's last error, unless it is cudaSuccess.
  cudaError_t Return(cudaError_t error) const;
  // As Return, and keeps the misuse "name: sentence".
  cudaError_t Misuse(const std::string& sentence, cudaError_t error = cudaErrorInvalidValue);

  // What a call upon a stream returns that fails(): spoils the stream's capture.
  cudaError_t Fail(cudaStream_t stream, cudaError_t error) const;

  // The live stream, if it is of the current device; else keeps the misuse and returns null. `work`: whether
  // it is given work, which only a stream of the current device may be.
  std::shared_ptr<Stream> FindStream(cudaStream_t stream, bool work = true);
  // Whether a capture forbids this call, which is of those that synchronise; keeps the misuse and spoils the
  // capture.
  bool ForbiddenByCapture();
  // Puts the work into the stream, or into its capture.
  void Enqueue(Stream* stream, Work work);
  void Enqueue(Stream* stream, WorkPtr work);

 private:
  Machine& machine_;
  const std::string name_;
  std::unique_lock<std::mutex> lock_;
  bool fails_;
};

}  // namespace fake_cuda

#endif  // GLOWWORM_TESTS_TESTING_FAKE_CUDA_MACHINE_H_
