// Worker counts from cgroup files.

#include "server/cpu_quota.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
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

// A tree of cgroup files as the kernel would show it.
class CgroupTree : public ::testing::Test {
 protected:
  CgroupTree() : root_(::testing::TempDir() + "cgroup_tree") { std::filesystem::remove_all(root_); }
  ~CgroupTree() override { std::filesystem::remove_all(root_); }

  void Put(const std::string& name, const std::string& text) {
    const std::filesystem::path path = root_ / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }
  std::optional<double> Quota() {
    return CgroupQuota({(root_ / "self").string(), (root_ / "groups").string()});
  }

  const std::filesystem::path root_;
};

TEST_F(CgroupTree, WithoutFilesSetsNoQuota) { EXPECT_EQ(Quota(), std::nullopt); }

TEST_F(CgroupTree, OfVersion2CountsTheTightestAncestor) {
  Put("self", "0::/kubepods/pod1/server\n");
  Put("groups/kubepods/pod1/server/cpu.max", "max 100000\n");
  Put("groups/kubepods/pod1/cpu.max", "150000 100000\n");
  Put("groups/kubepods/cpu.max", "400000 100000\n");
  Put("groups/other/cpu.max", "10000 100000\n");
  EXPECT_EQ(Quota(), 1.5);
}

TEST_F(CgroupTree, AsAContainerSeesItsOwnRoot) {
  Put("self", "0::/\n");
  Put("groups/cpu.max", "200000 100000\n");
  EXPECT_EQ(Quota(), 2.0);
}

TEST_F(CgroupTree, OfVersion1IsReadFromItsCpuController) {
  Put("self", "5:memory:/m\n3:cpu,cpuacct:/docker/c\n0::/\n");
  Put("groups/cpu/docker/c/cpu.cfs_quota_us", "50000\n");
  Put("groups/cpu/docker/c/cpu.cfs_period_us", "100000\n");
  Put("groups/cpu/m/cpu.cfs_quota_us", "1000\n");
  Put("groups/cpu/m/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(Quota(), 0.5);
}

TEST(CpuQuota, FitsThisMachine) {
  EXPECT_GE(DefaultWorkers(), 1);
  EXPECT_LE(DefaultWorkers(), static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace
}  // namespace glowworm
