// IdleThread: a thread whose work delays nobody. Tested by tests/server/idle_thread_test.cc; what it is worth
// is measured by tests/reliability/reload_latency_test.py.

#ifndef GLOWWORM_SERVER_IDLE_THREAD_H_
#define GLOWWORM_SERVER_IDLE_THREAD_H_

#include <functional>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "server/mutex.h"

namespace glowworm {

// It runs under the kernel's SCHED_IDLE: whoever wants its core gets it at once (a niced thread would first
// use up its slice, some milliseconds), and with every core busy it gets 0.3 % of one. One thread for all the
// work, not one for each: each would leave its memory in another of the heap's arenas.
class IdleThread {
 public:
  IdleThread() = default;
  ~IdleThread();
  IdleThread(const IdleThread&) = delete;
  IdleThread& operator=(const IdleThread&) = delete;

  // Runs `work` there and waits for its end; on the caller's thread if no other can be started. REQUIRES: one
  // caller at a time; `work` does not throw.
  void Run(const std::function<void()>& work);

 private:
  void Loop();

  Mutex mutex_;
  CondVar cv_;
  const std::function<void()>* work_ ABSL_GUARDED_BY(mutex_) = nullptr;  // the caller's; null once it is done
  bool ending_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;  // started by the first Run; the caller's
};

}  // namespace glowworm

#endif  // GLOWWORM_SERVER_IDLE_THREAD_H_
