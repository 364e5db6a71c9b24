#include "tests/testing/fake_clock.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace glowworm {

absl::Time FakeClock::Now() {
  MutexLock lock(&mutex_);
  return now_;
}

void FakeClock::WaitUntil(CondVar* cv, Mutex* mutex, absl::Time deadline) {
  std::list<Waiter>::iterator self;
  {
    MutexLock lock(&mutex_);
    if (now_ >= deadline) return;
    self = waiters_.insert(waiters_.end(), {cv, mutex, deadline});
  }
  waiters_changed_.notify_all();
  cv->wait(*mutex);
  MutexLock lock(&mutex_);
  waiters_.erase(self);
}

void FakeClock::Advance(absl::Duration by) {
  std::vector<Waiter> due;
  {
    MutexLock lock(&mutex_);
    now_ += by;
    for (const Waiter& waiter : waiters_) {
      if (waiter.deadline <= now_) due.push_back(waiter);
    }
  }
  for (const Waiter& waiter : due) {
    // A waiter enters the list with its mutex held, and lets go of it only by waiting: so once the mutex is
    // free, the thread either waits and hears the notification, or has woken already.
    { MutexLock entered(waiter.mutex); }
    waiter.cv->notify_all();
  }
}

void FakeClock::AwaitWaiter(absl::Time deadline) {
  MutexLock lock(&mutex_);
  const bool came = waiters_changed_.wait_for(mutex_, std::chrono::seconds(60), [&] {
    return std::any_of(waiters_.begin(), waiters_.end(),
                       [&](const Waiter& waiter) { return waiter.deadline == deadline; });
  });
  if (came) return;
  std::fprintf(stderr, "gave up waiting for a thread to wait until %s\n", absl::FormatTime(deadline).c_str());
  std::abort();
}

}  // namespace glowworm
