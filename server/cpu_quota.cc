#include "server/cpu_quota.h"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace glowworm {
namespace {

// The first line of a small file; empty if it cannot be read.
std::string FirstLine(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

// This process's cgroup for v2 (controllers == "") or for v1's "cpu", as "/a/b"; "/" if it is not listed.
std::string OwnCgroup(const std::string& groups, absl::string_view controller) {
  std::ifstream file(groups);
  for (std::string line; std::getline(file, line);) {  // id:controllers:path
    const std::vector<std::string> fields = absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (fields.size() != 3) continue;
    const std::vector<std::string> controllers = absl::StrSplit(fields[1], ',');
    if (std::find(controllers.begin(), controllers.end(), controller) != controllers.end()) return fields[2];
  }
  return "/";
}

// "/a/b" -> "/a/b", "/a", "".
std::vector<std::string> WithParents(std::string path) {
  while (absl::EndsWith(path, "/")) path.pop_back();
  std::vector<std::string> paths = {path};
  while (!path.empty()) {
    path.resize(path.find_last_of('/') == std::string::npos ? 0 : path.find_last_of('/'));
    paths.push_back(path);
  }
  return paths;
}

}  // namespace

std::optional<double> ParseCfsQuota(absl::string_view quota_us, absl::string_view period_us) {
  int64_t quota = 0, period = 0;
  if (!absl::SimpleAtoi(quota_us, &quota) || !absl::SimpleAtoi(period_us, &period)) return std::nullopt;
  if (quota <= 0 || period <= 0) return std::nullopt;
  return static_cast<double>(quota) / static_cast<double>(period);
}

std::optional<double> ParseCpuMax(absl::string_view cpu_max) {
  const std::vector<absl::string_view> fields =
      absl::StrSplit(cpu_max, absl::ByAnyChar(" \t\n"), absl::SkipEmpty());
  if (fields.size() != 2) return std::nullopt;
  return ParseCfsQuota(fields[0], fields[1]);  // "max" is no number
}

int WorkersFor(int cores, std::optional<double> quota) {
  const double allowed = quota.has_value() ? std::min<double>(cores, std::floor(*quota)) : cores;
  return std::max(1, static_cast<int>(allowed));
}

std::optional<double> CgroupQuota(const CgroupFiles& files) {
  std::optional<double> tightest;
  const auto take = [&tightest](std::optional<double> quota) {
    if (quota.has_value() && (!tightest.has_value() || *quota < *tightest)) tightest = quota;
  };
  for (const std::string& path : WithParents(OwnCgroup(files.own, ""))) {
    take(ParseCpuMax(FirstLine(absl::StrCat(files.root, path, "/cpu.max"))));
  }
  for (const std::string& path : WithParents(OwnCgroup(files.own, "cpu"))) {
    const std::string folder = absl::StrCat(files.root, "/cpu", path, "/");
    take(ParseCfsQuota(FirstLine(folder + "cpu.cfs_quota_us"), FirstLine(folder + "cpu.cfs_period_us")));
  }
  return tightest;
}

int DefaultWorkers() {
  return WorkersFor(static_cast<int>(std::thread::hardware_concurrency()), CgroupQuota());
}

}  // namespace glowworm
