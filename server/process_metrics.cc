// Read from /proc, getrusage and getrlimit at each scrape.

#include "server/process_metrics.h"

#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <system_error>

namespace glowworm {
namespace {

void Append(const char* name, const char* help, prometheus::MetricType type, double value,
            std::vector<prometheus::MetricFamily>* out) {
  prometheus::ClientMetric metric;
  (type == prometheus::MetricType::Counter ? metric.counter.value : metric.gauge.value) = value;
  out->push_back(prometheus::MetricFamily{name, help, type, {metric}});
}

double Seconds(const timeval& t) {
  return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
}

double Now() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

const double kStartTime = Now();

}  // namespace

void AppendProcessMetrics(std::vector<prometheus::MetricFamily>* out) {
  using prometheus::MetricType;
  int64_t pages = 0, resident_pages = 0;
  if (std::ifstream("/proc/self/statm") >> pages >> resident_pages) {
    const double page = static_cast<double>(sysconf(_SC_PAGESIZE));
    Append("process_resident_memory_bytes", "Resident memory", MetricType::Gauge,
           page * static_cast<double>(resident_pages), out);
    Append("process_virtual_memory_bytes", "Virtual memory", MetricType::Gauge,
           page * static_cast<double>(pages), out);
  }
  rusage usage;
  if (getrusage(RUSAGE_SELF, &usage) == 0) {
    Append("process_cpu_seconds_total", "User and system time", MetricType::Counter,
           Seconds(usage.ru_utime) + Seconds(usage.ru_stime), out);
  }
  std::error_code error;
  const auto descriptors = std::filesystem::directory_iterator("/proc/self/fd", error);
  if (!error) {
    Append("process_open_fds", "Open file descriptors", MetricType::Gauge,
           static_cast<double>(std::distance(begin(descriptors), end(descriptors))), out);
  }
  rlimit limit;
  if (getrlimit(RLIMIT_NOFILE, &limit) == 0) {
    Append("process_max_fds", "File descriptors that may be open", MetricType::Gauge,
           static_cast<double>(limit.rlim_cur), out);
  }
  Append("process_start_time_seconds", "Start, in seconds since 1970", MetricType::Gauge, kStartTime, out);
}

}  // namespace glowworm
