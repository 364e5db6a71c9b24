// SampleStream: StreamSamples. Chunks of consecutive samples, one at a time: the next is computed when the
// last has been written, so a slow reader slows the producer and holds one chunk's memory. It waits while
// the queue is full, and ends with RESOURCE_EXHAUSTED where the process has no memory for the next chunk.
// Tested by tests/server/stream_test.cc.

#ifndef GLOWWORM_SERVER_SAMPLE_STREAM_H_
#define GLOWWORM_SERVER_SAMPLE_STREAM_H_

#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "glowworm/v1/density.pb.h"
#include "server/batcher.h"
#include "server/call_record.h"
#include "server/live_streams.h"
#include "server/payload.h"

namespace glowworm {

// Deletes itself when the call is over.
class SampleStream final : public grpc::ServerWriteReactor<v1::SampleResponse>, public LiveStreams::Stream {
 public:
  static SampleStream* Start(grpc::CallbackServerContext* grpc, const v1::SampleRequest* request,
                             ServiceContext* service);

  // The chunk that is computed or written is the last one; a client resumes after it, at first_index.
  void BeginDrain() override { draining_.store(true); }

 private:
  SampleStream(grpc::CallbackServerContext* grpc, const v1::SampleRequest* request, ServiceContext* service);
  ~SampleStream() override = default;

  absl::Status Open();
  // Exactly one of these is under way at any time: a chunk in the batcher, a chunk being written, or the end.
  void NextChunk();
  void Write(absl::Status result, TaskTiming timing, Reservation reservation);
  void End(absl::Status status);
  // Where a client goes on: "seed=1 first_index=2".
  std::string NextSample() const;

  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

  const v1::SampleRequest* const request_;
  ServiceContext* const service_;
  CallRecord record_;
  std::atomic<bool> draining_{false};

  // Constant once open.
  uint64_t seed_ = 0;
  int64_t chunk_rows_ = 0;

  // Of the step that is under way.
  int64_t sent_ = 0;
  SamplePayload* payload_ = nullptr;  // the batcher's task owns it
  v1::SampleResponse response_;
  Reservation reservation_;  // of the chunk that is being written

  Mutex mutex_;
  bool cancelled_ ABSL_GUARDED_BY(mutex_) = false;
  TaskId task_id_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace glowworm

#endif  // GLOWWORM_SERVER_SAMPLE_STREAM_H_
