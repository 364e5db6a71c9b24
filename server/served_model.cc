// The batchers' compute functions: parts of many payloads -> one call of the flow -> counted.

#include "server/served_model.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "server/log.h"
#include "server/mutex.h"
#include "server/payload.h"

namespace glowworm {
namespace {

// The parts' rows, as the flow takes them; the vector is the worker's own and keeps its room.
template <typename Payload, typename Row>
absl::Span<const Row> GatherRows(absl::Span<const Part> parts, std::vector<Row>* rows) {
  rows->clear();
  for (const Part& part : parts) {
    auto* payload = static_cast<Payload*>(part.payload);
    for (int64_t i = 0; i < part.rows; ++i) rows->push_back(payload->Row(part.begin + i));
  }
  return *rows;
}

template <typename Row>
void CountRows(Work work, absl::Span<const Row> rows, ModelMetrics* metrics) {
  std::array<int64_t, kRowStatuses> by_status = {};
  for (const Row& row : rows) ++by_status[static_cast<size_t>(*row.status)];
  metrics->RowsDone(work, by_status);
}

absl::Status ComputeEncode(const Flow& flow, ModelMetrics* metrics, absl::Span<const Part> parts) {
  thread_local std::vector<EncodeRow> rows;
  thread_local std::vector<double> nats_per_dim;
  const absl::Span<const EncodeRow> batch = GatherRows<EncodePayload>(parts, &rows);
  absl::Status status = flow.Encode(batch);
  if (!status.ok()) return status;
  CountRows(Work::kEncode, batch, metrics);
  nats_per_dim.clear();
  const double dims = static_cast<double>(flow.info().event_size);
  for (const EncodeRow& row : batch) nats_per_dim.push_back(-*row.log_likelihood / dims);
  metrics->ObserveNegativeLogLikelihood(nats_per_dim);
  return status;
}

absl::Status ComputeDecode(const Flow& flow, ModelMetrics* metrics, absl::Span<const Part> parts) {
  thread_local std::vector<DecodeRow> rows;
  const absl::Span<const DecodeRow> batch = GatherRows<DecodePayload>(parts, &rows);
  absl::Status status = flow.Decode(batch);
  if (!status.ok()) return status;
  CountRows(Work::kDecode, batch, metrics);
  return status;
}

absl::Status ComputeSample(const Flow& flow, ModelMetrics* metrics, absl::Span<const Part> parts) {
  thread_local std::vector<SampleRow> rows;
  const absl::Span<const SampleRow> batch = GatherRows<SamplePayload>(parts, &rows);
  absl::Status status = flow.Sample(batch);
  if (!status.ok()) return status;
  CountRows(Work::kSample, batch, metrics);
  return status;
}

using Compute = absl::Status (*)(const Flow&, ModelMetrics*, absl::Span<const Part>);
constexpr Compute kCompute[kWorks] = {ComputeEncode, ComputeDecode, ComputeSample};

// One sample, decoded and encoded: every weight is touched, every buffer made.
absl::Status WarmUp(const Flow& flow) {
  const FlowInfo& info = flow.info();
  const std::vector<double> context(static_cast<size_t>(info.context_size));
  std::vector<double> x(static_cast<size_t>(info.event_size)), z(static_cast<size_t>(info.latent_size));
  const RowInput context_row{context.empty() ? nullptr : context.data(), DataType::kFloat64};
  double log_likelihood = 0;
  RowStatus row_status = RowStatus::kOk;

  SampleRow sample;
  sample.context = context_row;
  sample.x = {x.data(), DataType::kFloat64};
  sample.status = &row_status;
  absl::Status status = flow.Sample(absl::MakeConstSpan(&sample, 1));
  if (!status.ok()) return status;

  EncodeRow encode;
  encode.x = {x.data(), DataType::kFloat64};
  encode.context = context_row;
  encode.z = {z.data(), DataType::kFloat64};
  encode.log_likelihood = &log_likelihood;
  encode.status = &row_status;
  status = flow.Encode(absl::MakeConstSpan(&encode, 1));
  if (!status.ok()) return status;

  DecodeRow decode;
  decode.z = {z.data(), DataType::kFloat64};
  decode.context = context_row;
  decode.x = {x.data(), DataType::kFloat64};
  decode.status = &row_status;
  return flow.Decode(absl::MakeConstSpan(&decode, 1));
}

// What a caller is told of a flow that could not compute.
absl::Status DeviceFailure(const absl::Status& status) {
  if (!absl::IsInternal(status) && !absl::IsUnknown(status)) return status;
  if (absl::StartsWith(status.message(), "the device")) return absl::InternalError(status.message());
  return absl::InternalError(absl::StrCat("the device failed: ", status.message()));
}

// Tells the log of each failure once: one device fails thousands of batches a second in the same words.
class FailureLog {
 public:
  explicit FailureLog(std::string which) : which_(std::move(which)) {}

