// LogLikelihoodStream: StreamLogLikelihood. Requests are computed side by side and answered in their order.
// With eight of them, or 4 MiB, in flight it stops reading, so that the client's writes wait. An invalid
// request, or one that the process has no memory for, is answered with `error` and the stream goes on; while
// the queue is full it waits. Messages are parsed here and not by gRPC, which would take one that cannot be
// parsed for the end of the stream. Tested by tests/server/stream_test.cc.

#ifndef GLOWWORM_SERVER_LOG_LIKELIHOOD_STREAM_H_
#define GLOWWORM_SERVER_LOG_LIKELIHOOD_STREAM_H_

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <cstdint>
#include <deque>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "glowworm/v1/density.pb.h"
#include "server/batcher.h"
#include "server/call_record.h"
#include "server/live_streams.h"
#include "server/mutex.h"
#include "server/payload.h"

namespace glowworm {

// Deletes itself when the call is over.
class LogLikelihoodStream final : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>,
                                  public LiveStreams::Stream {
 public:
  static constexpr size_t kMaxMessagesInFlight = 8;
  static constexpr int64_t kMaxBytesInFlight = 4 << 20;

  static LogLikelihoodStream* Start(grpc::CallbackServerContext* grpc, ServiceContext* service);

  // What has been read is answered; then the stream ends.
  void BeginDrain() override;

 private:
  // One message, from being read until its answer is written.
  struct Exchange {
    std::shared_ptr<const ServedModel> model;
    EncodePayload* payload = nullptr;  // the batcher's task owns it
    v1::LogLikelihoodResponse response;
    grpc::ByteBuffer reply;  // the response, serialised to be written
    Reservation reservation;
    TaskId task_id = 0;
    int64_t bytes = 0;
    bool answered = false;  // computed or refused
    absl::Status fatal;     // not OK: it ends the stream
  };

  LogLikelihoodStream(grpc::CallbackServerContext* grpc, ServiceContext* service);
  ~LogLikelihoodStream() override = default;

  // Parses incoming_ and puts it into the batcher, or its error into the answer.
  void Accept(Exchange* exchange) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Schedule(v1::LogLikelihoodRequest* request, Exchange* exchange)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Computed(Exchange* exchange, absl::Status result, TaskTiming timing, Reservation reservation);
  // Does whatever can be done now: write, end, read. The gRPC calls in it return at once and run no reaction
  // here.
  void Advance() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool MayEnd() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Ends every task that is still in the batcher. REQUIRES: on a reaction's thread.
  void CancelTasks();

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;

  ServiceContext* const service_;

  Mutex mutex_;
  CallRecord record_ ABSL_GUARDED_BY(mutex_);
  grpc::ByteBuffer incoming_;                                                // gRPC's while reading_
  std::deque<std::unique_ptr<Exchange>> exchanges_ ABSL_GUARDED_BY(mutex_);  // in the order of the requests
  int64_t bytes_in_flight_ ABSL_GUARDED_BY(mutex_) = 0;
  int tasks_ ABSL_GUARDED_BY(mutex_) = 0;  // in the batcher
  bool reading_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool reads_ended_ ABSL_GUARDED_BY(mutex_) = false;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status fatal_ ABSL_GUARDED_BY(mutex_);  // not OK: nothing more is read or written
};

}  // namespace glowworm

#endif  // GLOWWORM_SERVER_LOG_LIKELIHOOD_STREAM_H_
