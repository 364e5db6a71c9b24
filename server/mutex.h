// Mutex: std::mutex with Clang's thread-safety annotations. absl::Mutex is not used, because Debian's libabsl
// is not built for ThreadSanitizer and gives false races under it. Tested by every test that runs under TSan.

#ifndef GLOWWORM_SERVER_MUTEX_H_
#define GLOWWORM_SERVER_MUTEX_H_

#include <condition_variable>
#include <mutex>

#include "absl/base/thread_annotations.h"

namespace glowworm {

class ABSL_LOCKABLE Mutex {
 public:
  void lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() { mutex_.lock(); }
  void unlock() ABSL_UNLOCK_FUNCTION() { mutex_.unlock(); }

 private:
  std::mutex mutex_;
};

class ABSL_SCOPED_LOCKABLE MutexLock {
 public:
  explicit MutexLock(Mutex* mutex) ABSL_EXCLUSIVE_LOCK_FUNCTION(mutex) : mutex_(mutex) { mutex_->lock(); }
  ~MutexLock() ABSL_UNLOCK_FUNCTION() { mutex_->unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex* const mutex_;
};

// Waits on a Mutex (condition_variable_any works with any lockable).
using CondVar = std::condition_variable_any;

}  // namespace glowworm

#endif  // GLOWWORM_SERVER_MUTEX_H_
