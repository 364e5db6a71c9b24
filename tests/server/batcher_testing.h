// Small verbs for the batcher's tests: a compute that stops until the test lets it go, requests, and their
// answers.

#ifndef GLOWWORM_TESTS_SERVER_BATCHER_TESTING_H_
#define GLOWWORM_TESTS_SERVER_BATCHER_TESTING_H_

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/batcher.h"
#include "server/compute_pool.h"
#include "server/mutex.h"
#include "tests/testing/fake_clock.h"

namespace glowworm {

// How long a test waits for another thread before it gives up and fails; reached only by a broken batcher.
inline constexpr std::chrono::seconds kPatience{60};

// Rows of one request, as a payload: what was computed, how often, and who still holds it.
struct Rows {
  explicit Rows(int64_t rows) : times_computed(rows) {}
  std::vector<int> times_computed;  // written by the worker that was given the row
};

struct RequestOptions {
  int64_t bytes = 0;
  absl::Time deadline = absl::InfiniteFuture();
  std::string source = "client";
  bool when_room = false;         // ScheduleWhenRoom
  std::function<void()> on_done;  // runs inside `done`, before the answer counts as given
};

// One request and its answer. Thread-safe.
class Reply {
 public:
  // Blocks until `done` has run.
  absl::Status Await();
  bool answered() const;
  int times_answered() const;
  TaskTiming timing() const;
  // The thread that ran `done`.
  std::thread::id answered_by() const;
  // Gives the Reservation back, as the service does once the reply has been sent.
  void Send();
  // False once no one but the test holds the rows.
  bool payload_alive() const { return !payload.expired(); }

  std::weak_ptr<Rows> payload;
  TaskId id = 0;
  absl::Status admission;  // what Schedule returned

 private:
  friend std::unique_ptr<Task> MakeTask(const std::shared_ptr<Reply>& reply, int64_t rows,
                                        const RequestOptions& options);

  mutable Mutex mutex_;
  CondVar changed_;
  int times_answered_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
  TaskTiming timing_ ABSL_GUARDED_BY(mutex_);
  std::thread::id answered_by_ ABSL_GUARDED_BY(mutex_);
  Reservation reservation_ ABSL_GUARDED_BY(mutex_);
};

std::unique_ptr<Task> MakeTask(const std::shared_ptr<Reply>& reply, int64_t rows,
                               const RequestOptions& options);

// Schedules `rows` rows; Reply::admission says how that went.
std::shared_ptr<Reply> Ask(Batcher* batcher, int64_t rows, const RequestOptions& options = {});

// Counts every row of a batch in its payload, where it has one. OK.
absl::Status ComputeRows(absl::Span<const Part> parts);

// A compute that reports each batch to the test and stops until released. Thread-safe; outlives the pool.
class Puppet {
 public:
  std::function<absl::Status(absl::Span<const Part>)> compute();

  // Blocks until a batch that no earlier call returned is being computed; returns its parts.
  std::vector<Part> AwaitBatch();
  // Blocks until a batch that no earlier call returned is being computed; returns its number of rows.
  int64_t AwaitRows();
  // Lets the oldest batch go that is still held.
  void Release();
  // The same, with this for a result.
  void ReleaseWith(absl::Status result);
  // Lets every batch go, now and from now on.
  void ReleaseAll();
  // Batches begun so far.
  int batches() const;

 private:
  absl::Status Compute(absl::Span<const Part> parts);

  mutable Mutex mutex_;
  CondVar changed_;
  std::vector<std::vector<Part>> begun_ ABSL_GUARDED_BY(mutex_);
  size_t awaited_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<absl::Status> results_ ABSL_GUARDED_BY(mutex_);  // of the batches that may go, the first ones
  bool all_released_ ABSL_GUARDED_BY(mutex_) = false;
};

int64_t TotalRows(const std::vector<Part>& parts);

// A pool and a batcher on it; the test program ends if they cannot be made.
std::unique_ptr<ComputePool> MakePool(PoolOptions options);
std::unique_ptr<Batcher> MakeBatcher(ComputePool* pool, BatcherOptions options);

// A batcher on a fake clock whose compute is a puppet's.
class BatcherTest : public ::testing::Test {
 protected:
  ~BatcherTest() override;

  void Start(int workers, BatcherOptions options = {}, int64_t max_bytes = 1000);
  // Another batcher on the same pool and puppet.
  std::unique_ptr<Batcher> Another(BatcherOptions options = {});

  std::shared_ptr<Reply> Ask(int64_t rows, const RequestOptions& options = {}) {
    return glowworm::Ask(batcher.get(), rows, options);
  }
  // Occupies one worker with a batch of one row, which stays until released.
  std::shared_ptr<Reply> Occupy();
  // Waits until nothing is queued or running.
  void Settle();
  // Reports of the batches that have been computed.
  std::vector<BatchReport> reports() const;

  FakeClock clock;
  Puppet puppet;
  std::unique_ptr<ComputePool> pool;
  std::unique_ptr<Batcher> batcher;

 private:
  mutable Mutex mutex_;
  std::vector<BatchReport> reports_ ABSL_GUARDED_BY(mutex_);
};

// "queue_rows", ...: why a request was refused; empty if the status does not say.
std::string RefusalReason(const absl::Status& status);

}  // namespace glowworm

#endif  // GLOWWORM_TESTS_SERVER_BATCHER_TESTING_H_
