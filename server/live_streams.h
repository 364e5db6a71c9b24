// LiveStreams: the streams that are open, so that a server that shuts down can end them.
// Thread-safe. Tested by tests/server/stream_test.cc.

#ifndef GLOWWORM_SERVER_LIVE_STREAMS_H_
#define GLOWWORM_SERVER_LIVE_STREAMS_H_

#include <atomic>
#include <set>

#include "absl/base/thread_annotations.h"
#include "server/mutex.h"

namespace glowworm {

class LiveStreams {
 public:
  class Stream {
   public:
    // The server has begun to drain: end with UNAVAILABLE as soon as nothing is half done. Must not block,
    // nor add or remove a stream on this thread.
    virtual void BeginDrain() = 0;

   protected:
    ~Stream() = default;
  };

  void Add(Stream* stream) {
    MutexLock lock(&mutex_);
    streams_.insert(stream);
  }
  void Remove(Stream* stream) {
    MutexLock lock(&mutex_);
    streams_.erase(stream);
  }

  // Tells every open stream, and those that open later find draining() true. A stream cannot go away
  // meanwhile, since Remove waits.
  void Drain() {
    draining_.store(true);
    MutexLock lock(&mutex_);
    for (Stream* stream : streams_) stream->BeginDrain();
  }
  bool draining() const { return draining_.load(); }

 private:
  std::atomic<bool> draining_{false};
  Mutex mutex_;
  std::set<Stream*> streams_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace glowworm

#endif  // GLOWWORM_SERVER_LIVE_STREAMS_H_
