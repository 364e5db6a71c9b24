// A batch that fails, as it does on a device that fails: whom it ends, how they are counted, and who never
// notices.

#include <gtest/gtest.h>

#include "tests/server/batcher_testing.h"

namespace glowworm {
namespace {

class BatcherFailure : public BatcherTest {
 protected:
  // Batches of eight rows.
  void StartWithEights(int workers) {
    BatcherOptions options;
    options.max_batch_rows = 8;
    Start(workers, options);
  }
  // Lets the batch go that runs, with a failure.
  void Fail() { puppet.ReleaseWith(lost_); }

  const absl::Status lost_ = absl::InternalError("the device is lost");
};

TEST_F(BatcherFailure, EveryRequestOfAFailedBatchIsAnsweredWithItsStatus) {
  Start(1);
  const auto busy = Occupy();
  const auto first = Ask(2), second = Ask(3);
  puppet.Release();
  EXPECT_EQ(puppet.AwaitRows(), 5);
  Fail();
  EXPECT_TRUE(busy->Await().ok());
  EXPECT_EQ(first->Await(), lost_);
  EXPECT_EQ(second->Await(), lost_);
  Settle();
  EXPECT_EQ(first->times_answered(), 1);
  EXPECT_EQ(second->times_answered(), 1);
  EXPECT_EQ(batcher->counters().rows_failed, 5);
  EXPECT_EQ(batcher->counters().rows_computed, 1);
}

TEST_F(BatcherFailure, TheBatchesBeforeAndAfterAreUnaffected) {
  Start(1);
  const auto before = Occupy();
  const auto failed = Ask(4);
  puppet.Release();
  EXPECT_EQ(puppet.AwaitRows(), 4);
  const auto after = Ask(6);
  Fail();
  EXPECT_EQ(puppet.AwaitRows(), 6);
  puppet.Release();
  EXPECT_TRUE(before->Await().ok());
  EXPECT_EQ(failed->Await(), lost_);
  EXPECT_TRUE(after->Await().ok());
  Settle();
  EXPECT_EQ(batcher->counters().batches, 3);
}

TEST_F(BatcherFailure, ARequestEndsWithItsFirstFailedPartAndItsOtherRowsAreNotComputed) {
  StartWithEights(1);
  const auto reply = Ask(20);
  EXPECT_EQ(puppet.AwaitRows(), 8);
  Fail();
  EXPECT_EQ(reply->Await(), lost_);
  Settle();
  EXPECT_EQ(puppet.batches(), 1);
  EXPECT_EQ(batcher->counters().rows_failed, 20);
  EXPECT_EQ(batcher->pending_rows(), 0);
}

TEST_F(BatcherFailure, PartsThatStillRunKeepTheRowsAndTellNobody) {
  StartWithEights(2);
  const auto reply = Ask(16);
  EXPECT_EQ(puppet.AwaitRows(), 8);
  EXPECT_EQ(puppet.AwaitRows(), 8);
  Fail();
  EXPECT_EQ(reply->Await(), lost_);
  EXPECT_TRUE(reply->payload_alive());  // the other worker writes into it
  Fail();
  Settle();
  EXPECT_FALSE(reply->payload_alive());
  EXPECT_EQ(reply->times_answered(), 1);
  EXPECT_EQ(batcher->counters().rows_failed, 16);
  EXPECT_EQ(batcher->counters().rows_discarded, 0);
}

TEST_F(BatcherFailure, ARequestThatWasCancelledMeanwhileStaysCancelled) {
  Start(1);
  const auto cancelled = Ask(2);
  EXPECT_EQ(puppet.AwaitRows(), 2);
  EXPECT_TRUE(batcher->Cancel(cancelled->id));
  Fail();
  Settle();
  EXPECT_TRUE(absl::IsCancelled(cancelled->Await()));
  EXPECT_EQ(cancelled->times_answered(), 1);
}

// Whatever code a failure has, its rows are counted as failed.
TEST_F(BatcherFailure, ItsCodeIsNotTakenForAnExpiryOrACancel) {
  StartWithEights(1);
  for (const absl::StatusCode code :
       {absl::StatusCode::kDeadlineExceeded, absl::StatusCode::kCancelled, absl::StatusCode::kUnavailable}) {
    const auto reply = Ask(12);
    puppet.AwaitBatch();
    puppet.ReleaseWith(absl::Status(code, "of the device"));
    EXPECT_EQ(reply->Await().code(), code);
  }
  Settle();
  const BatcherCounters counters = batcher->counters();
  EXPECT_EQ(counters.rows_failed, 36);
  EXPECT_EQ(counters.rows_expired + counters.rows_cancelled + counters.rows_abandoned, 0);
}

// A device that fails at once must not make the queue look fast.
TEST_F(BatcherFailure, ItsTimeIsNotTakenForAnEstimate) {
  Start(1);
  const auto reply = Ask(4);
  puppet.AwaitBatch();
  clock.Advance(absl::Milliseconds(3));
  Fail();
  EXPECT_EQ(reply->Await(), lost_);
  Settle();
  const auto next = Occupy();
  const auto waiting = Ask(5);
  EXPECT_EQ(batcher->ExpectedWait(), absl::ZeroDuration());  // no batch has been timed
}

}  // namespace
}  // namespace glowworm
