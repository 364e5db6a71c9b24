// Latest: a value that one thread replaces while others use the one that they got. Tested by
// tests/server/credentials_test.cc.

#ifndef GLOWWORM_SERVER_LATEST_H_
#define GLOWWORM_SERVER_LATEST_H_

#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "server/mutex.h"

namespace glowworm {

// Thread-safe.
template <typename T>
class Latest {
 public:
  // Null before the first Set.
  std::shared_ptr<const T> Get() const {
    MutexLock lock(&mutex_);
    return value_;
  }
  void Set(std::shared_ptr<const T> value) {
    MutexLock lock(&mutex_);
    value_.swap(value);  // what was there goes after the lock
  }

 private:
  mutable Mutex mutex_;
  std::shared_ptr<const T> value_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace glowworm

#endif  // GLOWWORM_SERVER_LATEST_H_
