// Worker counts from cgroup files.

#include "server/cpu_quota.h"

#include <gtest/gtest.h>

#include <thread>

namespace glowworm {
namespace {

TEST(CpuQuota, ReadsCgroupV2) {
  EXPECT_EQ(ParseCpuMax("150000 100000\n"), 1.5);
  EXPECT_EQ(ParseCpuMax("400000 100000"), 4.0);
  EXPECT_EQ(ParseCpuMax("max 100000"), std::nullopt);
}

TEST(CpuQuota, ReadsCgroupV1) {
  EXPECT_EQ(ParseCfsQuota("50000", "100000"), 0.5);
  EXPECT_EQ(ParseCfsQuota("-1", "100000"), std::nullopt);
}

TEST(CpuQuota, TakesMalformedFilesForNoQuota) {
  for (const char* text :
       {"", "100000", "100000 0", "0 100000", "-5 100000", "1 2 3", "1.5 2", "nan 100000"}) {
    EXPECT_EQ(ParseCpuMax(text), std::nullopt) << text;
  }
  EXPECT_EQ(ParseCfsQuota("99999999999999999999", "100000"), std::nullopt);
  EXPECT_EQ(ParseCfsQuota("100000", ""), std::nullopt);
}

TEST(CpuQuota, LeavesTheFractionOfACpuToTheServingThreads) {
  EXPECT_EQ(WorkersFor(8, std::nullopt), 8);
  EXPECT_EQ(WorkersFor(8, 2.9), 2);
  EXPECT_EQ(WorkersFor(8, 0.5), 1);
  EXPECT_EQ(WorkersFor(2, 16.0), 2);
  EXPECT_EQ(WorkersFor(8, 1e18), 8);
  EXPECT_EQ(WorkersFor(0, std::nullopt), 1);
}

TEST(CpuQuota, FitsThisMachine) {
  EXPECT_GE(DefaultWorkers(), 1);
  EXPECT_LE(DefaultWorkers(), static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace
}  // namespace glowworm
