// ReplyTimeout: ends calls whose client does not read. gRPC holds a reply for as long as its client keeps the
// window shut, and with it the bytes of our budgets, so a few such clients could keep all others out for
// good. Used by call_record.h. Tested by tests/reliability/slow_reader_test.py.

#ifndef GLOWWORM_SERVER_REPLY_TIMEOUT_H_
#define GLOWWORM_SERVER_REPLY_TIMEOUT_H_

#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"
#include "server/intrusive_list.h"
#include "server/mutex.h"

struct grpc_call;

namespace glowworm {

// Thread-safe. Costs a call some 100 ns and no wake-up.
class ReplyTimeout {
 public:
  // What a call has handed to gRPC to be sent; a member of the call. Guarded by the ReplyTimeout's mutex.
  struct Reply {
    grpc_call* call = nullptr;  // null: nothing is on its way
    absl::Time begun;
    ListHook<Reply> hook;
  };

  ReplyTimeout() = default;
  // REQUIRES: no reply is on its way.
  ~ReplyTimeout();
  ReplyTimeout(const ReplyTimeout&) = delete;
  ReplyTimeout& operator=(const ReplyTimeout&) = delete;

  // Before it nothing times out, nor if `timeout` is zero. REQUIRES: called once, before any call
  void Start(absl::Duration timeout);

  // A message or a status is about to be handed to gRPC. If neither Ended nor the next Begun comes within the
  // timeout, the call ends with UNAVAILABLE, on the thread in here. REQUIRES: *call lives until Ended
  void Begun(Reply* reply, grpc_call* call);
  // It has been sent, or the call is over.
  void Ended(Reply* reply);

 private:
  void Run();
  // Ends the call of the oldest reply. Unlocks meanwhile.
  void Expire() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  absl::Duration timeout_;  // constant once started
  Mutex mutex_;
  CondVar stop_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  IntrusiveList<Reply, &Reply::hook> oldest_first_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace glowworm

#endif  // GLOWWORM_SERVER_REPLY_TIMEOUT_H_
