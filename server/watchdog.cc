#include "server/watchdog.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/log.h"

namespace glowworm {

Watchdog::Watchdog(absl::Duration interval, std::function<absl::Status()> probe,
                   std::function<void(const absl::Status&)> stuck, Clock* clock)
    : interval_(interval), probe_(std::move(probe)), stuck_(std::move(stuck)), clock_(clock) {
  thread_ = std::thread([this] { Watch(); });
}

Watchdog::~Watchdog() {
  Stop();
  thread_.join();
}

void Watchdog::Stop() {
  MutexLock lock(&mutex_);
  stopping_ = true;
  stopping_changed_.notify_all();
}

void Watchdog::Watch() {
  int failures = 0;
  absl::Time next = clock_->Now();
  while (WaitUntil(next)) {
    next += interval_;
    const absl::Status status = probe_();
    next = std::max(next, clock_->Now());
    failures = status.ok() ? 0 : failures + 1;
    if (failures == 0) continue;
    if (!WaitUntil(absl::InfinitePast())) return;  // the failure may be that the server stops
    LogWarning(absl::StrCat("watchdog failures=", failures, " error=", LogText(status.message())));
    if (failures == kFailures) return stuck_(status);
  }
}

bool Watchdog::WaitUntil(absl::Time time) {
  MutexLock lock(&mutex_);
  while (!stopping_ && clock_->Now() < time) clock_->WaitUntil(&stopping_changed_, &mutex_, time);
  return !stopping_;
}

}  // namespace glowworm