  void Tell(const absl::Status& status) {
    {
      MutexLock lock(&mutex_);
      if (told_.size() == kMaxTold || !told_.emplace(status.message()).second) return;
    }
    LogError(absl::StrCat("could not compute", which_, " error=", LogText(status.message())));
  }

 private:
  static constexpr size_t kMaxTold = 16;

  const std::string which_;
  Mutex mutex_;
  std::set<std::string> told_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

absl::StatusOr<std::shared_ptr<const ServedModel>> ServedModel::Create(std::string name, int64_t version,
                                                                       std::shared_ptr<const Flow> flow,
                                                                       std::shared_ptr<ModelMetrics> metrics,
                                                                       BatcherOptions batching,
                                                                       ComputePool* pool) {
  const absl::Status warm = WarmUp(*flow);
  if (!warm.ok()) return DeviceFailure(warm);
  metrics->AddComputeSeries();
  const auto failures = std::make_shared<FailureLog>(absl::StrCat(" model=", name, " version=", version));
  std::shared_ptr<ServedModel> model(new ServedModel(std::move(name), version, flow, metrics));
  batching.max_batch_rows = std::min(batching.max_batch_rows, flow->info().max_tile_rows);
  for (int w = 0; w < kWorks; ++w) {
    const Work work = static_cast<Work>(w);
    batching.compute = [flow, metrics, failures, w](absl::Span<const Part> parts) {
      absl::Status status = kCompute[w](*flow, metrics.get(), parts);
      if (status.ok()) return status;
      status = DeviceFailure(status);
      failures->Tell(status);
      status.SetPayload(kLogged, absl::Cord());
      return status;
    };
    batching.on_batch = [metrics, work](const BatchReport& report) { metrics->BatchDone(work, report); };
    absl::StatusOr<std::unique_ptr<Batcher>> batcher = Batcher::Create(pool, batching);
    if (!batcher.ok()) return batcher.status();
    model->batchers_[w] = *std::move(batcher);
  }
  metrics->Watch(model->Batchers());
  return model;
}

ServedModel::ServedModel(std::string name, int64_t version, std::shared_ptr<const Flow> flow,
                         std::shared_ptr<ModelMetrics> metrics)
    : name_(std::move(name)), version_(version), flow_(std::move(flow)), metrics_(std::move(metrics)) {}

ServedModel::~ServedModel() { metrics_->StopWatching(Batchers()); }

ModelMetrics::Batchers ServedModel::Batchers() const {
  return {batchers_[0].get(), batchers_[1].get(), batchers_[2].get()};
}

void ServedModel::Drain() const {
  for (const auto& batcher : batchers_) batcher->Drain();
}

void ServedModel::Abandon() const {
  for (const auto& batcher : batchers_) batcher->Abandon();
}

bool ServedModel::WaitUntilIdle(absl::Time deadline) const {
  bool idle = true;
  for (const auto& batcher : batchers_) idle = batcher->WaitUntilIdle(deadline) && idle;
  return idle;
}

}  // namespace glowworm
