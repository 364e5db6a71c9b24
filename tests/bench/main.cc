// glowworm-bench: the model library's speed, without the service. Google Benchmark over methods, batch sizes
// and threads, or rounds on request (rounds.h). Tested by tests/bench/smoke_test.py.

#include <benchmark/benchmark.h>

#include <algorithm>
#include <iostream>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "model/devices.h"
#include "model/flow.h"
#include "tests/bench/rounds.h"
#include "tests/bench/tile_pool.h"
#include "tests/bench/workload.h"

namespace glowworm {
namespace bench {
namespace {

constexpr char kUsage[] =
    "glowworm-bench --flow=PATH [--precision=float32|float64|bfloat16] [--device=cpu|cuda[:N[,M]]|auto]\n"
    "  [--methods=log_likelihood,encode,decode,sample] [--batches=1,64,1024] [--threads=1,2] "
    "[--serve_rounds] [Google Benchmark's flags: "
    "--benchmark_format=json]\n";

struct Options {
  std::string flow;
  Precision precision = Precision::kFloat32;
  std::string device = "cpu";
  std::vector<std::string> methods = {"log_likelihood", "encode", "decode", "sample"};
  std::vector<int64_t> batches = {1, 64, 1024};
  std::vector<int64_t> threads = {1};
  bool serve_rounds = false;
};

bool ParseNumbers(absl::string_view text, std::vector<int64_t>* numbers) {
  numbers->clear();
  for (absl::string_view word : absl::StrSplit(text, ',')) {
    int64_t number;
    if (!absl::SimpleAtoi(word, &number) || number < 1) return false;
    numbers->push_back(number);
  }
  return true;
}

bool ParseFlag(absl::string_view flag, Options* options) {
  if (absl::ConsumePrefix(&flag, "--flow=")) {
    options->flow = std::string(flag);
    return true;
  }
  if (absl::ConsumePrefix(&flag, "--precision=")) {
    for (const Precision precision : {Precision::kFloat32, Precision::kFloat64, Precision::kBfloat16}) {
      if (flag == PrecisionName(precision)) options->precision = precision;
    }
    return flag == PrecisionName(options->precision);
  }
  if (absl::ConsumePrefix(&flag, "--device=")) {
    options->device = std::string(flag);
    return Devices::CheckSpec(flag).ok();
  }
  if (absl::ConsumePrefix(&flag, "--methods=")) {
    options->methods = absl::StrSplit(flag, ',');
    return std::all_of(options->methods.begin(), options->methods.end(),
                       [](const std::string& name) { return ParseMethod(name).ok(); });
  }
  if (absl::ConsumePrefix(&flag, "--batches=")) return ParseNumbers(flag, &options->batches);
  if (absl::ConsumePrefix(&flag, "--threads=")) return ParseNumbers(flag, &options->threads);
  options->serve_rounds |= flag == "--serve_rounds";
  return flag == "--serve_rounds";
}

void Register(const Flow& flow, const Options& options, std::map<int64_t, std::unique_ptr<TilePool>>* pools) {
  for (int64_t threads : options.threads) {
    (*pools)[threads] = std::make_unique<TilePool>(static_cast<int>(threads));
  }
  for (const std::string& method : options.methods) {
    for (int64_t batch : options.batches) {
      for (int64_t threads : options.threads) {
        const std::string name =
            absl::StrCat(flow.info().name, "/", method, "/rows:", batch, "/threads:", threads);
        TilePool* pool = pools->at(threads).get();
        benchmark::RegisterBenchmark(name.c_str(),
                                     [&flow, pool, method, batch](benchmark::State& state) {
                                       Workload workload(&flow, pool, *ParseMethod(method), batch);
                                       for (auto _ : state) workload.Run();
                                       if (workload.failed_rows() > 0) state.SkipWithError("rows failed");
                                       state.counters["rows_per_second"] =
                                           benchmark::Counter(static_cast<double>(state.iterations() * batch),
                                                              benchmark::Counter::kIsRate);
                                     })
            ->UseRealTime()
            ->Unit(benchmark::kMicrosecond);
      }
    }
  }
}

int Main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);  // takes its own flags out
  Options options;
  for (int i = 1; i < argc; ++i) {
    if (ParseFlag(argv[i], &options)) continue;
    std::cerr << "not a flag or not a value of it: " << argv[i] << "\n" << kUsage;
    return 2;
  }
  if (options.flow.empty()) {
    std::cerr << kUsage;
    return 2;
  }
  const absl::StatusOr<std::shared_ptr<const Devices>> devices = Devices::Open(options.device);
  if (!devices.ok()) {
    std::cerr << "--device=" << options.device << ": " << devices.status().message() << "\n";
    return 1;
  }
  FlowOptions load;
  load.precision = options.precision;
  load.devices = *devices;
  load.workers = static_cast<int>(std::max<unsigned>(1, std::thread::hardware_concurrency()));
  if (!(*devices)->on_cpu()) {  // each costs memory there; more threads than these wait
    const int64_t most = *std::max_element(options.threads.begin(), options.threads.end());
    load.workers = static_cast<int>(std::max<int64_t>(most, 2 * (*devices)->count()));
  }
  const auto flow = Flow::Load(options.flow, load);
  if (!flow.ok()) {
    std::cerr << options.flow << ": " << flow.status().message() << "\n";
    return 1;
  }
  if (options.serve_rounds) {
    ServeRounds(**flow, *devices, std::cin, std::cout);
    return 0;
  }
  std::map<int64_t, std::unique_ptr<TilePool>> pools;
  Register(**flow, options, &pools);
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}

}  // namespace
}  // namespace bench
}  // namespace glowworm

int main(int argc, char** argv) { return glowworm::bench::Main(argc, argv); }
