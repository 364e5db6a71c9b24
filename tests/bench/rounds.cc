// Implements tests/bench/rounds.h.

#include "tests/bench/rounds.h"

#include <benchmark/benchmark.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <fstream>
#include <iterator>
#include <limits>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "model/flow_file.h"
#include "model/plan.h"
#include "tests/bench/log_det.h"
#include "tests/bench/matrix_peak.h"
#include "tests/bench/plan_cost.h"
#include "tests/bench/tile_pool.h"
#include "tests/bench/workload.h"

namespace glowworm {
namespace bench {
namespace {

using SteadyClock = std::chrono::steady_clock;
constexpr int64_t kMostThreads = 64;
constexpr int kLogDetRepeats = 64;  // a sum is shorter than the clock is fine
constexpr uint64_t kDrawSeed = 42;  // Workload's

double SecondsSince(SteadyClock::time_point start) {
  return std::chrono::duration<double>(SteadyClock::now() - start).count();
}

template <typename T>
std::vector<T> ReadRaw(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  std::vector<T> values(bytes.size() / sizeof(T));
  std::copy_n(bytes.data(), values.size() * sizeof(T), reinterpret_cast<char*>(values.data()));
  return values;
}

template <typename T>
void WriteRaw(const std::string& path, const std::vector<T>& values) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
}

// Pools and workloads live as long as the session: a round sets nothing up that an earlier one has.
class Session {
 public:
  Session(const Flow& flow, const std::shared_ptr<const Devices>& devices) : flow_(flow) {
    load_.devices = devices;
  }

  absl::StatusOr<std::string> Answer(const std::vector<std::string>& words) {
    if (words.size() == 5 && words[0] == "time") return Time(words);
    if (words.size() == 6 && words[0] == "product") return TimeProduct(words);
    if (words.size() == 3 && words[0] == "draw") return Draw(words);
    if (words.size() == 3 && words[0] == "load") return TimeLoad(words);
    if (words.size() == 2 && words[0] == "cost") return Cost(words[1]);
    if (words.size() == 3 && words[0] == "log_det") return TimeLogDet(words);
    if (words.size() == 3) return Evaluate(words);
    return absl::InvalidArgumentError("time METHOD BATCH THREADS SECONDS or another line of rounds.h");
  }

 private:
  TilePool* Pool(int64_t threads) {
    std::unique_ptr<TilePool>& pool = pools_[threads];
    if (pool == nullptr) pool = std::make_unique<TilePool>(static_cast<int>(threads));
    return pool.get();
  }

  absl::StatusOr<std::string> Time(const std::vector<std::string>& words) {
    const absl::StatusOr<Method> method = ParseMethod(words[1]);
    if (!method.ok()) return method.status();
    int64_t rows, threads;
    double seconds;
    if (!absl::SimpleAtoi(words[2], &rows) || rows < 1 || !absl::SimpleAtoi(words[3], &threads) ||
        threads < 1 || threads > kMostThreads || !absl::SimpleAtod(words[4], &seconds)) {
      return absl::InvalidArgumentError("time METHOD BATCH THREADS SECONDS takes positive numbers");
    }
    std::unique_ptr<Workload>& workload = workloads_[{*method, rows, threads}];
    if (workload == nullptr) workload = std::make_unique<Workload>(&flow_, Pool(threads), *method, rows);
    const Timing timing = Measure(seconds, [&] { workload->Run(); });
    if (workload->failed_rows() > 0) {
      return absl::InternalError(absl::StrCat(workload->failed_rows(), " of ", rows, " rows failed"));
    }
    return absl::StrFormat("%.9g %.9g %d", timing.seconds, static_cast<double>(rows) / timing.seconds,
                           timing.calls);
  }

  absl::StatusOr<std::string> TimeProduct(const std::vector<std::string>& words) {
    int64_t m, k, n, threads;
    double seconds;
    if (!absl::SimpleAtoi(words[1], &m) || !absl::SimpleAtoi(words[2], &k) ||
        !absl::SimpleAtoi(words[3], &n) || std::min({m, k, n}) < 1 || !absl::SimpleAtoi(words[4], &threads) ||
        threads < 1 || threads > kMostThreads || !absl::SimpleAtod(words[5], &seconds)) {
      return absl::InvalidArgumentError("product M K N THREADS SECONDS takes positive numbers");
    }
    MatrixPeak peak(Pool(threads), m, k, n);
    const Timing timing = Measure(seconds, [&] { peak.Run(); });
    return absl::StrFormat("%.9g %.9g %d", timing.seconds, peak.flops() / timing.seconds, timing.calls);
  }

  absl::StatusOr<std::string> TimeLoad(const std::vector<std::string>& words) {
    double seconds;
    if (!absl::SimpleAtod(words[2], &seconds)) return absl::InvalidArgumentError("load PATH SECONDS");
    absl::Status status;
    const Timing timing = Measure(seconds, [&] { status.Update(Flow::Load(words[1], load_).status()); });
    if (!status.ok()) return status;
    return absl::StrFormat("%.9g %d", timing.seconds, timing.calls);
  }

