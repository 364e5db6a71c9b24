// Companion: a second thread that does half of the large products of a single row (one image) beside the
// thread that carries the row, which would otherwise leave the other cores idle. Tested by
// tests/model/companion_test.cc.
//
// It helps, and nobody depends on it: a half that it has not begun when its caller is done with the other is
// taken back. While it is leased it spins, since the halves are some 20 us long and as far apart; a lease
// lasts one call.

#ifndef GLOWWORM_MODEL_CPU_COMPANION_H_
#define GLOWWORM_MODEL_CPU_COMPANION_H_

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"

namespace glowworm {

class Companion {
 public:
  // part 0 or 1 of the work; `there`: on the companion's thread, here otherwise.
  using Work = absl::FunctionRef<void(int part, bool there)>;

  Companion();
  // REQUIRES: no lease is out.
  ~Companion();
  Companion(const Companion&) = delete;
  Companion& operator=(const Companion&) = delete;

  // The use of the companion, by one thread at a time. Thread-safe to take; empty if another thread has it.
  class Lease {
   public:
    Lease() = default;
    explicit Lease(Companion* companion);
    ~Lease();
    Lease(const Lease&) = delete;
    Lease& operator=(const Lease&) = delete;
    Companion* get() const { return companion_; }

   private:
    Companion* companion_ = nullptr;  // null: none
  };

  // Runs both parts, each once, and returns when both are done. REQUIRES: the caller holds the lease, and the
  // work throws nothing.
  void Share(Work work);

 private:
  enum State { kNothing, kPosted, kBegun, kDone };
  void Loop();

  std::atomic<bool> taken_{false};
  std::atomic<State> state_{kNothing};
  const Work* work_ = nullptr;  // valid from kPosted to kDone
  std::atomic<bool> awake_{false};
  std::mutex mutex_;
  std::condition_variable wake_;
  bool leased_ ABSL_GUARDED_BY(mutex_) = false;
  bool stop_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;  // last, so that it starts when all else is there
};

}  // namespace glowworm

#endif  // GLOWWORM_MODEL_CPU_COMPANION_H_
