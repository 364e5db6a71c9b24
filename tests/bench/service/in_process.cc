// glowworm-in-process: a flow without its server, for the service benchmark to divide by. Loads one flow,
// lets
// --threads threads score --rows rows a call until --seconds are over, and prints one JSON object: rows a
// second, the median call, and the process's resident bytes before the load, after it, and after the run.
// --seconds=0 only loads. One main(); driven by tests/bench/service/service_bench.py.

#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "model/devices.h"
#include "model/flow.h"

ABSL_FLAG(std::string, flow, "", "the flow file");
ABSL_FLAG(std::string, first, "",
          "a flow to load and use before: what the libraries take at first is not the flow's");
ABSL_FLAG(std::string, device, "cpu", "what computes: cpu, cuda, cuda:N, cuda:N,M or auto");
ABSL_FLAG(int, threads, 1, "that compute at once");
ABSL_FLAG(int, rows, 256, "of each call");
ABSL_FLAG(double, seconds, 1, "of the measurement, after a quarter of that to warm up; 0: load only");

namespace glowworm {
namespace {

using Clock = std::chrono::steady_clock;

int64_t ResidentBytes() {
  int64_t pages = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> pages >> resident;
  return resident * sysconf(_SC_PAGESIZE);
}

// Ends the program if a device failed: what is timed then would be nothing.
void MustCompute(const absl::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "glowworm-in-process: %s\n", std::string(status.message()).c_str());
  std::_Exit(1);
}

// One thread's rows, float32 as the service's clients send them, and their answers.
struct Block {
  std::vector<float> x;         // (rows, event)
  std::vector<double> context;  // (context_size), one for all
  std::vector<double> log_likelihood;
  std::vector<RowStatus> status;
  std::vector<EncodeRow> rows;

  // Rows that lie where the flow's density does: its own samples.
  Block(const Flow& flow, int count, uint64_t seed)
      : x(static_cast<size_t>(count * flow.info().event_size)),
        context(static_cast<size_t>(flow.info().context_size)),
        log_likelihood(static_cast<size_t>(count)),
        status(static_cast<size_t>(count)),
        rows(static_cast<size_t>(count)) {
    const RowInput one_context{context.empty() ? nullptr : context.data(), DataType::kFloat64};
    std::vector<SampleRow> samples(rows.size());
    for (size_t i = 0; i < rows.size(); ++i) {
      float* const row = x.data() + i * static_cast<size_t>(flow.info().event_size);
      samples[i].seed = seed;
      samples[i].index = i;
      samples[i].context = rows[i].context = one_context;
      samples[i].x = {row, DataType::kFloat32};
      samples[i].status = rows[i].status = &status[i];
      rows[i].x = {row, DataType::kFloat32};
      rows[i].log_likelihood = &log_likelihood[i];
    }
    MustCompute(flow.Sample(samples));
  }
};

// Scores the block until the end, three times at least; the measured calls' microseconds.
std::vector<double> Score(const Flow& flow, const Block& block, Clock::time_point from,
                          Clock::time_point to) {
  std::vector<double> took;
  for (Clock::time_point begin = Clock::now(); begin < to || took.size() < 3;) {
    MustCompute(flow.Encode(block.rows));
    const Clock::time_point end = Clock::now();
    if (begin >= from) took.push_back(std::chrono::duration<double, std::micro>(end - begin).count());
    begin = end;
  }
  return took;
}

// Rows a second of all threads together, and the median call in microseconds.
struct Speed {
  double rows_per_second = 0;
  double median_call_us = 0;
};
Speed Measure(const Flow& flow, int threads, int rows, double seconds) {
  std::vector<std::unique_ptr<Block>> blocks;
  for (int t = 0; t < threads; ++t) {
    blocks.push_back(std::make_unique<Block>(flow, rows, static_cast<uint64_t>(t)));
  }
  const auto span = [](double s) {
    return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(s));
  };
  const Clock::time_point from = Clock::now() + span(seconds / 4);
  const Clock::time_point to = from + span(seconds);
  std::vector<std::vector<double>> took(blocks.size());
  std::vector<std::thread> running;
  for (size_t t = 0; t < blocks.size(); ++t) {
    running.emplace_back([&, t] { took[t] = Score(flow, *blocks[t], from, to); });
  }
  for (std::thread& thread : running) thread.join();

  Speed speed;
  std::vector<double> all;
  for (const std::vector<double>& one : took) {
    double total_us = 0;
    for (const double us : one) total_us += us;
    if (total_us > 0) speed.rows_per_second += 1e6 * static_cast<double>(one.size()) * rows / total_us;
    all.insert(all.end(), one.begin(), one.end());
  }
  if (all.empty()) return speed;
  std::nth_element(all.begin(), all.begin() + static_cast<int64_t>(all.size() / 2), all.end());
  speed.median_call_us = all[all.size() / 2];
  return speed;
}

int Run() {
  const int threads = absl::GetFlag(FLAGS_threads);
  const int rows = absl::GetFlag(FLAGS_rows);
  if (threads < 1 || rows < 1) {
    std::fprintf(stderr, "glowworm-in-process: --threads and --rows are at least 1\n");
    return 2;
  }
  const absl::StatusOr<std::shared_ptr<const Devices>> devices = Devices::Open(absl::GetFlag(FLAGS_device));
  if (!devices.ok()) {
    std::fprintf(stderr, "glowworm-in-process: --device: %s\n",
                 std::string(devices.status().message()).c_str());
    return 1;
  }
  FlowOptions options;
  options.devices = *devices;
  options.workers = threads;
  absl::StatusOr<std::unique_ptr<const Flow>> first;
  if (!absl::GetFlag(FLAGS_first).empty()) {
    first = Flow::Load(absl::GetFlag(FLAGS_first), options);
    if (first.ok()) Measure(**first, threads, 1, 0.01);
    malloc_trim(0);
  }
  const int64_t before = ResidentBytes();
  const Clock::time_point start = Clock::now();
  const auto flow = Flow::Load(absl::GetFlag(FLAGS_flow), options);
  if (!flow.ok()) {
    std::fprintf(stderr, "glowworm-in-process: %s\n", std::string(flow.status().message()).c_str());
    return 1;
  }
  const double load_seconds = std::chrono::duration<double>(Clock::now() - start).count();
  const int64_t loaded = ResidentBytes();
  malloc_trim(0);  // what the load freed is not the flow's
  const int64_t trimmed = ResidentBytes();
  Speed speed;
  const double seconds = absl::GetFlag(FLAGS_seconds);
  if (seconds > 0) speed = Measure(**flow, threads, rows, seconds);
  malloc_trim(0);
  std::printf(
      "{\"rows_per_second\":%.1f,\"median_call_us\":%.3f,\"load_seconds\":%.6f,\"resident_before\":%lld,"
      "\"resident_loaded\":%lld,\"resident_trimmed\":%lld,\"resident_after\":%lld}\n",
      speed.rows_per_second, speed.median_call_us, load_seconds, static_cast<long long>(before),
      static_cast<long long>(loaded), static_cast<long long>(trimmed),
      static_cast<long long>(ResidentBytes()));
  return 0;
}

}  // namespace
}  // namespace glowworm

int main(int argc, char** argv) {
  absl::ParseCommandLine(argc, argv);
  return glowworm::Run();
}
