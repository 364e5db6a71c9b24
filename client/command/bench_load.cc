// ApplyLoad over completion queues: requests are serialized once and replies are not parsed, so that the
// client takes little of the machine that it measures. Each worker thread owns a queue and the numbers of the
// calls that end there.

#include "client/command/bench_load.h"

#include <sys/prctl.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <condition_variable>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "client/credentials.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/generic/generic_stub.h"

namespace glowworm {
namespace client {
namespace {

using Clock = std::chrono::steady_clock;

struct Call {
  grpc::ClientContext context;
  std::unique_ptr<grpc::GenericClientAsyncResponseReader> reader;
  grpc::ByteBuffer reply;
  grpc::Status status;
  Clock::time_point due;
  bool measured = false;
  int64_t slot = 0;
};

struct Worker {
  grpc::CompletionQueue queue;
  std::vector<absl::Duration> latencies;
  std::map<absl::StatusCode, int64_t> errors;
  std::string first_error;
  Clock::time_point last{};  // end of its last measured call
};

class Run {
 public:
  explicit Run(const Load& load) : load_(load) {
    const auto credentials = load.credentials ? load.credentials : grpc::InsecureChannelCredentials();
    for (int64_t i = 0; i < Connections(load.concurrency); ++i) {
      grpc::ChannelArguments arguments;
      arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // or all channels share one connection
      arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
      arguments.SetMaxReceiveMessageSize(-1);  // replies of the server that the user measures
      if (IsLoopback(load.address)) arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
      if (!load.server_name.empty()) arguments.SetSslTargetNameOverride(load.server_name);
      stubs_.push_back(std::make_unique<grpc::GenericStub>(
          grpc::CreateCustomChannel(load.address, credentials, arguments)));
    }
    for (const std::string& request : load.requests) {
      grpc::Slice slice(request);
      requests_.emplace_back(&slice, 1);
    }
    const int64_t cores = std::max(1u, std::thread::hardware_concurrency());
    const int64_t threads = std::min<int64_t>({4, (cores + 1) / 2, load.concurrency});
    for (int64_t i = 0; i < threads; ++i) workers_.push_back(std::make_unique<Worker>());
    begin_ = Clock::now();
    measure_from_ = begin_ + absl::ToChronoNanoseconds(load.warm_up);
    measure_to_ =
        load.calls ? Clock::time_point::max() : measure_from_ + absl::ToChronoNanoseconds(load.duration);
  }

  LoadResult Apply() {
    in_flight_ = 1;  // the sender's own, so that no worker stops before it is done
    std::vector<std::thread> threads;
    for (const auto& worker : workers_) threads.emplace_back([this, &worker] { Work(worker.get()); });
    if (load_.rate) {
      SendOnSchedule();
    } else {
      for (int64_t slot = 0; slot < load_.concurrency; ++slot) StartNext(slot, Clock::now());
    }
    Leave();
    for (std::thread& thread : threads) thread.join();
    return Result();
  }

 private:
  // Whether a call due at `due` shall be made, and whether it counts.
  bool Admit(Clock::time_point due, bool* measured) {
    *measured = due >= measure_from_;
    if (due >= measure_to_) return false;
    return !*measured || !load_.calls || begun_.fetch_add(1) < *load_.calls;
  }

  bool StartNext(int64_t slot, Clock::time_point due) {
    auto call = std::make_unique<Call>();
    if (!Admit(due, &call->measured)) return false;
    call->due = due;
    call->slot = slot;
    in_flight_.fetch_add(1);
    const gpr_timespec length = gpr_time_from_micros(absl::ToInt64Microseconds(load_.deadline), GPR_TIMESPAN);
    call->context.set_deadline(gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), length));
    if (!load_.authorization.empty()) call->context.AddMetadata(kAuthorization, load_.authorization);
    const size_t number = static_cast<size_t>(sent_.fetch_add(1));
    Worker& worker = *workers_[static_cast<size_t>(slot) % workers_.size()];
    call->reader = stubs_[static_cast<size_t>(slot) % stubs_.size()]->PrepareUnaryCall(
        &call->context, load_.method, requests_[number % requests_.size()], &worker.queue);
    call->reader->StartCall();
    Call* const tag = call.release();  // comes back from the queue
    tag->reader->Finish(&tag->reply, &tag->status, tag);
    return true;
  }

