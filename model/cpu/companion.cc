// Implements model/cpu/companion.h.

#include "model/cpu/companion.h"

#include <immintrin.h>

#include "model/cpu/float_mode.h"

namespace glowworm {
namespace {

// Spins before a waiting thread lets others run: some 100 us.
constexpr int kSpins = 4096;

class Spin {
 public:
  void Once() {
    if (count_ < kSpins) {
      ++count_;
      _mm_pause();
    } else {
      std::this_thread::yield();
    }
  }

 private:
  int count_ = 0;
};

}  // namespace

Companion::Companion() : thread_([this] { Loop(); }) {}

Companion::~Companion() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

Companion::Lease::Lease(Companion* companion) {
  if (companion == nullptr || companion->taken_.exchange(true, std::memory_order_acquire)) return;
  companion_ = companion;
  {
    const std::lock_guard<std::mutex> lock(companion->mutex_);
    companion->leased_ = true;
    companion->awake_.store(true, std::memory_order_relaxed);
  }
  companion->wake_.notify_one();
}

Companion::Lease::~Lease() {
  if (companion_ == nullptr) return;
  {
    const std::lock_guard<std::mutex> lock(companion_->mutex_);
    companion_->leased_ = false;
    companion_->awake_.store(false, std::memory_order_relaxed);
  }
  companion_->taken_.store(false, std::memory_order_release);
}

void Companion::Share(Work work) {
  work_ = &work;
  state_.store(kPosted, std::memory_order_release);
  work(0, false);
  State expected = kPosted;
  if (state_.compare_exchange_strong(expected, kNothing, std::memory_order_relaxed)) {
    work(1, false);
    return;
  }
  Spin spin;
  while (state_.load(std::memory_order_acquire) != kDone) spin.Once();
  state_.store(kNothing, std::memory_order_relaxed);
}

void Companion::Loop() {
  const FloatMode mode;
  while (true) {
    {
      std::unique_lock<std::mutex> lock(mutex_);
      wake_.wait(lock, [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return leased_ || stop_; });
      if (stop_) return;
    }
    Spin spin;
    while (awake_.load(std::memory_order_relaxed)) {
      State expected = kPosted;
      if (state_.load(std::memory_order_relaxed) == kPosted &&
          state_.compare_exchange_strong(expected, kBegun, std::memory_order_acquire)) {
        (*work_)(1, true);
        state_.store(kDone, std::memory_order_release);
        spin = Spin();
      } else {
        spin.Once();
      }
    }
  }
}

}  // namespace glowworm
