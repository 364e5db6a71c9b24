// Who goes when: batches, tiles, turns and delays. Each test is one clause of server/batcher.h.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "tests/server/batcher_testing.h"

namespace glowworm {
namespace {

using BatcherDispatch = BatcherTest;
using ::testing::ElementsAre;

BatcherOptions Delayed(absl::Duration delay, int64_t max_batch_rows = 256) {
  BatcherOptions options;
  options.max_queue_delay = delay;
  options.max_batch_rows = max_batch_rows;
  return options;
}

std::vector<int64_t> PartRows(const std::vector<Part>& parts) {
  std::vector<int64_t> rows;
  for (const Part& part : parts) rows.push_back(part.rows);
  return rows;
}

bool Holds(const std::vector<Part>& parts, const Reply& reply) {
  for (const Part& part : parts) {
    if (part.payload == reply.payload.lock().get()) return true;
  }
  return false;
}

TEST_F(BatcherDispatch, ABatchLeavesAtOnceWhileAWorkerIsIdle) {
  Start(1);
  const auto reply = Ask(3);
  EXPECT_EQ(puppet.AwaitRows(), 3);
  puppet.ReleaseAll();
  EXPECT_TRUE(reply->Await().ok());
}

TEST_F(BatcherDispatch, RowsGatherWhileAllWorkersAreBusy) {
  Start(1);
  const auto first = Occupy();
  const auto a = Ask(2), b = Ask(3), c = Ask(4);
  EXPECT_EQ(batcher->pending_rows(), 9);
  puppet.Release();
  EXPECT_THAT(PartRows(puppet.AwaitBatch()), ElementsAre(2, 3, 4));
}

TEST_F(BatcherDispatch, ALargeRequestIsCutIntoATileForEachIdleWorker) {
  Start(2);
  const auto reply = Ask(64);
  EXPECT_EQ(puppet.AwaitRows(), 32);
  EXPECT_EQ(puppet.AwaitRows(), 32);
}

TEST_F(BatcherDispatch, TilesAreRoundedUpOnTheLadder) {
  Start(3);
  const auto reply = Ask(100);
  // 100 / 3 -> 34 -> 48, then 52 / 2 -> 26 -> 32, then the rest. The workers may show them in any order.
  const std::vector<int64_t> tiles = {puppet.AwaitRows(), puppet.AwaitRows(), puppet.AwaitRows()};
  EXPECT_THAT(tiles, ::testing::UnorderedElementsAre(48, 32, 20));
}

TEST_F(BatcherDispatch, NoBatchIsLargerThanTheLimit) {
  BatcherOptions options;
  options.max_batch_rows = 5;
  Start(1, options);
  const auto reply = Ask(12);
  puppet.ReleaseAll();
  EXPECT_EQ(puppet.AwaitRows(), 5);
  EXPECT_EQ(puppet.AwaitRows(), 5);
  EXPECT_EQ(puppet.AwaitRows(), 2);
}

TEST_F(BatcherDispatch, PartsAreJoinedAndAnsweredOnceAfterTheLast) {
  Start(2);
  const auto reply = Ask(64);
  puppet.AwaitBatch();
  puppet.AwaitBatch();
  const std::shared_ptr<Rows> rows(reply->payload);
  puppet.Release();
  const auto next = Ask(1);
  puppet.AwaitBatch();  // by the worker that was released: it has handed in its part of the first request
  EXPECT_FALSE(reply->answered());
  puppet.ReleaseAll();
  EXPECT_TRUE(reply->Await().ok());
  Settle();
  EXPECT_EQ(reply->times_answered(), 1);
  EXPECT_THAT(rows->times_computed, ::testing::Each(1));
}

TEST_F(BatcherDispatch, OneRowDoesNotWaitForAWholeLargeRequest) {
  BatcherOptions options;
  options.max_queue_rows = 200000;
  Start(1, options);
  const auto first = Occupy();
  const auto large = Ask(100000);
  const auto small = Ask(1);
  puppet.Release();
  EXPECT_TRUE(Holds(puppet.AwaitBatch(), *small));
  puppet.Release();
  EXPECT_TRUE(small->Await().ok());
  EXPECT_FALSE(large->answered());
}

TEST_F(BatcherDispatch, WaitingRequestsGiveRowsInTurns) {
  Start(1);
  const auto first = Occupy();
  std::vector<std::shared_ptr<Reply>> replies;
  for (int i = 0; i < 8; ++i) replies.push_back(Ask(1000));
  puppet.Release();
  const std::vector<Part> one = puppet.AwaitBatch();
  EXPECT_THAT(PartRows(one), ElementsAre(64, 64, 64, 64));
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(Holds(one, *replies[i]));
  puppet.Release();
  const std::vector<Part> two = puppet.AwaitBatch();
  EXPECT_THAT(PartRows(two), ElementsAre(64, 64, 64, 64));
  for (int i = 4; i < 8; ++i) EXPECT_TRUE(Holds(two, *replies[i]));
}

TEST_F(BatcherDispatch, ARequestsRowsAreOnePartOfABatch) {
  Start(1);
  const auto first = Occupy();
  const auto large = Ask(200), small = Ask(10);
  puppet.Release();
  EXPECT_THAT(PartRows(puppet.AwaitBatch()), ElementsAre(200, 10));
}

TEST_F(BatcherDispatch, ATurnCutShortByAFullBatchGoesOnInTheNext) {
  BatcherOptions options;
  options.max_batch_rows = 8;  // turns of 2
  Start(1, options);
  const auto first = Occupy();
  std::vector<std::shared_ptr<Reply>> replies;
  replies.push_back(Ask(1));
  for (int i = 0; i < 4; ++i) replies.push_back(Ask(2));
  puppet.Release();
  EXPECT_THAT(PartRows(puppet.AwaitBatch()), ElementsAre(1, 2, 2, 2, 1));
  const auto late = Ask(2);
  puppet.Release();
  const std::vector<Part> next = puppet.AwaitBatch();
  EXPECT_THAT(PartRows(next), ElementsAre(1, 2));
  EXPECT_EQ(next[0].payload, replies[4]->payload.lock().get());
}

TEST_F(BatcherDispatch, AFreeWorkerTakesTheBatcherWhoseHeadRowIsOldest) {
  Start(1);
  const auto other = Another();
  const auto first = Occupy();
  const auto older = glowworm::Ask(other.get(), 1);
  const auto younger = Ask(1);
  puppet.Release();
  EXPECT_TRUE(Holds(puppet.AwaitBatch(), *older));
  puppet.Release();
  EXPECT_TRUE(Holds(puppet.AwaitBatch(), *younger));
}

TEST_F(BatcherDispatch, ALargeRequestDoesNotHoldUpAnotherBatchersRow) {
  Start(1);
  const auto other = Another();
  const auto first = Occupy();
  const auto large = Ask(10000);
  const auto small = glowworm::Ask(other.get(), 1);
  puppet.Release();
  EXPECT_TRUE(Holds(puppet.AwaitBatch(), *large));
  puppet.Release();
  EXPECT_TRUE(Holds(puppet.AwaitBatch(), *small));
}

TEST_F(BatcherDispatch, RowsAreHeldUpToTheDelayAlthoughAWorkerIsIdle) {
  Start(1, Delayed(absl::Milliseconds(10)));
  const absl::Time leaves = clock.Now() + absl::Milliseconds(10);
  const auto a = Ask(1);
  clock.AwaitWaiter(leaves);
  clock.Advance(absl::Milliseconds(9));
  const auto b = Ask(2);
  EXPECT_EQ(batcher->pending_rows(), 3);
  clock.Advance(absl::Milliseconds(1));
  EXPECT_EQ(puppet.AwaitRows(), 3);
  puppet.ReleaseAll();
  EXPECT_TRUE(a->Await().ok());
  EXPECT_EQ(reports()[0].reason, BatchReason::kDelay);
  EXPECT_EQ(reports()[0].oldest_wait, absl::Milliseconds(10));
  EXPECT_EQ(reports()[0].parts, 2);
}

TEST_F(BatcherDispatch, AFullBatchLeavesBeforeTheDelay) {
  Start(1, Delayed(absl::Seconds(1), 8));
  const auto a = Ask(5);
  EXPECT_EQ(batcher->pending_rows(), 5);
  const auto b = Ask(3);
  EXPECT_EQ(puppet.AwaitRows(), 8);
  puppet.ReleaseAll();
  EXPECT_TRUE(b->Await().ok());
  EXPECT_EQ(reports()[0].reason, BatchReason::kFull);
}

TEST_F(BatcherDispatch, AFullBatchIsSharedAmongIdleWorkers) {
  Start(2, Delayed(absl::Seconds(1), 8));
  const auto a = Ask(8);
  EXPECT_EQ(puppet.AwaitRows(), 4);
  EXPECT_EQ(puppet.AwaitRows(), 4);
}

TEST_F(BatcherDispatch, TheRestGoesOnGatheringWhenAFullBatchLeaves) {
  Start(1, Delayed(absl::Seconds(1), 8));
  const absl::Time leaves = clock.Now() + absl::Seconds(1);
  const auto a = Ask(11);
  EXPECT_EQ(puppet.AwaitRows(), 8);
  puppet.Release();
  clock.AwaitWaiter(leaves);
  EXPECT_EQ(batcher->pending_rows(), 3);
  clock.Advance(absl::Seconds(1));
  EXPECT_EQ(puppet.AwaitRows(), 3);
}

TEST_F(BatcherDispatch, AReleasedBatchTakesAlongWhatComesBeforeAWorkerIsFree) {
  Start(1, Delayed(absl::Seconds(1), 8));
  const auto busy = Ask(8);
  puppet.AwaitBatch();
  const absl::Time leaves = clock.Now() + absl::Seconds(1);
  const auto a = Ask(2);
  clock.AwaitWaiter(leaves);
  clock.Advance(absl::Seconds(1));
  clock.AwaitWaiter(
      absl::InfiniteFuture());  // the timer has released the two rows and has nothing left to do
  const auto b = Ask(3);
  puppet.Release();
  EXPECT_EQ(puppet.AwaitRows(), 5);
}

TEST_F(BatcherDispatch, ABatchLeavesBeforeTheEarliestDeadlineMinusTheExpectedCompute) {
  BatcherOptions options = Delayed(absl::Seconds(1));
  options.expected_row_compute = absl::Milliseconds(1);
  Start(1, options);
  const absl::Time start = clock.Now();
  const auto patient = Ask(3);
  RequestOptions urgent;
  urgent.deadline = start + absl::Milliseconds(50);
  const auto hasty = Ask(1, urgent);
  clock.AwaitWaiter(start + absl::Milliseconds(46));  // 4 rows take 4 ms
  EXPECT_EQ(batcher->pending_rows(), 4);
  clock.Advance(absl::Milliseconds(46));
  EXPECT_EQ(puppet.AwaitRows(), 4);
  puppet.ReleaseAll();
  EXPECT_TRUE(hasty->Await().ok());
  EXPECT_EQ(reports()[0].reason, BatchReason::kDeadline);
}

TEST_F(BatcherDispatch, ReportsSayWhyABatchLeftAndWhatItTook) {
  BatcherOptions options;
  options.max_batch_rows = 4;
  Start(1, options);
  const auto first = Occupy();
  const auto second = Ask(4);
  clock.Advance(absl::Milliseconds(7));
  puppet.Release();
  puppet.AwaitBatch();
  puppet.ReleaseAll();
  EXPECT_TRUE(second->Await().ok());
  Settle();
  ASSERT_EQ(reports().size(), 2u);
  EXPECT_EQ(reports()[0].reason, BatchReason::kIdleWorker);
  EXPECT_EQ(reports()[0].compute, absl::Milliseconds(7));
  EXPECT_EQ(reports()[1].reason, BatchReason::kFull);
  EXPECT_EQ(reports()[1].rows, 4);
  EXPECT_EQ(reports()[1].oldest_wait, absl::Milliseconds(7));
}

TEST_F(BatcherDispatch, TimingTellsTheWaitAndTheLongestBatch) {
  Start(1);
  const auto first = Occupy();
  const auto reply = Ask(2);
  clock.Advance(absl::Milliseconds(5));
  puppet.Release();
  puppet.AwaitBatch();
  clock.Advance(absl::Milliseconds(3));
  puppet.Release();
  EXPECT_TRUE(reply->Await().ok());
  EXPECT_EQ(reply->timing().queued, absl::Milliseconds(5));
  EXPECT_EQ(reply->timing().compute, absl::Milliseconds(3));
}

}  // namespace
}  // namespace glowworm
