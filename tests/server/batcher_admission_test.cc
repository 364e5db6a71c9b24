// Who gets in: limits on rows and bytes, deadlines, fairness and parking. Each test is one clause of
// server/batcher.h.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "server/compute_estimate.h"
#include "tests/server/batcher_testing.h"

namespace glowworm {
namespace {

using BatcherAdmission = BatcherTest;

BatcherOptions QueueOf(int64_t rows, int64_t max_batch_rows = 256) {
  BatcherOptions options;
  options.max_queue_rows = rows;
  options.max_batch_rows = max_batch_rows;
  return options;
}

RequestOptions Bytes(int64_t bytes) {
  RequestOptions options;
  options.bytes = bytes;
  return options;
}

RequestOptions From(const char* source) {
  RequestOptions options;
  options.source = source;
  return options;
}

RequestOptions WhenRoom(int64_t bytes = 0) {
  RequestOptions options = Bytes(bytes);
  options.when_room = true;
  return options;
}

bool RefusedFor(const Reply& reply, const char* reason) {
  return absl::IsResourceExhausted(reply.admission) && RefusalReason(reply.admission) == reason;
}

TEST_F(BatcherAdmission, ExactlyWhatIsOverTheQueuesRowsIsRefused) {
  Start(1, QueueOf(4));
  const auto busy = Occupy();
  std::vector<std::shared_ptr<Reply>> replies;
  int refused = 0;
  for (int i = 0; i < 4 + 3; ++i) {
    replies.push_back(Ask(1));
    if (RefusedFor(*replies.back(), "queue_rows")) ++refused;
  }
  EXPECT_EQ(refused, 3);
  EXPECT_EQ(batcher->pending_rows(), 4);
}

TEST_F(BatcherAdmission, ARefusedTaskIsUntouched) {
  Start(1, QueueOf(4));
  const auto busy = Occupy();
  const auto reply = Ask(4);
  auto refused = std::make_shared<Reply>();
  std::unique_ptr<Task> task = MakeTask(refused, 2, Bytes(7));
  const Task* const before = task.get();
  TaskId id = 99;
  EXPECT_TRUE(absl::IsResourceExhausted(batcher->Schedule(&task, &id)));
  EXPECT_EQ(task.get(), before);
  EXPECT_EQ(task->rows, 2);
  EXPECT_EQ(task->bytes, 7);
  EXPECT_TRUE(task->payload != nullptr);
  EXPECT_TRUE(task->done != nullptr);
  EXPECT_EQ(id, 99u);
  EXPECT_TRUE(batcher->Cancel(reply->id));  // room again: the same task gets in
  EXPECT_TRUE(batcher->Schedule(&task, &id).ok());
  EXPECT_EQ(task, nullptr);
}

TEST_F(BatcherAdmission, WhatCouldNeverFitIsInvalid) {
  BatcherOptions options = QueueOf(4);
  options.max_queue_bytes = 100;
  Start(1, options, /*max_bytes=*/50);
  EXPECT_TRUE(absl::IsInvalidArgument(Ask(0)->admission));
  EXPECT_TRUE(absl::IsInvalidArgument(Ask(-1)->admission));
  EXPECT_TRUE(absl::IsInvalidArgument(Ask(5)->admission));
  EXPECT_TRUE(absl::IsInvalidArgument(Ask(1, Bytes(51))->admission));
  EXPECT_TRUE(absl::IsInvalidArgument(Ask(1, Bytes(-1))->admission));
  EXPECT_TRUE(absl::IsInvalidArgument(Ask(5, WhenRoom())->admission));
}

TEST_F(BatcherAdmission, OptionsOutOfRangeAreInvalid) {
  Start(1);
  const auto create = [this](BatcherOptions options) {
    options.compute = puppet.compute();
    return Batcher::Create(pool.get(), options).status();
  };
  EXPECT_TRUE(create(QueueOf(1, 1)).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(create(QueueOf(1, 0))));
  EXPECT_TRUE(absl::IsInvalidArgument(create(QueueOf(1, kLadder.back() + 1))));
  EXPECT_TRUE(absl::IsInvalidArgument(create(QueueOf(0, 1))));
  BatcherOptions negative_delay;
  negative_delay.max_queue_delay = absl::Microseconds(-1);
  EXPECT_TRUE(absl::IsInvalidArgument(create(negative_delay)));
  EXPECT_TRUE(absl::IsInvalidArgument(Batcher::Create(pool.get(), BatcherOptions()).status()));
  PoolOptions no_workers;
  no_workers.workers = 0;
  EXPECT_TRUE(absl::IsInvalidArgument(ComputePool::Create(no_workers).status()));
}

TEST_F(BatcherAdmission, SealedRowsMakeRoom) {
  Start(1, QueueOf(4));
  const auto busy = Occupy();
  const auto queued = Ask(4);
  EXPECT_TRUE(RefusedFor(*Ask(1), "queue_rows"));
  puppet.Release();
  EXPECT_EQ(puppet.AwaitRows(), 4);
  EXPECT_TRUE(Ask(4)->admission.ok());
}

TEST_F(BatcherAdmission, BytesStayReservedUntilTheReplyIsSent) {
  BatcherOptions options;
  options.max_queue_bytes = 10;
  Start(1, options);
  puppet.ReleaseAll();
  const auto reply = Ask(1, Bytes(10));
  EXPECT_TRUE(reply->Await().ok());
  Settle();
  EXPECT_EQ(batcher->reserved_bytes(), 10);
  EXPECT_TRUE(RefusedFor(*Ask(1, Bytes(1)), "queue_bytes"));
  reply->Send();
  EXPECT_EQ(batcher->reserved_bytes(), 0);
  EXPECT_TRUE(Ask(1, Bytes(10))->admission.ok());
}

TEST_F(BatcherAdmission, BytesStayReservedWhileARunningBatchHoldsThePayload) {
  Start(1);
  const auto reply = Ask(2, Bytes(10));
  puppet.AwaitBatch();
  EXPECT_TRUE(batcher->Cancel(reply->id));
  reply->Send();
  EXPECT_EQ(batcher->reserved_bytes(), 10);
  puppet.ReleaseAll();
  Settle();
  EXPECT_EQ(batcher->reserved_bytes(), 0);
  EXPECT_EQ(pool->reserved_bytes(), 0);
}

TEST_F(BatcherAdmission, OneBudgetHoldsForTheWholeProcess) {
  Start(1, {}, /*max_bytes=*/15);
  const auto other = Another();
  const auto first = Ask(1, Bytes(10));
  EXPECT_TRUE(RefusedFor(*glowworm::Ask(other.get(), 1, Bytes(6)), "process_bytes"));
  const auto second = glowworm::Ask(other.get(), 1, Bytes(5));
  EXPECT_TRUE(second->admission.ok());
  EXPECT_EQ(pool->reserved_bytes(), 15);
}

TEST_F(BatcherAdmission, ADeadlineThatHasPassedIsRefused) {
  Start(1);
  RequestOptions late;
  late.deadline = clock.Now();
  EXPECT_TRUE(absl::IsDeadlineExceeded(Ask(1, late)->admission));
}

TEST_F(BatcherAdmission, ADeadlineShorterThanTheExpectedWaitIsRefused) {
  Start(1);
  const auto timed = Ask(256);
  puppet.AwaitBatch();
  clock.Advance(absl::Seconds(1));
  puppet.Release();
  EXPECT_TRUE(timed->Await().ok());  // now 256 rows are known to take a second
  const auto running = Ask(256);
  puppet.AwaitBatch();
  const auto queued = Ask(512);  // two seconds
  EXPECT_EQ(batcher->ExpectedWait(), absl::Seconds(2));
  RequestOptions hasty, patient;
  hasty.deadline = clock.Now() + absl::Milliseconds(1999);
  patient.deadline = clock.Now() + absl::Seconds(2);
  const auto refused = Ask(512, hasty), admitted = Ask(512, patient);
  EXPECT_TRUE(absl::IsDeadlineExceeded(refused->admission));
  EXPECT_EQ(RefusalReason(refused->admission), "expected_wait");
  EXPECT_TRUE(admitted->admission.ok());
}

TEST_F(BatcherAdmission, ASmallRequestIsNotRefusedForALargeOneThatTakesTurnsWithIt) {
  Start(1, QueueOf(200000));
  const auto timed = Ask(256);
  puppet.AwaitBatch();
  clock.Advance(absl::Seconds(1));
  puppet.Release();
  EXPECT_TRUE(timed->Await().ok());
  const auto running = Ask(256);
  puppet.AwaitBatch();
  const auto queued = Ask(100000);
  RequestOptions one_batch;
  one_batch.deadline = clock.Now() + absl::Seconds(2);
  EXPECT_TRUE(Ask(1, one_batch)->admission.ok());
}

TEST_F(BatcherAdmission, NothingIsRefusedOnExpectationBeforeABatchWasTimed) {
  BatcherOptions options;
  options.expected_row_compute = absl::Seconds(1);
  Start(1, options);
  const auto busy = Occupy();
  const auto queued = Ask(1000);
  RequestOptions hasty;
  hasty.deadline = clock.Now() + absl::Nanoseconds(1);
  EXPECT_TRUE(Ask(1000, hasty)->admission.ok());
}

TEST_F(BatcherAdmission, AnEmptyQueueRefusesNothingHoweverSlowTheLastBatchWas) {
  Start(1);
  const auto slow = Occupy();
  clock.Advance(absl::Hours(1));
  puppet.Release();
  EXPECT_TRUE(slow->Await().ok());
  RequestOptions hasty;
  hasty.deadline = clock.Now() + absl::Milliseconds(1);
  EXPECT_TRUE(Ask(1, hasty)->admission.ok());
}

TEST_F(BatcherAdmission, ASourceAloneMayFillTheQueue) {
  Start(1, QueueOf(100));
  const auto busy = Occupy();
  for (int i = 0; i < 100; ++i) EXPECT_TRUE(Ask(1)->admission.ok());
}

TEST_F(BatcherAdmission, OnceTheQueueIsHalfFullASourceAboveItsShareIsRefused) {
  Start(1, QueueOf(100));
  const auto busy = Occupy();
  EXPECT_TRUE(Ask(50, From("flood"))->admission.ok());
  EXPECT_TRUE(Ask(1, From("light"))->admission.ok());
  // Three sources are active, with the one that occupies the worker: a share is 33 rows.
  EXPECT_TRUE(RefusedFor(*Ask(1, From("flood")), "fair_share"));
  EXPECT_TRUE(Ask(32, From("light"))->admission.ok());
  EXPECT_TRUE(RefusedFor(*Ask(1, From("light")), "fair_share"));
  EXPECT_TRUE(Ask(17)->admission.ok());
}

TEST_F(BatcherAdmission, BytesAreSharedLikeRows) {
  BatcherOptions options;
  options.max_queue_bytes = 90;
  Start(1, options);
  const auto busy = Occupy();
  const auto ask = [this](const char* source, int64_t bytes) {
    RequestOptions from = From(source);
    from.bytes = bytes;
    return Ask(1, from);
  };
  const auto flood = ask("flood", 45);
  EXPECT_TRUE(flood->admission.ok());
  EXPECT_TRUE(ask("light", 1)->admission.ok());
  // Three sources are active, with the one that occupies the worker: a share is 30 bytes.
  EXPECT_TRUE(RefusedFor(*ask("flood", 1), "fair_share"));
  EXPECT_TRUE(ask("light", 29)->admission.ok());
  EXPECT_TRUE(RefusedFor(*ask("light", 1), "fair_share"));
  // What was computed still counts, until its reply is sent.
  puppet.ReleaseAll();
  EXPECT_TRUE(flood->Await().ok());
  Settle();
  EXPECT_TRUE(RefusedFor(*ask("flood", 1), "fair_share"));
  flood->Send();
  EXPECT_TRUE(ask("flood", 1)->admission.ok());
}

TEST_F(BatcherAdmission, ASourceRefusedForAnothersFloodGetsInNext) {
  Start(1, QueueOf(100, 4));
  const auto busy = Occupy();
  EXPECT_TRUE(Ask(100, From("flood"))->admission.ok());
  EXPECT_TRUE(RefusedFor(*Ask(1, From("light")), "queue_rows"));
  puppet.Release();
  EXPECT_EQ(puppet.AwaitRows(), 4);
  EXPECT_TRUE(RefusedFor(*Ask(1, From("flood")), "fair_share"));
  EXPECT_TRUE(Ask(1, From("light"))->admission.ok());
}

TEST_F(BatcherAdmission, ParkedTasksEnterInTheOrderOfParkingAsRoomAppears) {
  Start(1, QueueOf(4, 4));
  const auto busy = Occupy();
  const auto queued = Ask(4), first = Ask(3, WhenRoom()), second = Ask(1, WhenRoom());
  EXPECT_TRUE(second->admission.ok());
  EXPECT_EQ(batcher->pending_rows(), 4);
  puppet.Release();
  EXPECT_EQ(puppet.AwaitRows(), 4);  // those that were queued
  EXPECT_EQ(batcher->pending_rows(), 4);
  puppet.Release();
  const std::vector<Part> parts = puppet.AwaitBatch();
  ASSERT_EQ(parts.size(), 2u);
  EXPECT_EQ(parts[0].payload, first->payload.lock().get());
  EXPECT_EQ(parts[1].payload, second->payload.lock().get());
}

TEST_F(BatcherAdmission, NoParkedTaskIsOvertakenByALaterOne) {
  Start(1, QueueOf(4));
  const auto busy = Occupy();
  const auto queued = Ask(2), large = Ask(3, WhenRoom()), small = Ask(1, WhenRoom());
  EXPECT_EQ(batcher->pending_rows(), 2);
  EXPECT_TRUE(batcher->Cancel(large->id));
  EXPECT_EQ(batcher->pending_rows(), 3);
}

TEST_F(BatcherAdmission, BytesThatAreGivenBackLetAParkedTaskIn) {
  BatcherOptions options;
  options.max_queue_bytes = 10;
  Start(1, options);
  puppet.ReleaseAll();
  const auto holds = Ask(1, Bytes(10));
  EXPECT_TRUE(holds->Await().ok());
  const auto parked = Ask(1, WhenRoom(10));
  EXPECT_FALSE(parked->answered());
  holds->Send();
  EXPECT_TRUE(parked->Await().ok());
}

TEST_F(BatcherAdmission, ParkedTasksStayWithinTheProcessBudget) {
  Start(1, QueueOf(4), /*max_bytes=*/100);
  const auto other = Another();
  const auto busy = Occupy();
  const auto queued = Ask(4, Bytes(60)), parked = Ask(1, WhenRoom(30));
  EXPECT_TRUE(parked->admission.ok());
  EXPECT_EQ(pool->reserved_bytes(), 90);
  EXPECT_TRUE(RefusedFor(*Ask(1, WhenRoom(11)), "process_bytes"));
  EXPECT_TRUE(RefusedFor(*glowworm::Ask(other.get(), 1, Bytes(11)), "process_bytes"));
  EXPECT_TRUE(Ask(1, WhenRoom(10))->admission.ok());
  EXPECT_TRUE(batcher->Cancel(parked->id));
  EXPECT_EQ(pool->reserved_bytes(), 70);
}

TEST_F(BatcherAdmission, StreamsThatNobodyReadsLeaveHalfOfTheBytes) {
  BatcherOptions options;
  options.max_queue_bytes = 100;
  Start(1, options, /*max_bytes=*/200);
  puppet.ReleaseAll();
  const auto unread = Ask(1, WhenRoom(50)), parked = Ask(1, WhenRoom(50));
  EXPECT_TRUE(unread->Await().ok());
  EXPECT_FALSE(parked->answered());
  EXPECT_TRUE(RefusedFor(*Ask(1, WhenRoom(1)), "process_bytes"));  // half of 200 are theirs
  RequestOptions other = From("other");
  other.bytes = 50;
  EXPECT_TRUE(Ask(1, other)->admission.ok());
  unread->Send();
  EXPECT_TRUE(parked->Await().ok());
}

TEST_F(BatcherAdmission, ASourceThatIsAloneMayHoldHalfOfTheBytes) {
  BatcherOptions options;
  options.max_queue_bytes = 100;
  Start(1, options);
  puppet.ReleaseAll();
  const auto ask = [this](const char* source, int64_t bytes) {
    RequestOptions from = From(source);
    from.bytes = bytes;
    return Ask(1, from);
  };
  const auto unread = ask("slow", 50);
  EXPECT_TRUE(unread->Await().ok());
  EXPECT_TRUE(RefusedFor(*ask("slow", 1), "fair_share"));
  EXPECT_TRUE(ask("other", 50)->admission.ok());
}

TEST_F(BatcherAdmission, AParkedTaskIsCountedOnceWhenItEnters) {
  Start(1, QueueOf(4), /*max_bytes=*/100);
  const auto busy = Occupy();
  const auto queued = Ask(4), parked = Ask(1, WhenRoom(60));
  EXPECT_EQ(batcher->reserved_bytes(), 0);
  puppet.ReleaseAll();
  EXPECT_TRUE(parked->Await().ok());
  Settle();
  EXPECT_EQ(batcher->reserved_bytes(), 60);
  EXPECT_EQ(pool->reserved_bytes(), 60);
  parked->Send();
  EXPECT_EQ(pool->reserved_bytes(), 0);
}

TEST_F(BatcherAdmission, AParkedTaskExpiresAndHoldsNothing) {
  Start(1, QueueOf(4));
  const auto busy = Occupy();
  const auto queued = Ask(4);
  RequestOptions options = WhenRoom(10);
  options.deadline = clock.Now() + absl::Seconds(1);
  const auto parked = Ask(1, options);
  EXPECT_EQ(batcher->reserved_bytes(), 0);
  clock.Advance(absl::Seconds(1));
  EXPECT_TRUE(absl::IsDeadlineExceeded(parked->Await()));
  EXPECT_FALSE(batcher->Cancel(parked->id));
  EXPECT_EQ(pool->reserved_bytes(), 0);
}

TEST_F(BatcherAdmission, DrainEndsParkedTasks) {
  Start(1, QueueOf(4));
  const auto busy = Occupy();
  const auto queued = Ask(4), parked = Ask(1, WhenRoom());
  batcher->Drain();
  EXPECT_TRUE(parked->answered());
  EXPECT_TRUE(absl::IsUnavailable(parked->Await()));
  EXPECT_FALSE(queued->answered());
}

}  // namespace
}  // namespace glowworm