  void Work(Worker* worker) {
    void* tag = nullptr;
    bool ok = false;
    while (worker->queue.Next(&tag, &ok)) {
      const Clock::time_point now = Clock::now();
      std::unique_ptr<Call> call(static_cast<Call*>(tag));
      if (call->measured) Record(*call, now, worker);
      if (load_.rate) {
        std::lock_guard<std::mutex> lock(mutex_);
        free_slots_.push_back(call->slot);
        slot_free_.notify_one();
      } else {
        StartNext(call->slot, now);
      }
      Leave();
    }
  }

  static void Record(const Call& call, Clock::time_point now, Worker* worker) {
    worker->last = now;
    if (call.status.ok()) {
      worker->latencies.push_back(absl::FromChrono(now - call.due));
      return;
    }
    if (worker->errors.empty()) worker->first_error = call.status.error_message();
    ++worker->errors[static_cast<absl::StatusCode>(call.status.error_code())];
  }

  void SendOnSchedule() {
    prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0);  // ns; the kernel's 50 us would be part of every latency
    {
      std::lock_guard<std::mutex> lock(mutex_);
      for (int64_t slot = load_.concurrency; slot-- > 0;) free_slots_.push_back(slot);
    }
    for (int64_t i = 0;; ++i) {
      const std::chrono::duration<double> offset(static_cast<double>(i) / *load_.rate);
      const Clock::time_point due = begin_ + std::chrono::duration_cast<Clock::duration>(offset);
      std::this_thread::sleep_until(due);
      int64_t slot;
      {
        std::unique_lock<std::mutex> lock(mutex_);
        slot_free_.wait(lock, [this] { return !free_slots_.empty(); });
        slot = free_slots_.back();
        free_slots_.pop_back();
      }
      if (!StartNext(slot, due)) return;
    }
  }

  // The last one out shuts the queues, which ends the workers.
  void Leave() {
    if (in_flight_.fetch_sub(1) != 1) return;
    for (const auto& worker : workers_) worker->queue.Shutdown();
  }

  LoadResult Result() {
    LoadResult result;
    Clock::time_point last = measure_from_;
    for (const auto& worker : workers_) {
      result.latencies.insert(result.latencies.end(), worker->latencies.begin(), worker->latencies.end());
      for (const auto& error : worker->errors) result.errors[error.first] += error.second;
      if (result.first_error.empty()) result.first_error = worker->first_error;
      last = std::max(last, worker->last);
    }
    std::sort(result.latencies.begin(), result.latencies.end());
    result.elapsed = absl::FromChrono(last - measure_from_);
    return result;
  }

  const Load& load_;
  std::vector<std::unique_ptr<grpc::GenericStub>> stubs_;
  std::vector<grpc::ByteBuffer> requests_;
  std::vector<std::unique_ptr<Worker>> workers_;
  Clock::time_point begin_, measure_from_, measure_to_;

  std::atomic<int64_t> begun_{0};  // measured calls
  std::atomic<int64_t> sent_{0};
  std::atomic<int64_t> in_flight_{0};

  std::mutex mutex_;
  std::condition_variable slot_free_;
  std::vector<int64_t> free_slots_ ABSL_GUARDED_BY(mutex_);  // of an open loop
};

}  // namespace

int64_t Connections(int64_t concurrency) { return (concurrency + 99) / 100; }

LoadResult ApplyLoad(const Load& load) { return Run(load).Apply(); }

absl::Duration Percentile(const std::vector<absl::Duration>& ascending, double share) {
  if (ascending.empty()) return absl::ZeroDuration();
  const double rank = std::ceil(share * static_cast<double>(ascending.size()));
  return ascending[std::max<size_t>(1, static_cast<size_t>(rank)) - 1];
}

}  // namespace client
}  // namespace glowworm
