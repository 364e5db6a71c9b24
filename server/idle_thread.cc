#include "server/idle_thread.h"

#include <sched.h>

#include <system_error>

namespace glowworm {

IdleThread::~IdleThread() {
  {
    MutexLock lock(&mutex_);
    ending_ = true;
    cv_.notify_all();
  }
  if (thread_.joinable()) thread_.join();
}

void IdleThread::Run(const std::function<void()>& work) {
  if (!thread_.joinable()) {
    try {
      thread_ = std::thread([this] { Loop(); });
    } catch (const std::system_error&) {
      work();
      return;
    }
  }
  MutexLock lock(&mutex_);
  work_ = &work;
  cv_.notify_all();
  while (work_ != nullptr) cv_.wait(mutex_);
}

void IdleThread::Loop() {
  const sched_param none = {};
  sched_setscheduler(0, SCHED_IDLE, &none);  // of this thread; needs no right
  while (true) {
    const std::function<void()>* work = nullptr;
    {
      MutexLock lock(&mutex_);
      while (work_ == nullptr && !ending_) cv_.wait(mutex_);
      if (work_ == nullptr) return;
      work = work_;
    }
    (*work)();
    MutexLock lock(&mutex_);
    work_ = nullptr;
    cv_.notify_all();
  }
}

}  // namespace glowworm
