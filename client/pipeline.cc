// RunPipeline: everything happens on the caller's thread; gRPC's threads only put ended calls into a queue.

#include "client/pipeline.h"

#include <grpc/support/time.h>

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "client/convert.h"

namespace glowworm {
namespace client {
namespace {

// gRPC's deadline, in its monotonic clock: a step of the wall clock must not end calls.
gpr_timespec AfterNow(absl::Duration remaining) {
  return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC),
                      gpr_time_from_micros(absl::ToInt64Microseconds(remaining), GPR_TIMESPAN));
}

class Pipeline {
 public:
  Pipeline(const ExchangeSource& source, const PipelineOptions& options)
      : source_(source), options_(options) {}

  absl::Status Run() {
    absl::Status status = Loop();
    if (!status.ok()) CancelAll();
    return status.ok() ? source_status_ : status;
  }

 private:
  enum class State { kCalling, kWaiting, kDone };
  struct Slot {
    Exchange exchange;
    std::unique_ptr<grpc::ClientContext> context;  // a fresh one for each attempt
    int attempts = 0;
    absl::Time deadline;
    State state = State::kWaiting;
    absl::Time retry_at;  // while kWaiting
  };
  struct Ended {
    Slot* slot;
    grpc::Status status;
  };

  absl::Status Loop() {
    for (;;) {
      absl::Status status = Fill();
      if (!status.ok()) return status;
      if (slots_.empty()) return absl::OkStatus();
      for (Ended& ended : WaitForNews()) {
        status = Settle(&ended);
        if (!status.ok()) return status;
      }
      status = RetryDue();
      if (!status.ok()) return status;
      while (!slots_.empty() && slots_.front()->state == State::kDone) {
        status = slots_.front()->exchange.deliver();
        if (!status.ok()) return status;
        slots_.pop_front();
      }
    }
  }

  absl::Status Fill() {
    while (!source_ended_ && static_cast<int>(slots_.size()) < options_.window) {
      auto slot = std::make_unique<Slot>();
      absl::StatusOr<Pulled> pulled = source_(/*may_wait=*/slots_.empty(), &slot->exchange);
      if (!pulled.ok()) {
        source_status_ = pulled.status();
        source_ended_ = true;
      } else if (*pulled == Pulled::kEnd) {
        source_ended_ = true;
      } else if (*pulled == Pulled::kLater) {
        break;
      } else {
        slot->deadline = std::min(options_.deadline, options_.time->Now() + options_.exchange_deadline);
        slots_.push_back(std::move(slot));
        options_.budget->OnCall();
        absl::Status status = Begin(slots_.back().get());
        if (!status.ok()) return status;
      }
    }
    return absl::OkStatus();
  }

  absl::Status Begin(Slot* slot) {
    slot->context = std::make_unique<grpc::ClientContext>();
    if (slot->deadline != absl::InfiniteFuture()) {
      const absl::Duration remaining = slot->deadline - options_.time->Now();
      if (remaining <= absl::ZeroDuration()) {
        return ToAbsl(grpc::Status(grpc::StatusCode::DEADLINE_EXCEEDED, "no time was left to make the call"),
                      slot->exchange.what);
      }
      slot->context->set_deadline(AfterNow(remaining));
    }
    if (options_.prepare) options_.prepare(slot->context.get());
    ++slot->attempts;
    slot->state = State::kCalling;
    ++calling_;
    slot->exchange.start(slot->context.get(), [this, slot](grpc::Status status) {
      // Notified under the lock: the pipeline may be gone as soon as its thread sees the queue.
      std::lock_guard<std::mutex> lock(mutex_);
      ended_.push_back({slot, std::move(status)});
      cv_.notify_one();
    });
    return absl::OkStatus();
  }

  // Blocks until a call has ended or a retry is due.
  std::vector<Ended> WaitForNews() {
    absl::Time wake = absl::InfiniteFuture();
    for (const auto& slot : slots_) {
      if (slot->state == State::kWaiting) wake = std::min(wake, slot->retry_at);
    }
    std::unique_lock<std::mutex> lock(mutex_);
    while (ended_.empty() && (wake == absl::InfiniteFuture() || options_.time->Now() < wake)) {
      options_.time->WaitUntil(&cv_, &lock, wake);
    }
    calling_ -= static_cast<int>(ended_.size());
    return std::exchange(ended_, {});
  }

  absl::Status Settle(Ended* ended) {
    Slot* const slot = ended->slot;
    if (ended->status.ok()) {
      slot->state = State::kDone;
      return absl::OkStatus();
    }
    slot->state = State::kWaiting;
    const Verdict verdict = JudgeFailure(ended->status, slot->context->GetServerTrailingMetadata());
    if (verdict.retry && slot->attempts < options_.retry.max_attempts) {
      const absl::Duration wait =
          verdict.wait ? *verdict.wait : Backoff(options_.retry, slot->attempts, options_.uniform());
      slot->retry_at = options_.time->Now() + wait;
      if (slot->retry_at < slot->deadline && options_.budget->TryRetry()) return absl::OkStatus();
    }
    grpc::Status status = ended->status;
    if (slot->attempts > 1) {
      status = grpc::Status(status.error_code(),
                            absl::StrCat(status.error_message(), " (after ", slot->attempts, " attempts)"));
    }
    return ToAbsl(status, slot->exchange.what);
  }

  absl::Status RetryDue() {
    const absl::Time now = options_.time->Now();
    for (const auto& slot : slots_) {
      if (slot->state != State::kWaiting || slot->retry_at > now) continue;
      absl::Status status = Begin(slot.get());
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  // Cancels what is in flight and waits until gRPC is done with it. Ended calls still in ended_ count as in
  // flight.
  void CancelAll() {
    for (const auto& slot : slots_) {
      if (slot->state == State::kCalling) slot->context->TryCancel();
    }
    std::unique_lock<std::mutex> lock(mutex_);
    while (calling_ > static_cast<int>(ended_.size())) {
      options_.time->WaitUntil(&cv_, &lock, absl::InfiniteFuture());
    }
  }

  const ExchangeSource& source_;
  const PipelineOptions& options_;

  // Of the caller's thread only.
  std::deque<std::unique_ptr<Slot>> slots_;  // in the order of the requests
  int calling_ = 0;                          // calls whose end WaitForNews() has not returned
  bool source_ended_ = false;
  absl::Status source_status_;

  std::mutex mutex_;
  std::condition_variable cv_;
  std::vector<Ended> ended_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

absl::Status RunPipeline(const ExchangeSource& source, const PipelineOptions& options) {
  return Pipeline(source, options).Run();
}

}  // namespace client
}  // namespace glowworm
