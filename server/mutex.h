// Mutex and CondVar: std::mutex with Clang's thread-safety annotations. absl::Mutex is not used, because
// Debian's libabsl is not built for ThreadSanitizer and gives false races under it. Tested by every test that
// runs under TSan.

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
  friend class CondVar;
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

// A std::condition_variable for a Mutex. (std::condition_variable_any would do, at the price of a second
// mutex that every wait and every notification takes.) Every wait REQUIRES: `mutex` is held; it is released
// while waiting, and a wait may end spuriously.
class CondVar {
 public:
  void notify_one() { cv_.notify_one(); }
  void notify_all() { cv_.notify_all(); }

  void wait(Mutex& mutex) {
    Held held(&mutex);
    cv_.wait(held.lock);
  }
  template <typename TimePoint>
  void wait_until(Mutex& mutex, const TimePoint& time) {
    Held held(&mutex);
    cv_.wait_until(held.lock, time);
  }
  // Waits until predicate(), which is asked with `mutex` held; returns whether it came true within
  // `duration`.
  template <typename Duration, typename Predicate>
  bool wait_for(Mutex& mutex, const Duration& duration, Predicate predicate) {
    Held held(&mutex);
    return cv_.wait_for(held.lock, duration, predicate);
  }

 private:
  // The std::unique_lock that a std::condition_variable asks for; leaves the mutex held.
  struct Held {
    explicit Held(Mutex* mutex) : lock(mutex->mutex_, std::adopt_lock) {}
    ~Held() { lock.release(); }
    std::unique_lock<std::mutex> lock;
  };

  std::condition_variable cv_;
};

}  // namespace glowworm

#endif  // GLOWWORM_SERVER_MUTEX_H_
