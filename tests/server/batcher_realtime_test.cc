// Expiry against the real clock: answered within 5 ms of the deadline at the 99th percentile, while a batch
// runs that never ends by itself.

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "tests/server/batcher_testing.h"

namespace glowworm {
namespace {

constexpr int kDeadlines = 200;
// The machine may be busy with something else for one round, not for all of them.
constexpr int kRounds = 5;

// How late each answer came, ascending.
class Lateness {
 public:
  void Add(absl::Duration late) {
    MutexLock lock(&mutex_);
    late_.push_back(late);
    if (late_.size() == kDeadlines) complete_.notify_all();
  }

  std::vector<absl::Duration> AwaitAll() {
    MutexLock lock(&mutex_);
    const bool all = complete_.wait_for(mutex_, kPatience, [this] { return late_.size() == kDeadlines; });
    EXPECT_TRUE(all) << late_.size() << " of " << kDeadlines << " deadlines were answered";
    std::sort(late_.begin(), late_.end());
    return late_;
  }

 private:
  Mutex mutex_;
  CondVar complete_;
  std::vector<absl::Duration> late_ ABSL_GUARDED_BY(mutex_);
};

std::vector<absl::Duration> Expire(Batcher* batcher) {
  Lateness lateness;
  const absl::Time start = RealClock()->Now() + absl::Milliseconds(20);
  for (int i = 0; i < kDeadlines; ++i) {
    auto task = std::make_unique<Task>();
    task->rows = 1;
    task->deadline = start + i * absl::Milliseconds(1);
    task->done = [&lateness, deadline = task->deadline](absl::Status status, TaskTiming, Reservation) {
      const absl::Time now = RealClock()->Now();
      EXPECT_TRUE(absl::IsDeadlineExceeded(status));
      lateness.Add(now - deadline);
    };
    EXPECT_TRUE(batcher->Schedule(&task, nullptr).ok());
  }
  return lateness.AwaitAll();
}

TEST(BatcherRealtime, ExpiryIsAnsweredWithinFiveMillisecondsAtP99WhileALongBatchRuns) {
  Puppet puppet;
  const std::unique_ptr<ComputePool> pool = MakePool({});
  BatcherOptions options;
  options.compute = puppet.compute();
  const std::unique_ptr<Batcher> batcher = MakeBatcher(pool.get(), options);
  const auto long_batch = Ask(batcher.get(), 1);
  puppet.AwaitBatch();

  absl::Duration best = absl::InfiniteDuration();
  for (int round = 0; round < kRounds && best > absl::Milliseconds(5); ++round) {
    const std::vector<absl::Duration> late = Expire(batcher.get());
    ASSERT_EQ(late.size(), static_cast<size_t>(kDeadlines));
    EXPECT_GE(late.front(), absl::ZeroDuration()) << "answered before its deadline";
    best = std::min(best, late[kDeadlines * 99 / 100 - 1]);
  }
  RecordProperty("p99_us", static_cast<int>(absl::ToInt64Microseconds(best)));
  EXPECT_LE(best, absl::Milliseconds(5));
  EXPECT_FALSE(long_batch->answered());
  puppet.ReleaseAll();
  EXPECT_TRUE(long_batch->Await().ok());
  EXPECT_TRUE(batcher->WaitUntilIdle(absl::InfiniteFuture()));
}

}  // namespace
}  // namespace glowworm
