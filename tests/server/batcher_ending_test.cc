// How a request ends: result, expiry, cancel, drain, abandon; each exactly once. Each test is one clause of
// server/batcher.h.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "tests/server/batcher_testing.h"

namespace glowworm {
namespace {

using BatcherEnding = BatcherTest;

RequestOptions Within(FakeClock* clock, absl::Duration left) {
  RequestOptions options;
  options.deadline = clock->Now() + left;
  return options;
}

TEST_F(BatcherEnding, ExpiryIsAnsweredAtTheDeadlineWhileALongBatchRuns) {
  Start(1);
  const auto busy = Occupy();
  const auto reply = Ask(2, Within(&clock, absl::Seconds(1)));
  clock.AwaitWaiter(clock.Now() + absl::Seconds(1));
  clock.Advance(absl::Seconds(1));
  EXPECT_TRUE(absl::IsDeadlineExceeded(reply->Await()));
  EXPECT_EQ(reply->timing().queued, absl::Seconds(1));
  EXPECT_FALSE(busy->answered());
}

TEST_F(BatcherEnding, NothingExpiresBeforeItsDeadline) {
  Start(1);
  const auto busy = Occupy();
  const absl::Time deadline = clock.Now() + absl::Seconds(2);
  const auto earlier = Ask(1, Within(&clock, absl::Seconds(1)));
  const auto reply = Ask(1, Within(&clock, absl::Seconds(2)));
  clock.Advance(absl::Seconds(2) - absl::Nanoseconds(1));
  EXPECT_TRUE(absl::IsDeadlineExceeded(earlier->Await()));
  clock.AwaitWaiter(deadline);  // the timer has been round
  EXPECT_FALSE(reply->answered());
  puppet.ReleaseAll();
  EXPECT_TRUE(reply->Await().ok());
}

TEST_F(BatcherEnding, ARequestThatExpiredInTheQueueIsNeverComputed) {
  Start(1);
  const auto busy = Occupy();
  const auto reply = Ask(5, Within(&clock, absl::Seconds(1)));
  clock.Advance(absl::Seconds(1));
  EXPECT_TRUE(absl::IsDeadlineExceeded(reply->Await()));
  puppet.ReleaseAll();
  Settle();
  EXPECT_EQ(puppet.batches(), 1);
  EXPECT_EQ(batcher->counters().rows_computed, 1);
  EXPECT_EQ(batcher->counters().rows_expired, 5);
  EXPECT_FALSE(reply->payload_alive());
}

TEST_F(BatcherEnding, ACancelledRequestIsNeverComputed) {
  Start(1);
  const auto busy = Occupy();
  const auto cancelled = Ask(5), kept = Ask(2);
  EXPECT_TRUE(batcher->Cancel(cancelled->id));
  EXPECT_EQ(batcher->pending_rows(), 2);
  puppet.Release();
  EXPECT_EQ(puppet.AwaitRows(), 2);
  puppet.ReleaseAll();
  EXPECT_TRUE(kept->Await().ok());
  EXPECT_EQ(batcher->counters().rows_cancelled, 5);
}

TEST_F(BatcherEnding, ACancelIsAnsweredBeforeItReturns) {
  Start(1);
  const auto busy = Occupy();
  const auto reply = Ask(5);
  EXPECT_TRUE(batcher->Cancel(reply->id));
  EXPECT_TRUE(reply->answered());
  EXPECT_TRUE(absl::IsCancelled(reply->Await()));
  EXPECT_EQ(reply->answered_by(), std::this_thread::get_id());
}

// The timer thread is held inside one expired request's `done`, so only the worker can notice the second
// deadline.
TEST_F(BatcherEnding, AWorkerSealsNoRowWhoseDeadlineHasPassed) {
  Puppet gate;
  Start(1);
  const auto busy = Occupy();
  RequestOptions holds_timer = Within(&clock, absl::Seconds(1));
  holds_timer.on_done = [&gate] { gate.compute()({}).IgnoreError(); };
  const auto first = Ask(1, holds_timer);
  const auto second = Ask(2, Within(&clock, absl::Seconds(2)));
  clock.Advance(absl::Seconds(1));
  gate.AwaitBatch();
  clock.Advance(absl::Seconds(1));
  puppet.ReleaseAll();
  EXPECT_TRUE(absl::IsDeadlineExceeded(second->Await()));
  EXPECT_EQ(second->answered_by(), busy->answered_by());
  gate.ReleaseAll();
  EXPECT_TRUE(absl::IsDeadlineExceeded(first->Await()));
  EXPECT_EQ(batcher->counters().rows_computed, 1);
}

TEST_F(BatcherEnding, ASealedRequestThatExpiresIsAnsweredAtOnceAndItsResultDiscarded) {
  Start(1);
  const auto reply = Ask(3, Within(&clock, absl::Seconds(1)));
  EXPECT_EQ(puppet.AwaitRows(), 3);
  clock.Advance(absl::Seconds(1));
  EXPECT_TRUE(absl::IsDeadlineExceeded(reply->Await()));
  EXPECT_TRUE(reply->payload_alive());  // the worker writes into it
  puppet.ReleaseAll();
  Settle();
  EXPECT_FALSE(reply->payload_alive());
  EXPECT_EQ(reply->times_answered(), 1);
  EXPECT_EQ(batcher->counters().rows_discarded, 3);
}

TEST_F(BatcherEnding, OneExpiredPartEndsTheWholeRequest) {
  BatcherOptions options;
  options.max_batch_rows = 8;
  Start(1, options);
  const auto reply = Ask(20, Within(&clock, absl::Seconds(1)));
  EXPECT_EQ(puppet.AwaitRows(), 8);
  clock.Advance(absl::Seconds(1));
  EXPECT_TRUE(absl::IsDeadlineExceeded(reply->Await()));
  puppet.ReleaseAll();
  Settle();
  EXPECT_EQ(puppet.batches(), 1);
  EXPECT_EQ(batcher->counters().rows_computed, 8);
  EXPECT_EQ(batcher->counters().rows_discarded, 8);
  EXPECT_EQ(batcher->counters().rows_expired, 12);
}

TEST_F(BatcherEnding, TheOtherRowsOfABatchAreAnsweredWhenOneRequestIsCancelled) {
  Start(1);
  const auto busy = Occupy();
  const auto cancelled = Ask(2), kept = Ask(3);
  puppet.Release();
  EXPECT_EQ(puppet.AwaitRows(), 5);
  EXPECT_TRUE(batcher->Cancel(cancelled->id));
  EXPECT_FALSE(kept->answered());
  puppet.ReleaseAll();
  EXPECT_TRUE(kept->Await().ok());
}

TEST_F(BatcherEnding, DoneRunsOnceWhicheverComesFirst) {
  Start(1);
  const auto busy = Occupy();
  const auto expired = Ask(1, Within(&clock, absl::Seconds(1)));
  const auto cancelled = Ask(1, Within(&clock, absl::Seconds(1)));
  const auto result = Ask(1);
  EXPECT_TRUE(batcher->Cancel(cancelled->id));
  EXPECT_FALSE(batcher->Cancel(cancelled->id));
  clock.Advance(absl::Seconds(2));
  EXPECT_TRUE(absl::IsDeadlineExceeded(expired->Await()));
  EXPECT_FALSE(batcher->Cancel(expired->id));
  puppet.ReleaseAll();
  EXPECT_TRUE(result->Await().ok());
  EXPECT_FALSE(batcher->Cancel(result->id));
  batcher->Abandon();
  Settle();
  for (const auto& reply : {busy, expired, cancelled, result}) EXPECT_EQ(reply->times_answered(), 1);
}

// Each `done` takes the pool's lock, which would never come free if it were held: on a worker, on the timer
// thread and in Cancel and Drain.
TEST_F(BatcherEnding, NoDoneRunsUnderTheLock) {
  BatcherOptions options;
  options.max_queue_rows = 3;
  Start(1, options);
  RequestOptions reentrant;
  reentrant.on_done = [this] { EXPECT_GE(batcher->pending_rows(), 0); };
  const auto by_worker = Ask(1, reentrant);
  puppet.AwaitBatch();
  RequestOptions expiring = reentrant, parking = reentrant;
  expiring.deadline = clock.Now() + absl::Seconds(1);
  parking.when_room = true;
  const auto by_timer = Ask(1, expiring), by_cancel = Ask(2, reentrant);
  clock.Advance(absl::Seconds(1));
  EXPECT_TRUE(absl::IsDeadlineExceeded(by_timer->Await()));
  const auto by_drain = Ask(3, parking);
  batcher->Drain();
  EXPECT_TRUE(absl::IsUnavailable(by_drain->Await()));
  EXPECT_TRUE(batcher->Cancel(by_cancel->id));
  puppet.ReleaseAll();
  EXPECT_TRUE(by_worker->Await().ok());
  Settle();
}

TEST_F(BatcherEnding, ADoneMayScheduleAgain) {
  Start(1);
  std::shared_ptr<Reply> second;
  RequestOptions again;
  again.on_done = [&] { second = Ask(2); };
  const auto first = Ask(1, again);
  puppet.ReleaseAll();
  EXPECT_TRUE(first->Await().ok());
  EXPECT_TRUE(second->Await().ok());
}

TEST_F(BatcherEnding, ADoneMayDestroyTheBatcher) {
  Start(1);
  RequestOptions last;
  last.on_done = [this] { batcher.reset(); };
  const auto reply = Ask(1, last), queued = Ask(3);
  puppet.ReleaseAll();
  EXPECT_TRUE(reply->Await().ok());
  EXPECT_TRUE(queued->Await().ok());
}

TEST_F(BatcherEnding, DrainFlushesAtOnceAndRefusesWhatIsNew) {
  BatcherOptions options;
  options.max_queue_delay = absl::Seconds(10);
  Start(1, options);
  const auto reply = Ask(3);
  EXPECT_EQ(batcher->pending_rows(), 3);
  batcher->Drain();
  EXPECT_EQ(puppet.AwaitRows(), 3);
  const auto late = Ask(1);
  EXPECT_TRUE(absl::IsUnavailable(late->admission));
  EXPECT_EQ(RefusalReason(late->admission), "draining");
  puppet.ReleaseAll();
  EXPECT_TRUE(reply->Await().ok());
  Settle();
  EXPECT_EQ(reports()[0].reason, BatchReason::kDrain);
}

TEST_F(BatcherEnding, AbandonAnswersQueuedRunningAndParkedRequestsAtOnce) {
  BatcherOptions options;
  options.max_queue_rows = 4;
  Start(1, options);
  const auto running = Occupy();
  const auto queued = Ask(4);
  RequestOptions when_room;
  when_room.when_room = true;
  const auto parked = Ask(2, when_room);
  batcher->Abandon();
  for (const auto& reply : {running, queued, parked}) {
    EXPECT_TRUE(reply->answered());
    EXPECT_TRUE(absl::IsUnavailable(reply->Await()));
  }
  EXPECT_FALSE(batcher->WaitUntilIdle(clock.Now()));  // its batch still runs
  puppet.ReleaseAll();
  Settle();
  EXPECT_EQ(batcher->counters().rows_abandoned, 4);
  EXPECT_EQ(batcher->counters().rows_discarded, 1);
}

TEST_F(BatcherEnding, WhatADoneOwnsIsFreedBeforeTheBatcherIsIdle) {
  Start(1);
  auto owned = std::make_shared<int>(0);
  const std::weak_ptr<int> freed = owned;
  RequestOptions options;
  options.on_done = [owned = std::move(owned)] { EXPECT_EQ(*owned, 0); };
  const auto reply = Ask(1, options);
  options.on_done = nullptr;
  puppet.ReleaseAll();
  Settle();
  EXPECT_TRUE(reply->answered());
  EXPECT_TRUE(freed.expired());
  EXPECT_FALSE(reply->payload_alive());
}

TEST_F(BatcherEnding, WaitUntilIdleGivesUpAtItsDeadline) {
  Start(1);
  const auto busy = Occupy();
  const absl::Time deadline = clock.Now() + absl::Seconds(3);
  bool idle = true;
  std::thread waiter([&] { idle = batcher->WaitUntilIdle(deadline); });
  clock.AwaitWaiter(deadline);
  clock.Advance(absl::Seconds(3));
  waiter.join();
  EXPECT_FALSE(idle);
}

TEST_F(BatcherEnding, ADestroyedBatchersRowsAreStillComputedAndAnswered) {
  Start(1);
  const auto running = Occupy();
  const auto queued = Ask(7);
  batcher.reset();
  EXPECT_FALSE(queued->answered());
  puppet.ReleaseAll();
  EXPECT_TRUE(queued->Await().ok());
}

TEST_F(BatcherEnding, APoolsEndComputesWhatIsLeft) {
  Start(2);
  const auto running = Ask(1), queued = Ask(300);
  puppet.ReleaseAll();
  batcher.reset();
  EXPECT_TRUE(running->Await().ok());
  running->Send();
  EXPECT_TRUE(queued->Await().ok());
  queued->Send();
  pool.reset();
  EXPECT_EQ(queued->times_answered(), 1);
}

}  // namespace
}  // namespace glowworm
