// Flow: file -> plan -> executor, and what the executors share: cutting into tiles, calibration, the
// likelihood of samples. Tested by tests/model/flow_test.cc.

#include "model/flow.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/status/status.h"
#include "model/cpu/bfloat16.h"
#include "model/cpu/cpu_executor.h"
#include "model/devices.h"
#include "model/executor.h"
#include "model/flow_file.h"
#include "model/plan.h"

namespace glowworm {
namespace {

// Calls run(tile) for consecutive tiles of `rows`, until one fails.
template <typename Row, typename Run>
absl::Status ForEachTile(absl::Span<const Row> rows, size_t tile_rows, const Run& run) {
  while (!rows.empty()) {
    const size_t n = std::min(rows.size(), tile_rows);
    absl::Status status = run(rows.subspan(0, n));
    if (!status.ok()) return status;
    rows.remove_prefix(n);
  }
  return absl::OkStatus();
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
  const bool on_cpu = options.devices == nullptr || options.devices->on_cpu();
  const absl::Status can_compute = on_cpu ? CheckPrecision(options.precision) : absl::OkStatus();
  if (!can_compute.ok()) return can_compute;
  absl::StatusOr<Plan> plan = Compile(spec, options.max_condition_number);
  if (!plan.ok()) return plan.status();
  absl::StatusOr<std::unique_ptr<const Executor>> executor =
      on_cpu ? CreateCpuExecutor(*plan, options.precision, options.workers)
             : options.devices->CreateExecutor(*plan, options.precision, options.workers);
  if (!executor.ok()) return executor.status();

  std::unique_ptr<Flow> flow(new Flow);
  FlowInfo& info = flow->info_;
  info = DescribeFlow(spec);
  info.device = on_cpu ? "cpu" : options.devices->name();
  info.precision = std::string(PrecisionName(options.precision));
  info.layers = plan->layers;
  info.max_condition_number = plan->max_condition_number;
  info.max_tile_rows = (*executor)->max_tile_rows();
  if (spec.calibration) {
    flow->calibration_log_likelihood_ = spec.calibration->log_likelihood;
    flow->calibration_probability_ = spec.calibration->probability;
  }
  flow->plan_text_ = Dump(*plan);
  flow->devices_ = options.devices;
  flow->executor_ = *std::move(executor);
  return flow;
}

absl::Status Flow::Encode(absl::Span<const EncodeRow> rows) const {
  absl::Status status =
      ForEachTile(rows, info_.max_tile_rows, [&](auto tile) { return executor_->Encode(tile); });
  if (!status.ok() || !info_.has_calibration) return status;
  for (const EncodeRow& row : rows) {
    if (row.tail_probability != nullptr) *row.tail_probability = TailProbability(*row.log_likelihood);
  }
  return absl::OkStatus();
}

absl::Status Flow::Decode(absl::Span<const DecodeRow> rows) const {
  return ForEachTile(rows, info_.max_tile_rows, [&](auto tile) { return executor_->Decode(tile); });
}

absl::Status Flow::Sample(absl::Span<const SampleRow> rows) const {
  return ForEachTile(rows, info_.max_tile_rows, [&](absl::Span<const SampleRow> tile) {
    absl::Status status = executor_->Sample(tile);
    if (status.ok()) status = ScoreSamples(tile);
    return status;
  });
}

// The likelihood is that of x as it is returned, rounded to its dtype: the bits that Encode would give.
absl::Status Flow::ScoreSamples(absl::Span<const SampleRow> tile) const {
  thread_local std::vector<EncodeRow> encode;  // these keep their room from call to call
  thread_local std::vector<RowStatus> statuses;
  thread_local std::vector<RowStatus*> sampled;
  encode.clear();
  sampled.clear();
  for (const SampleRow& row : tile) {
    if (row.log_likelihood == nullptr) continue;
    EncodeRow& scored = encode.emplace_back();
    scored.x = {row.x.data, row.x.dtype};
    scored.context = row.context;
    scored.class_label = row.class_label;
    scored.log_likelihood = row.log_likelihood;
    sampled.push_back(row.status);
  }
  if (encode.empty()) return absl::OkStatus();
  statuses.resize(encode.size());
  for (size_t i = 0; i < encode.size(); ++i) encode[i].status = &statuses[i];
  absl::Status status = executor_->Encode(encode);
  for (size_t i = 0; status.ok() && i < sampled.size(); ++i) {
    if (*sampled[i] == RowStatus::kOk) *sampled[i] = statuses[i];  // it may round onto the support's edge
  }
  return status;
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
