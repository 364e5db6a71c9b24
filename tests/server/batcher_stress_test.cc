// Schedule, cancel, expiry and release from several threads at once, on the real clock. Its worth is under
// ThreadSanitizer and AddressSanitizer; without them it still checks that every answer comes exactly once.

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <random>
#include <thread>
#include <vector>

#include "tests/server/batcher_testing.h"

namespace glowworm {
namespace {

constexpr int kThreads = 4;
constexpr int kTasksPerThread = 1500;

struct Tally {
  std::atomic<int> admitted{0};
  std::atomic<int> answered{0};
  std::atomic<int> computed{0};
};

// Like a client: schedules, now and then cancels an older task, and sends the replies of others.
class Client {
 public:
  Client(Batcher* batcher, Tally* tally, int seed) : batcher_(batcher), tally_(tally), random_(seed) {}

  void Run() {
    std::vector<TaskId> ids;
    for (int i = 0; i < kTasksPerThread; ++i) {
      TaskId id = 0;
      if (Schedule(&id)) ids.push_back(id);
      if (!ids.empty() && Draw(3) == 0) batcher_->Cancel(ids[Draw(static_cast<int>(ids.size()))]);
      if (Draw(8) == 0) SendReplies();
    }
    SendReplies();
  }

  // REQUIRES: every task has been answered.
  void SendReplies() {
    std::vector<Reservation> sent;
    MutexLock lock(&mutex_);
    sent.swap(unsent_);
  }

 private:
  int Draw(int below) { return std::uniform_int_distribution<int>(0, below - 1)(random_); }

  bool Schedule(TaskId* id) {
    auto task = std::make_unique<Task>();
    task->rows = Draw(10) == 0 ? 1 + Draw(400) : 1 + Draw(4);
    task->bytes = task->rows * 10;
    task->source = std::to_string(Draw(3));
    task->payload = std::make_shared<Rows>(task->rows);
    if (Draw(2) == 0) task->deadline = RealClock()->Now() + absl::Microseconds(Draw(2000));
    task->done = [this](absl::Status status, TaskTiming, Reservation reservation) {
      tally_->answered.fetch_add(1);
      if (status.ok()) tally_->computed.fetch_add(1);
      MutexLock lock(&mutex_);
      unsent_.push_back(std::move(reservation));
    };
    const absl::Status status =
        Draw(4) == 0 ? batcher_->ScheduleWhenRoom(&task, id) : batcher_->Schedule(&task, id);
    if (status.ok()) tally_->admitted.fetch_add(1);
    return status.ok();
  }

  Batcher* const batcher_;
  Tally* const tally_;
  std::mt19937 random_;
  Mutex mutex_;
  std::vector<Reservation> unsent_ ABSL_GUARDED_BY(mutex_);
};

void Stress(absl::Duration max_queue_delay) {
  PoolOptions pool_options;
  pool_options.workers = 2;
  pool_options.max_bytes = 60000;
  const std::unique_ptr<ComputePool> pool = MakePool(pool_options);
  std::vector<std::unique_ptr<Batcher>> batchers;
  for (int i = 0; i < 2; ++i) {
    BatcherOptions options;
    options.max_batch_rows = 32;
    options.max_queue_rows = 2000;
    options.max_queue_bytes = 40000;
    options.max_queue_delay = max_queue_delay;
    options.compute = ComputeRows;
    batchers.push_back(MakeBatcher(pool.get(), options));
  }
  Tally tally;
  std::vector<std::unique_ptr<Client>> clients;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) {
    clients.push_back(std::make_unique<Client>(batchers[i % 2].get(), &tally, i));
    threads.emplace_back([client = clients.back().get()] { client->Run(); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& batcher : batchers) batcher->Drain();
  for (const auto& batcher : batchers) EXPECT_TRUE(batcher->WaitUntilIdle(absl::InfiniteFuture()));
  for (const auto& client : clients) client->SendReplies();
  EXPECT_EQ(tally.answered, tally.admitted);
  EXPECT_GT(tally.computed, 0);
  EXPECT_EQ(pool->reserved_bytes(), 0);
  for (const auto& batcher : batchers) {
    const BatcherCounters counters = batcher->counters();
    EXPECT_EQ(counters.rows_admitted,
              counters.rows_computed + counters.rows_expired + counters.rows_cancelled);
    EXPECT_EQ(batcher->pending_rows(), 0);
  }
}

TEST(BatcherStress, EveryAdmittedTaskIsAnsweredOnce) { Stress(absl::ZeroDuration()); }

TEST(BatcherStress, EveryAdmittedTaskIsAnsweredOnceWithAQueueDelay) { Stress(absl::Microseconds(300)); }

TEST(BatcherStress, BatchersComeAndGoWhileTheirRowsAreComputed) {
  PoolOptions pool_options;
  pool_options.workers = 2;
  std::unique_ptr<ComputePool> pool = MakePool(pool_options);
  std::atomic<int> answered{0};
  for (int version = 0; version < 300; ++version) {
    BatcherOptions options;
    options.max_batch_rows = 8;
    options.compute = [model = std::make_shared<int>(version)](absl::Span<const Part> parts) {
      return ComputeRows(parts);
    };
    const std::unique_ptr<Batcher> batcher = MakeBatcher(pool.get(), options);
    for (int i = 0; i < 5; ++i) {
      auto task = std::make_unique<Task>();
      task->rows = 10;
      task->bytes = 10;
      task->payload = std::make_shared<Rows>(task->rows);
      task->done = [&answered](absl::Status status, TaskTiming, Reservation) {
        EXPECT_TRUE(status.ok());
        answered.fetch_add(1);
      };
      EXPECT_TRUE(batcher->Schedule(&task, nullptr).ok());
    }
  }
  pool.reset();  // waits for what the batchers left behind
  EXPECT_EQ(answered, 1500);
}

TEST(BatcherStress, TenThousandWaitingRequestsAreCancelledFromTheMiddle) {
  Puppet puppet;
  const std::unique_ptr<ComputePool> pool = MakePool({});
  BatcherOptions options;
  options.compute = puppet.compute();
  const std::unique_ptr<Batcher> batcher = MakeBatcher(pool.get(), options);
  const auto busy = Ask(batcher.get(), 1);
  puppet.AwaitBatch();
  std::vector<TaskId> ids;
  std::atomic<int> cancelled{0};
  for (int i = 0; i < 20000; ++i) {
    auto task = std::make_unique<Task>();
    task->rows = 1;
    task->deadline = RealClock()->Now() + absl::Hours(1) + absl::Seconds(i * 7919 % 20000);
    task->done = [&cancelled](absl::Status status, TaskTiming, Reservation) {
      if (absl::IsCancelled(status)) cancelled.fetch_add(1);
    };
    TaskId id = 0;
    EXPECT_TRUE(batcher->Schedule(&task, &id).ok());
    ids.push_back(id);
  }
  for (int i = 0; i < 10000; ++i) EXPECT_TRUE(batcher->Cancel(ids[(i * 7919 + 5000) % 20000]));
  EXPECT_EQ(cancelled, 10000);
  EXPECT_EQ(batcher->pending_rows(), 10000);
  puppet.ReleaseAll();
  EXPECT_TRUE(batcher->WaitUntilIdle(absl::InfiniteFuture()));
  EXPECT_EQ(batcher->counters().rows_computed, 10001);
}

}  // namespace
}  // namespace glowworm
