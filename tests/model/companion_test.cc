// model/cpu/companion.h: both halves of every work are done, each once, wherever.

#include "model/cpu/companion.h"

#include <atomic>
#include <thread>
#include <vector>

#include "gtest/gtest.h"

namespace glowworm {
namespace {

// Many small works, whose halves write to memory of their own.
void ShareMany(Companion* companion, int works) {
  for (int i = 0; i < works; ++i) {
    int done[2] = {0, 0};
    companion->Share([&](int part, bool) { done[part] += 1; });
    ASSERT_EQ(done[0], 1);
    ASSERT_EQ(done[1], 1);
  }
}

TEST(CompanionTest, EachHalfIsDoneOnce) {
  Companion companion;
  const Companion::Lease lease(&companion);
  ASSERT_EQ(lease.get(), &companion);
  ShareMany(lease.get(), 20000);
}

TEST(CompanionTest, TheOtherThreadTakesPart) {
  Companion companion;
  const Companion::Lease lease(&companion);
  std::atomic<bool> there{false};
  // The first half lasts until the second has begun, which can only be there.
  lease.get()->Share([&](int part, bool on_companion) {
    if (part == 1) {
      there = on_companion;
      return;
    }
    while (!there) std::this_thread::yield();
  });
  EXPECT_TRUE(there);
}

TEST(CompanionTest, OneThreadHasItAtATime) {
  Companion companion;
  {
    const Companion::Lease first(&companion);
    const Companion::Lease second(&companion);
    EXPECT_NE(first.get(), nullptr);
    EXPECT_EQ(second.get(), nullptr);
  }
  const Companion::Lease third(&companion);
  EXPECT_NE(third.get(), nullptr);
}

TEST(CompanionTest, ANullCompanionGivesAnEmptyLease) { EXPECT_EQ(Companion::Lease(nullptr).get(), nullptr); }

TEST(CompanionTest, LeasesMayComeFromManyThreads) {
  Companion companion;
  std::atomic<int> leases{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 3; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 300; ++i) {
        const Companion::Lease lease(&companion);
        if (lease.get() == nullptr) continue;
        ++leases;
        ShareMany(lease.get(), 5);
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_GT(leases, 0);
}

}  // namespace
}  // namespace glowworm
