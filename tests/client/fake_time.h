// FakeTime: a TimeSource that is at once where one waits to: tests of backoff and deadlines take no time, and
// see how long was waited.

#ifndef GLOWWORM_TESTS_CLIENT_FAKE_TIME_H_
#define GLOWWORM_TESTS_CLIENT_FAKE_TIME_H_

#include <mutex>
#include <vector>

#include "client/time_source.h"

namespace glowworm {
namespace client {

class FakeTime : public TimeSource {
 public:
  absl::Time Now() override {
    std::lock_guard<std::mutex> lock(mutex_);
    return now_;
  }

  // Waits for a notification only if there is nothing else to wait for.
  void WaitUntil(std::condition_variable* cv, std::unique_lock<std::mutex>* lock,
                 absl::Time deadline) override {
    if (deadline == absl::InfiniteFuture()) return cv->wait(*lock);
    std::lock_guard<std::mutex> guard(mutex_);
    if (deadline <= now_) return;
    waits_.push_back(deadline - now_);
    now_ = deadline;
  }

  void Advance(absl::Duration duration) {
    std::lock_guard<std::mutex> lock(mutex_);
    now_ += duration;
  }

  std::vector<absl::Duration> waits() const {
    std::lock_guard<std::mutex> lock(mutex_);
    return waits_;
  }

 private:
  mutable std::mutex mutex_;
  absl::Time now_ = absl::FromUnixSeconds(1000);
  std::vector<absl::Duration> waits_;
};

}  // namespace client
}  // namespace glowworm

#endif  // GLOWWORM_TESTS_CLIENT_FAKE_TIME_H_