  absl::StatusOr<std::string> Cost(const std::string& path) {
    const absl::StatusOr<FlowFile> file = ReadFlowFile(path);
    if (!file.ok()) return file.status();
    const absl::StatusOr<Plan> plan = Compile(file->spec, load_.max_condition_number);
    if (!plan.ok()) return plan.status();
    const PlanCost cost = CountCost(*plan);
    return absl::StrFormat("%.17g %.17g %.17g", cost.operations, cost.weight_bytes, cost.row_bytes);
  }

  absl::StatusOr<std::string> TimeLogDet(const std::vector<std::string>& words) {
    int64_t channels;
    double seconds;
    if (!absl::SimpleAtoi(words[1], &channels) || channels < 1 || !absl::SimpleAtod(words[2], &seconds)) {
      return absl::InvalidArgumentError("log_det C SECONDS takes positive numbers");
    }
    const LogDet log_det(channels);
    double factors = 0, matrix = 0;
    const Timing from_factors = Measure(seconds, [&] {
      for (int i = 0; i < kLogDetRepeats; ++i) {
        factors = log_det.FromFactors();
        benchmark::DoNotOptimize(factors);
      }
    });
    const Timing from_matrix = Measure(seconds, [&] { matrix = log_det.FromMatrix(); });
    // Both sum C logarithms of numbers near 1, whose error after elimination is a few units of C epsilon.
    const double tolerance =
        16 * static_cast<double>(channels * channels) * std::numeric_limits<double>::epsilon();
    if (!(std::abs(factors - matrix) <= tolerance)) {
      return absl::InternalError(absl::StrCat("log|det W| is ", factors, " or ", matrix));
    }
    return absl::StrFormat("%.9g %.9g", from_factors.seconds / kLogDetRepeats, from_matrix.seconds);
  }

  absl::StatusOr<std::string> Draw(const std::vector<std::string>& words) {
    int64_t rows;
    if (!absl::SimpleAtoi(words[1], &rows) || rows < 1) {
      return absl::InvalidArgumentError("draw ROWS OUT takes a positive number");
    }
    WriteRaw(words[2], DrawRows(flow_, rows, kDrawSeed));
    return absl::StrCat(rows);
  }

  absl::StatusOr<std::string> Evaluate(const std::vector<std::string>& words) {
    const absl::StatusOr<Method> method = ParseMethod(words[0]);
    if (!method.ok()) return method.status();
    if (*method == Method::kSample) return absl::InvalidArgumentError("sample reads no rows");
    std::vector<float> rows = ReadRaw<float>(words[1]);
    if (rows.empty() || rows.size() % flow_.info().event_size != 0) {
      return absl::InvalidArgumentError(
          absl::StrCat(rows.size(), " numbers are not rows of ", flow_.info().event_size));
    }
    Workload workload(&flow_, Pool(1), *method, std::move(rows));
    workload.Run();
    if (*method == Method::kLogLikelihood) {
      WriteRaw(words[2], workload.log_likelihoods());
    } else {
      WriteRaw(words[2], workload.outputs());
    }
    return absl::StrCat(workload.failed_rows());
  }

  const Flow& flow_;
  FlowOptions load_;                                    // of `load`
  std::map<int64_t, std::unique_ptr<TilePool>> pools_;  // by threads
  std::map<std::tuple<Method, int64_t, int64_t>, std::unique_ptr<Workload>>
      workloads_;  // method, rows, threads
};

}  // namespace

Timing Measure(double seconds, absl::FunctionRef<void()> run) {
  const SteadyClock::time_point warm_up = SteadyClock::now();
  do {
    run();
  } while (SecondsSince(warm_up) < seconds / 4);
  std::vector<double> took;
  const SteadyClock::time_point start = SteadyClock::now();
  do {
    const SteadyClock::time_point call = SteadyClock::now();
    run();
    took.push_back(SecondsSince(call));
  } while (took.size() < 2 || SecondsSince(start) < seconds);
  std::nth_element(took.begin(), took.begin() + took.size() / 2, took.end());
  return {took[took.size() / 2], static_cast<int64_t>(took.size())};
}

void ServeRounds(const Flow& flow, const std::shared_ptr<const Devices>& devices, std::istream& in,
                 std::ostream& out) {
  Session session(flow, devices);
  std::string line;
  while (std::getline(in, line)) {
    const absl::StatusOr<std::string> answer = session.Answer(absl::StrSplit(line, ' ', absl::SkipEmpty()));
    out << (answer.ok() ? *answer : absl::StrCat("error: ", answer.status().message())) << std::endl;
  }
}

}  // namespace bench
}  // namespace glowworm
