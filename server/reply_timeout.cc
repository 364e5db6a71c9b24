// One list in the order of beginning, which is the order of expiry too, and one thread.

#include "server/reply_timeout.h"

#include <grpc/grpc.h>
#include <grpc/support/alloc.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "server/clock.h"
#include "server/log.h"

namespace glowworm {

ReplyTimeout::~ReplyTimeout() {
  if (!thread_.joinable()) return;
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
    stop_.notify_one();
  }
  thread_.join();
}

void ReplyTimeout::Start(absl::Duration timeout) {
  timeout_ = timeout;
  if (timeout_ > absl::ZeroDuration()) thread_ = std::thread([this] { Run(); });
}

void ReplyTimeout::Begun(Reply* reply, grpc_call* call) {
  if (timeout_ <= absl::ZeroDuration()) return;
  MutexLock lock(&mutex_);
  if (reply->call != nullptr) oldest_first_.Remove(reply);
  reply->call = call;
  reply->begun = RealClock()->Now();
  oldest_first_.PushBack(reply);
}

void ReplyTimeout::Ended(Reply* reply) {
  if (timeout_ <= absl::ZeroDuration()) return;
  MutexLock lock(&mutex_);
  if (reply->call != nullptr) oldest_first_.Remove(reply);
  reply->call = nullptr;
}

// Nobody wakes it for a new reply: one that begins while it waits is not due before the wait is over.
void ReplyTimeout::Run() {
  MutexLock lock(&mutex_);
  while (!stopping_) {
    const absl::Time now = RealClock()->Now();
    const Reply* const oldest = oldest_first_.front();
    const absl::Time due = (oldest == nullptr ? now : oldest->begun) + timeout_;
    if (now < due) {
      RealClock()->WaitUntil(&stop_, &mutex_, due);
    } else {
      Expire();
    }
  }
}

void ReplyTimeout::Expire() {
  Reply* const reply = oldest_first_.front();
  oldest_first_.Remove(reply);
  grpc_call* const call = reply->call;
  reply->call = nullptr;
  grpc_call_ref(call);  // the call may be over, and *reply gone, once the lock is released
  mutex_.unlock();
  char* const peer = grpc_call_get_peer(call);
  LogInfo(absl::StrCat("reply not read to its end seconds=", absl::ToDoubleSeconds(timeout_),
                       " peer=", Sanitized(peer, 64)));
  gpr_free(peer);
  const std::string why = absl::StrCat("the reply was not read to its end within ",
                                       absl::FormatDuration(timeout_), ", so the call was ended");
  grpc_call_cancel_with_status(call, GRPC_STATUS_UNAVAILABLE, why.c_str(), /*reserved=*/nullptr);
  grpc_call_unref(call);
  mutex_.lock();
}

}  // namespace glowworm
