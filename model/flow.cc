// Flow: file -> plan -> executor, and what the executors share: cutting into tiles, calibration, the
// likelihood of samples. Tested by tests/model/flow_test.cc.

#include "model/flow.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/status/status.h"
#include "model/cpu/bfloat16.h"
#include "model/cpu/cpu_executor.h"
#include "model/executor.h"
#include "model/flow_file.h"
#include "model/plan.h"

namespace glowworm {
namespace {

// The longest tile of any executor.
constexpr size_t kMaxTile = 256;

// Calls run(tile) for consecutive tiles of `rows`.
template <typename Row, typename Run>
void ForEachTile(absl::Span<const Row> rows, size_t tile_rows, const Run& run) {
  while (!rows.empty()) {
    const size_t n = std::min(rows.size(), tile_rows);
    run(rows.subspan(0, n));
    rows.remove_prefix(n);
  }
}

}  // namespace

absl::Status CheckPrecision(Precision precision) {
  if (precision != Precision::kBfloat16 || HasBfloat16Products()) return absl::OkStatus();
  return absl::UnimplementedError(
      "bfloat16 needs a processor with AVX512-BF16 or AMX, and this one has neither");
}

Flow::Flow() = default;
Flow::~Flow() = default;

absl::StatusOr<std::unique_ptr<const Flow>> Flow::Load(const std::string& path, const FlowOptions& options) {
  absl::StatusOr<FlowFile> file = ReadFlowFile(path);
  if (!file.ok()) return file.status();
  absl::StatusOr<std::unique_ptr<Flow>> flow = Build(file->spec, options);
  if (!flow.ok()) return flow.status();
  (*flow)->info_.parameters = file->parameters;
  (*flow)->info_.sha256 = file->sha256;
  return std::unique_ptr<const Flow>(*std::move(flow));
}

absl::StatusOr<std::unique_ptr<const Flow>> Flow::Create(const FlowSpec& spec, const FlowOptions& options) {
  absl::StatusOr<std::unique_ptr<Flow>> flow = Build(spec, options);
  if (!flow.ok()) return flow.status();
  return std::unique_ptr<const Flow>(*std::move(flow));
}

absl::StatusOr<std::unique_ptr<Flow>> Flow::Build(const FlowSpec& spec, const FlowOptions& options) {
  const absl::Status can_compute = CheckPrecision(options.precision);
  if (!can_compute.ok()) return can_compute;
  absl::StatusOr<Plan> plan = Compile(spec, options.max_condition_number);
  if (!plan.ok()) return plan.status();
  absl::StatusOr<std::unique_ptr<const Executor>> executor =
      CreateCpuExecutor(*plan, options.precision, options.workers);
  if (!executor.ok()) return executor.status();

  std::unique_ptr<Flow> flow(new Flow);
  FlowInfo& info = flow->info_;
  info = DescribeFlow(spec);
  info.device = "cpu";
  info.precision = std::string(PrecisionName(options.precision));
  info.layers = plan->layers;
  info.max_condition_number = plan->max_condition_number;
  info.max_tile_rows = (*executor)->max_tile_rows();
  if (spec.calibration) {
    flow->calibration_log_likelihood_ = spec.calibration->log_likelihood;
    flow->calibration_probability_ = spec.calibration->probability;
  }
  flow->plan_text_ = Dump(*plan);
  flow->executor_ = *std::move(executor);
  return flow;
}

void Flow::Encode(absl::Span<const EncodeRow> rows) const {
  ForEachTile(rows, info_.max_tile_rows, [&](absl::Span<const EncodeRow> tile) { executor_->Encode(tile); });
  if (!info_.has_calibration) return;
  for (const EncodeRow& row : rows) {
    if (row.tail_probability != nullptr) *row.tail_probability = TailProbability(*row.log_likelihood);
  }
}

void Flow::Decode(absl::Span<const DecodeRow> rows) const {
  ForEachTile(rows, info_.max_tile_rows, [&](absl::Span<const DecodeRow> tile) { executor_->Decode(tile); });
}

void Flow::Sample(absl::Span<const SampleRow> rows) const {
  ForEachTile(rows, info_.max_tile_rows, [&](absl::Span<const SampleRow> tile) {
    executor_->Sample(tile);
    ScoreSamples(tile);
  });
}

// The likelihood is that of x as it is returned, rounded to its dtype: the bits that Encode would give.
void Flow::ScoreSamples(absl::Span<const SampleRow> tile) const {
  std::array<EncodeRow, kMaxTile> encode;
  std::array<RowStatus, kMaxTile> status;
  std::array<RowStatus*, kMaxTile> sampled;
  size_t n = 0;
  for (const SampleRow& row : tile) {
    if (row.log_likelihood == nullptr) continue;
    encode[n].x = {row.x.data, row.x.dtype};
    encode[n].context = row.context;
    encode[n].class_label = row.class_label;
    encode[n].log_likelihood = row.log_likelihood;
    encode[n].status = &status[n];
    sampled[n++] = row.status;
  }
  if (n == 0) return;
  executor_->Encode(absl::MakeConstSpan(encode.data(), n));
  for (size_t i = 0; i < n; ++i) {  // a sample may round onto the edge of the support
    if (*sampled[i] == RowStatus::kOk) *sampled[i] = status[i];
  }
}

double Flow::TailProbability(double log_likelihood) const {
  const std::vector<double>& x = calibration_log_likelihood_;
  const std::vector<double>& y = calibration_probability_;
  if (std::isnan(log_likelihood)) return log_likelihood;
  if (log_likelihood == -std::numeric_limits<double>::infinity()) return 0;
  if (log_likelihood <= x.front()) return y.front();
  if (log_likelihood >= x.back()) return y.back();
  const size_t i = std::upper_bound(x.begin(), x.end(), log_likelihood) - x.begin();
  return y[i - 1] + (y[i] - y[i - 1]) * ((log_likelihood - x[i - 1]) / (x[i] - x[i - 1]));
}

std::string Flow::DumpPlan() const { return plan_text_; }

}  // namespace glowworm
