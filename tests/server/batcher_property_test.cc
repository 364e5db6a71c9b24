// Split and join as a property: random requests, limits, workers, cancels and expiries. Whatever happens,
// every row is computed at most once, its result lands in its own slot, sums join, `done` runs once, and the
// budgets return to 0. Some batches fail.

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <vector>

#include "tests/server/batcher_testing.h"

namespace glowworm {
namespace {

// The row's input is its id; its result, a function of it alone.
int64_t Result(int64_t id) { return id * 7919 + 13; }

struct Sum {
  std::vector<int64_t> id;      // (rows)
  std::vector<int64_t> result;  // (rows), 0 until computed
  std::vector<int> times;       // (rows)
};

struct Asked {
  std::unique_ptr<Task> task;
  std::shared_ptr<Sum> sum;
  TaskId task_id = 0;
  absl::Status admission;
  int64_t rows = 0;
  Mutex mutex;
  int answers ABSL_GUARDED_BY(mutex) = 0;
  absl::Status status ABSL_GUARDED_BY(mutex);
};

// Some rows are poison: the device fails with every batch that holds one, and computes nothing.
bool Poison(int64_t id) { return id % 997 == 0; }

absl::Status ComputeSums(absl::Span<const Part> parts) {
  for (const Part& part : parts) {
    const auto* ids = static_cast<Sum*>(part.payload)->id.data() + part.begin;
    if (std::any_of(ids, ids + part.rows, Poison)) return absl::DataLossError("a poisoned batch");
  }
  for (const Part& part : parts) {
    auto* sum = static_cast<Sum*>(part.payload);
    for (int64_t row = part.begin; row < part.begin + part.rows; ++row) {
      sum->result.at(row) += Result(sum->id.at(row));
      ++sum->times.at(row);
    }
  }
  return absl::OkStatus();
}

class RandomRun {
 public:
  explicit RandomRun(int seed) : random_(seed) {
    PoolOptions pool;
    pool.workers = Draw(1, 3);
    pool.max_bytes = Draw(2000, 20000);
    pool.clock = &clock_;
    pool_ = MakePool(pool);
    const int batchers = Draw(1, 3);
    for (int i = 0; i < batchers; ++i) {
      BatcherOptions options;
      options.max_batch_rows = Draw(1, 256);
      options.max_queue_rows = Draw(1000, 5000);
      options.max_queue_bytes = Draw(1000, 10000);
      options.max_queue_delay = absl::Milliseconds(Draw(0, 1) * Draw(0, 20));
      options.compute = ComputeSums;
      options.on_batch = [limit = options.max_batch_rows](const BatchReport& report) {
        EXPECT_GE(report.rows, report.parts);
        EXPECT_LE(report.rows, limit);
      };
      batchers_.push_back(MakeBatcher(pool_.get(), options));
    }
  }

  void Run(int steps) {
    for (int step = 0; step < steps; ++step) {
      const int action = Draw(0, 9);
      if (action < 6) {
        Schedule();
      } else if (action < 8 && !requests_.empty()) {
        const size_t victim = Draw(0, static_cast<int>(requests_.size()) - 1);
        batchers_[victim % batchers_.size()]->Cancel(requests_[victim]->task_id);
      } else {
        clock_.Advance(absl::Milliseconds(Draw(0, 10)));
      }
    }
    if (Draw(0, 3) == 0) batchers_[0]->Abandon();
    for (const auto& batcher : batchers_) batcher->Drain();
    for (const auto& batcher : batchers_) ASSERT_TRUE(batcher->WaitUntilIdle(absl::InfiniteFuture()));
  }

  void Check() {
    int64_t computed = 0;
    for (const auto& request : requests_) {
      MutexLock lock(&request->mutex);
      ASSERT_EQ(request->answers, request->admission.ok() ? 1 : 0);
      ASSERT_EQ(request->task != nullptr, !request->admission.ok());
      const bool complete = request->admission.ok() && request->status.ok();
      for (int64_t row = 0; row < request->rows; ++row) {
        const int times = request->sum->times[row];
        ASSERT_LE(times, 1) << "a row was computed twice";
        ASSERT_GE(times, complete ? 1 : 0) << "an answered row was not computed";
        ASSERT_EQ(request->sum->result[row], times * Result(request->sum->id[row]));
        computed += times;
      }
      failed_ += absl::IsDataLoss(request->status) ? 1 : 0;
    }
    int64_t counted = 0;
    for (const auto& batcher : batchers_) {
      const BatcherCounters counters = batcher->counters();
      counted += counters.rows_computed;
      EXPECT_EQ(counters.rows_admitted, counters.rows_computed + counters.rows_failed +
                                            counters.rows_expired + counters.rows_cancelled +
                                            counters.rows_abandoned);
      EXPECT_LE(counters.rows_discarded, counters.rows_computed);
      EXPECT_EQ(batcher->pending_rows(), 0);
      EXPECT_EQ(batcher->reserved_bytes(), 0);
    }
    EXPECT_EQ(counted, computed);
    EXPECT_EQ(pool_->reserved_bytes(), 0);
  }

  // Requests that Check saw answered with a failure of compute.
  int failed() const { return failed_; }

 private:
  int Draw(int from, int to) { return std::uniform_int_distribution<int>(from, to)(random_); }

  void Schedule() {
    auto request = std::make_unique<Asked>();
    request->rows = Draw(0, 3) == 0 ? Draw(1, 1000) : Draw(1, 8);
    request->sum = std::make_shared<Sum>();
    for (int64_t row = 0; row < request->rows; ++row) request->sum->id.push_back(next_row_++);
    request->sum->result.resize(request->rows);
    request->sum->times.resize(request->rows);
    request->task = std::make_unique<Task>();
    request->task->rows = request->rows;
    request->task->bytes = Draw(0, 500);
    request->task->source = std::to_string(Draw(0, 2));
    request->task->payload = request->sum;
    if (Draw(0, 1) == 0) request->task->deadline = clock_.Now() + absl::Milliseconds(Draw(-1, 30));
    request->task->done = [self = request.get()](absl::Status status, TaskTiming timing, Reservation) {
      EXPECT_GE(timing.queued, absl::ZeroDuration());
      MutexLock lock(&self->mutex);
      ++self->answers;
      self->status = std::move(status);
    };
    const size_t index = requests_.size();
    Asked* self = request.get();
    requests_.push_back(std::move(request));
    Batcher* batcher = batchers_[index % batchers_.size()].get();
    self->admission = Draw(0, 2) == 0 ? batcher->ScheduleWhenRoom(&self->task, &self->task_id)
                                      : batcher->Schedule(&self->task, &self->task_id);
  }

  int failed_ = 0;
  std::mt19937 random_;
  FakeClock clock_;
  int64_t next_row_ = 1;
  std::vector<std::unique_ptr<Asked>> requests_;
  std::unique_ptr<ComputePool> pool_;
  std::vector<std::unique_ptr<Batcher>> batchers_;
};

TEST(BatcherProperty, EveryRowIsComputedAtMostOnceIntoItsOwnSlotAndAnsweredOnce) {
  int failed = 0;
  for (int seed = 0; seed < 150; ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    RandomRun run(seed);
    run.Run(/*steps=*/200);
    run.Check();
    if (testing::Test::HasFailure()) return;
    failed += run.failed();
  }
  EXPECT_GT(failed, 0) << "no batch failed: nothing was tried of that";
}

}  // namespace
}  // namespace glowworm
