#include "tests/server/batcher_testing.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace glowworm {
namespace {

// Waits for a condition that another thread brings about; ends the test program if it never comes, since a
// thread that is stuck cannot be joined.
template <typename Predicate>
void AwaitOrDie(CondVar* cv, Mutex* mutex, const char* what, Predicate predicate) {
  if (cv->wait_for(*mutex, kPatience, predicate)) return;
  std::fprintf(stderr, "gave up waiting for %s\n", what);
  std::abort();
}

}  // namespace

absl::Status Reply::Await() {
  MutexLock lock(&mutex_);
  AwaitOrDie(&changed_, &mutex_, "an answer", [this] { return times_answered_ > 0; });
  return status_;
}

bool Reply::answered() const { return times_answered() > 0; }

int Reply::times_answered() const {
  MutexLock lock(&mutex_);
  return times_answered_;
}

TaskTiming Reply::timing() const {
  MutexLock lock(&mutex_);
  return timing_;
}

std::thread::id Reply::answered_by() const {
  MutexLock lock(&mutex_);
  return answered_by_;
}

void Reply::Send() {
  Reservation reservation;
  MutexLock lock(&mutex_);
  reservation = std::move(reservation_);
}

std::unique_ptr<Task> MakeTask(const std::shared_ptr<Reply>& reply, int64_t rows,
                               const RequestOptions& options) {
  auto payload = std::make_shared<Rows>(std::max<int64_t>(0, rows));
  reply->payload = payload;
  auto task = std::make_unique<Task>();
  task->rows = rows;
  task->bytes = options.bytes;
  task->deadline = options.deadline;
  task->source = options.source;
  task->payload = std::move(payload);
  task->done = [reply, on_done = options.on_done](absl::Status status, TaskTiming timing,
                                                  Reservation reservation) {
    if (on_done) on_done();
    {
      MutexLock lock(&reply->mutex_);
      ++reply->times_answered_;
      reply->status_ = std::move(status);
      reply->timing_ = timing;
      reply->answered_by_ = std::this_thread::get_id();
      reply->reservation_ = std::move(reservation);
    }
    reply->changed_.notify_all();
  };
  return task;
}

std::shared_ptr<Reply> Ask(Batcher* batcher, int64_t rows, const RequestOptions& options) {
  auto reply = std::make_shared<Reply>();
  std::unique_ptr<Task> task = MakeTask(reply, rows, options);
  TaskId id = 0;
  const absl::Status admission =
      options.when_room ? batcher->ScheduleWhenRoom(&task, &id) : batcher->Schedule(&task, &id);
  reply->admission = admission;
  reply->id = id;
  EXPECT_EQ(task == nullptr, admission.ok()) << "a task is taken over exactly if it was admitted";
  return reply;
}

absl::Status ComputeRows(absl::Span<const Part> parts) {
  for (const Part& part : parts) {
    auto* rows = static_cast<Rows*>(part.payload);
    if (rows == nullptr) continue;
    for (int64_t row = part.begin; row < part.begin + part.rows; ++row) ++rows->times_computed.at(row);
  }
  return absl::OkStatus();
}

std::function<absl::Status(absl::Span<const Part>)> Puppet::compute() {
  return [this](absl::Span<const Part> parts) { return Compute(parts); };
}

absl::Status Puppet::Compute(absl::Span<const Part> parts) {
  absl::Status computed = ComputeRows(parts);
  MutexLock lock(&mutex_);
  const size_t self = begun_.size();
  begun_.emplace_back(parts.begin(), parts.end());
  changed_.notify_all();
  AwaitOrDie(&changed_, &mutex_, "the test to release a batch",
             [&] { return all_released_ || self < results_.size(); });
  return self < results_.size() ? results_[self] : computed;
}

std::vector<Part> Puppet::AwaitBatch() {
  MutexLock lock(&mutex_);
  AwaitOrDie(&changed_, &mutex_, "a batch", [this] { return begun_.size() > awaited_; });
  return begun_[awaited_++];
}

int64_t Puppet::AwaitRows() { return TotalRows(AwaitBatch()); }

void Puppet::Release() { ReleaseWith(absl::OkStatus()); }

void Puppet::ReleaseWith(absl::Status result) {
  MutexLock lock(&mutex_);
  results_.push_back(std::move(result));
  changed_.notify_all();
}

void Puppet::ReleaseAll() {
  MutexLock lock(&mutex_);
  all_released_ = true;
  changed_.notify_all();
}

int Puppet::batches() const {
  MutexLock lock(&mutex_);
  return static_cast<int>(begun_.size());
}

int64_t TotalRows(const std::vector<Part>& parts) {
  int64_t rows = 0;
  for (const Part& part : parts) rows += part.rows;
  return rows;
}

std::unique_ptr<ComputePool> MakePool(PoolOptions options) {
  auto pool = ComputePool::Create(std::move(options));
  if (!pool.ok()) std::abort();
  return *std::move(pool);
}

std::unique_ptr<Batcher> MakeBatcher(ComputePool* pool, BatcherOptions options) {
  auto batcher = Batcher::Create(pool, std::move(options));
  if (!batcher.ok()) std::abort();
  return *std::move(batcher);
}

BatcherTest::~BatcherTest() {
  puppet.ReleaseAll();
  batcher.reset();
  pool.reset();
}

void BatcherTest::Start(int workers, BatcherOptions options, int64_t max_bytes) {
  PoolOptions pool_options;
  pool_options.workers = workers;
  pool_options.max_bytes = max_bytes;
  pool_options.clock = &clock;
  pool = MakePool(std::move(pool_options));
  batcher = Another(std::move(options));
}

std::unique_ptr<Batcher> BatcherTest::Another(BatcherOptions options) {
  options.compute = puppet.compute();
  options.on_batch = [this](const BatchReport& report) {
    MutexLock lock(&mutex_);
    reports_.push_back(report);
  };
  return MakeBatcher(pool.get(), std::move(options));
}

std::shared_ptr<Reply> BatcherTest::Occupy() {
  std::shared_ptr<Reply> reply = Ask(1);
  EXPECT_EQ(puppet.AwaitRows(), 1);
  return reply;
}

void BatcherTest::Settle() { EXPECT_TRUE(batcher->WaitUntilIdle(absl::InfiniteFuture())); }

std::vector<BatchReport> BatcherTest::reports() const {
  MutexLock lock(&mutex_);
  return reports_;
}

std::string RefusalReason(const absl::Status& status) {
  const absl::optional<absl::Cord> reason = status.GetPayload(kRefusalReason);
  return reason.has_value() ? std::string(*reason) : std::string();
}

}  // namespace glowworm
