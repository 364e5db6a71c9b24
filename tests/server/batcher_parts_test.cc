// The batcher's parts by themselves: list, heap, estimate, shares, fake clock.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "server/compute_estimate.h"
#include "server/deadline_heap.h"
#include "server/fair_share.h"
#include "server/intrusive_list.h"
#include "tests/testing/fake_clock.h"

namespace glowworm {
namespace {

struct Element {
  int value = 0;
  absl::Time deadline;
  ListHook<Element> hook;
  int64_t slot = -1;
};

using List = IntrusiveList<Element, &Element::hook>;
using Heap = DeadlineHeap<Element, &Element::slot>;

std::vector<int> Drained(List* list) {
  std::vector<int> values;
  while (Element* element = list->front()) {
    values.push_back(element->value);
    list->Remove(element);
  }
  return values;
}

TEST(IntrusiveList, RemovesFromFrontMiddleAndBack) {
  Element elements[5];
  List list;
  for (int i = 0; i < 5; ++i) {
    elements[i].value = i;
    list.PushBack(&elements[i]);
  }
  list.Remove(&elements[0]);
  list.Remove(&elements[2]);
  list.Remove(&elements[4]);
  EXPECT_EQ(list.size(), 2);
  list.PushBack(&elements[0]);
  list.MoveToBack(&elements[1]);
  EXPECT_THAT(Drained(&list), ::testing::ElementsAre(3, 0, 1));
  EXPECT_TRUE(list.empty());
}

TEST(DeadlineHeap, TheEarliestIsOnTopWhateverIsRemoved) {
  std::mt19937 random(1);
  std::vector<Element> elements(500);
  std::vector<Element*> inside;
  Heap heap;
  for (int step = 0; step < 20000; ++step) {
    Element* element = &elements[random() % elements.size()];
    if (element->slot < 0) {
      element->deadline = absl::FromUnixSeconds(random() % 100);
      heap.Push(element);
      inside.push_back(element);
    } else {
      heap.Remove(element);
      inside.erase(std::find(inside.begin(), inside.end(), element));
    }
    absl::Time earliest = absl::InfiniteFuture();
    for (const Element* other : inside) earliest = std::min(earliest, other->deadline);
    ASSERT_EQ(heap.earliest(), earliest) << "step " << step;
  }
}

TEST(DeadlineHeap, ElementsWithoutADeadlineStayOutside) {
  Element element;
  element.deadline = absl::InfiniteFuture();
  Heap heap;
  heap.Push(&element);
  EXPECT_TRUE(heap.empty());
  heap.Remove(&element);
  EXPECT_EQ(heap.earliest(), absl::InfiniteFuture());
}

TEST(ComputeEstimate, RowsAreRoundedUpToTheLadder) {
  EXPECT_EQ(RoundUpToLadder(1), 1);
  EXPECT_EQ(RoundUpToLadder(3), 4);
  EXPECT_EQ(RoundUpToLadder(17), 24);
  EXPECT_EQ(RoundUpToLadder(193), 256);
  EXPECT_EQ(RoundUpToLadder(256), 256);
  EXPECT_EQ(RoundUpToLadder(257), 512);
  EXPECT_EQ(RoundUpToLadder(100000), 1024);
}

TEST(ComputeEstimate, AtLeastNeverScalesUpFromSmallerBatches) {
  ComputeEstimate estimate(absl::Seconds(1));
  EXPECT_EQ(estimate.AtLeast(256), absl::ZeroDuration());
  estimate.Record(8, absl::Milliseconds(2));
  EXPECT_EQ(estimate.AtLeast(256), absl::Milliseconds(2));
  EXPECT_EQ(estimate.AtLeast(4), absl::ZeroDuration());
  estimate.Record(256, absl::Milliseconds(10));
  EXPECT_EQ(estimate.AtLeast(256), absl::Milliseconds(10));
  EXPECT_EQ(estimate.AtLeast(192), absl::Milliseconds(2));
}

TEST(ComputeEstimate, ExpectedScalesUpWhereNothingLargerWasTimed) {
  ComputeEstimate estimate(absl::Milliseconds(1));
  EXPECT_EQ(estimate.Expected(7), absl::Milliseconds(7));
  estimate.Record(8, absl::Milliseconds(2));
  EXPECT_EQ(estimate.Expected(3), absl::Milliseconds(2));
  EXPECT_EQ(estimate.Expected(32), absl::Milliseconds(8));
}

TEST(ComputeEstimate, FollowsAChangeOfPaceWithinAFewBatches) {
  ComputeEstimate estimate(absl::ZeroDuration());
  estimate.Record(16, absl::Seconds(10));
  for (int i = 0; i < 40; ++i) estimate.Record(16, absl::Milliseconds(1));
  // What is left of the outlier: 10 s * (3/4)^40 = 0.1 ms.
  EXPECT_LT(estimate.AtLeast(16), absl::Microseconds(1101));
  EXPECT_GT(estimate.AtLeast(16), absl::Milliseconds(1));
}

TEST(FairShare, ASourceIsActiveForAWhileAfterItAsked) {
  FairShare sources;
  const absl::Time start = absl::FromUnixSeconds(1000);
  sources.Ask("light", start);
  FairShare::Source* flood = sources.Ask("flood", start + absl::Seconds(5));
  EXPECT_EQ(sources.active(), 2);
  EXPECT_EQ(sources.Share(100), 50);
  sources.Ask("flood", start + FairShare::kMemory - absl::Nanoseconds(1));
  EXPECT_EQ(sources.active(), 2);
  EXPECT_EQ(sources.Ask("flood", start + FairShare::kMemory), flood);
  EXPECT_EQ(sources.active(), 1);
  EXPECT_EQ(sources.Share(100), 100);
}

TEST(FairShare, ASourceWithRowsIsNeverForgotten) {
  FairShare sources;
  const absl::Time start = absl::FromUnixSeconds(1000);
  FairShare::Source* waiting = sources.Ask("waiting", start);
  waiting->rows = 3;
  for (int i = 0; i < 3 * FairShare::kMaxIdleSources; ++i)
    sources.Ask(std::to_string(i), start + absl::Hours(1));
  EXPECT_EQ(sources.Ask("waiting", start + absl::Hours(2)), waiting);
  EXPECT_EQ(waiting->rows, 3);
}

TEST(FairShare, ManySourcesTakeBoundedMemory) {
  FairShare sources;
  const absl::Time now = absl::FromUnixSeconds(1000);
  for (int i = 0; i < 3 * FairShare::kMaxIdleSources; ++i) sources.Ask(std::to_string(i), now);
  EXPECT_LE(sources.active(), FairShare::kMaxIdleSources + 1);
  EXPECT_GE(sources.Share(100), 1);
}

TEST(FakeClock, AdvanceWakesAThreadWhoseDeadlineHasCome) {
  FakeClock clock;
  Mutex mutex;
  CondVar cv;
  const absl::Time deadline = clock.Now() + absl::Seconds(5);
  absl::Time woken;
  std::thread waiter([&] {
    MutexLock lock(&mutex);
    while (clock.Now() < deadline) clock.WaitUntil(&cv, &mutex, deadline);
    woken = clock.Now();
  });
  clock.AwaitWaiter(deadline);
  clock.Advance(absl::Seconds(4));
  clock.AwaitWaiter(deadline);
  clock.Advance(absl::Seconds(1));
  waiter.join();
  EXPECT_EQ(woken, deadline);
}

TEST(RealClock, WaitsUntilAboutTheDeadline) {
  Mutex mutex;
  CondVar cv;
  const absl::Time deadline = RealClock()->Now() + absl::Milliseconds(2);
  MutexLock lock(&mutex);
  while (RealClock()->Now() < deadline) RealClock()->WaitUntil(&cv, &mutex, deadline);
  EXPECT_GE(RealClock()->Now(), deadline);
}

TEST(RealClock, ReturnsAtOnceWhenTheDeadlineHasPassed) {
  Mutex mutex;
  CondVar cv;
  MutexLock lock(&mutex);
  RealClock()->WaitUntil(&cv, &mutex, absl::InfinitePast());
  RealClock()->WaitUntil(&cv, &mutex, RealClock()->Now());
  EXPECT_LT(RealClock()->Now(), absl::InfiniteFuture());
}

}  // namespace
}  // namespace glowworm
