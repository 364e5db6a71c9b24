// How many worker threads fit this machine: its cores, or the container's CPU quota if that is less.
// Tested by tests/server/cpu_quota_test.cc, and in a real group by
// tests/e2e/quota_test.py.

#ifndef GLOWWORM_SERVER_CPU_QUOTA_H_
#define GLOWWORM_SERVER_CPU_QUOTA_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace glowworm {

// CPUs that a cgroup v2 `cpu.max` allows ("150000 100000" -> 1.5); nullopt for "max" and for anything
// malformed.
std::optional<double> ParseCpuMax(absl::string_view cpu_max);

// The same from cgroup v1's cpu.cfs_quota_us and cpu.cfs_period_us; a quota of -1 is none.
std::optional<double> ParseCfsQuota(absl::string_view quota_us, absl::string_view period_us);

// The quota rounded down, so that the fraction is left to the threads that serve gRPC and no worker is
// throttled in the middle of a batch; at least 1, at most `cores`.
int WorkersFor(int cores, std::optional<double> quota);

// Where the kernel shows cgroups.
struct CgroupFiles {
  std::string own = "/proc/self/cgroup";  // this process's groups
  std::string root = "/sys/fs/cgroup";    // v2's groups, and v1's below cpu/
};

// The tightest quota on this process's path of groups, in CPUs (v1 and v2); nullopt if there is none.
std::optional<double> CgroupQuota(const CgroupFiles& files = {});

// WorkersFor this process: the cores it may run on, and CgroupQuota().
int DefaultWorkers();

}  // namespace glowworm

#endif  // GLOWWORM_SERVER_CPU_QUOTA_H_
