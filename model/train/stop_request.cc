// StopRequest. Tested by tests/model/train/stop_request_test.cc.

#include "model/train/stop_request.h"

#include <atomic>

namespace glowworm {
namespace train {
namespace {

std::atomic<bool> stop_requested{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler may write it");

void OnSignal(int /*signal*/) { stop_requested.store(true, std::memory_order_relaxed); }

// SA_RESTART: a write that the signal meets goes on.
struct sigaction Action(int flags) {
  struct sigaction action = {};
  action.sa_handler = OnSignal;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART | flags;
  return action;
}

}  // namespace

StopRequest::StopRequest() {
  stop_requested = false;
  const struct sigaction once = Action(static_cast<int>(SA_RESETHAND)), always = Action(0);
  sigaction(SIGINT, &once, &old_interrupt_);
  sigaction(SIGTERM, &always, &old_terminate_);
}

StopRequest::~StopRequest() {
  sigaction(SIGINT, &old_interrupt_, nullptr);
  sigaction(SIGTERM, &old_terminate_, nullptr);
}

bool StopRequest::requested() const { return stop_requested.load(std::memory_order_relaxed); }

}  // namespace train
}  // namespace glowworm
