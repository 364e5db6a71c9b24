// The batchers' compute functions: parts of many payloads -> one call of the flow -> counted.

#include "server/served_model.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/types/span.h"
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

void ComputeEncode(const Flow& flow, ModelMetrics* metrics, absl::Span<const Part> parts) {
  thread_local std::vector<EncodeRow> rows;
  thread_local std::vector<double> nats_per_dim;
  const absl::Span<const EncodeRow> batch = GatherRows<EncodePayload>(parts, &rows);
  flow.Encode(batch);
  CountRows(Work::kEncode, batch, metrics);
  nats_per_dim.clear();
  const double dims = static_cast<double>(flow.info().event_size);
  for (const EncodeRow& row : batch) nats_per_dim.push_back(-*row.log_likelihood / dims);
  metrics->ObserveNegativeLogLikelihood(nats_per_dim);
}

void ComputeDecode(const Flow& flow, ModelMetrics* metrics, absl::Span<const Part> parts) {
  thread_local std::vector<DecodeRow> rows;
  const absl::Span<const DecodeRow> batch = GatherRows<DecodePayload>(parts, &rows);
  flow.Decode(batch);
  CountRows(Work::kDecode, batch, metrics);
}

void ComputeSample(const Flow& flow, ModelMetrics* metrics, absl::Span<const Part> parts) {
  thread_local std::vector<SampleRow> rows;
  const absl::Span<const SampleRow> batch = GatherRows<SamplePayload>(parts, &rows);
  flow.Sample(batch);
  CountRows(Work::kSample, batch, metrics);
}

using Compute = void (*)(const Flow&, ModelMetrics*, absl::Span<const Part>);
constexpr Compute kCompute[kWorks] = {ComputeEncode, ComputeDecode, ComputeSample};

// One sample, decoded and encoded: every weight is touched, every buffer made.
void WarmUp(const Flow& flow) {
  const FlowInfo& info = flow.info();
  const std::vector<double> context(static_cast<size_t>(info.context_size));
  std::vector<double> x(static_cast<size_t>(info.event_size)), z(static_cast<size_t>(info.latent_size));
  const RowInput context_row{context.empty() ? nullptr : context.data(), DataType::kFloat64};
  double log_likelihood = 0;
  RowStatus status = RowStatus::kOk;

  SampleRow sample;
  sample.context = context_row;
  sample.x = {x.data(), DataType::kFloat64};
  sample.status = &status;
  flow.Sample(absl::MakeConstSpan(&sample, 1));

  EncodeRow encode;
  encode.x = {x.data(), DataType::kFloat64};
  encode.context = context_row;
  encode.z = {z.data(), DataType::kFloat64};
  encode.log_likelihood = &log_likelihood;
  encode.status = &status;
  flow.Encode(absl::MakeConstSpan(&encode, 1));

  DecodeRow decode;
  decode.z = {z.data(), DataType::kFloat64};
  decode.context = context_row;
  decode.x = {x.data(), DataType::kFloat64};
  decode.status = &status;
  flow.Decode(absl::MakeConstSpan(&decode, 1));
}

}  // namespace

absl::StatusOr<std::shared_ptr<const ServedModel>> ServedModel::Create(std::string name, int64_t version,
                                                                       std::shared_ptr<const Flow> flow,
                                                                       std::shared_ptr<ModelMetrics> metrics,
                                                                       BatcherOptions batching,
                                                                       ComputePool* pool) {
  WarmUp(*flow);
  metrics->AddComputeSeries();
  std::shared_ptr<ServedModel> model(new ServedModel(std::move(name), version, flow, metrics));
  batching.max_batch_rows = std::min(batching.max_batch_rows, flow->info().max_tile_rows);
  for (int w = 0; w < kWorks; ++w) {
    const Work work = static_cast<Work>(w);
    batching.compute = [flow, metrics, w](absl::Span<const Part> parts) {
      kCompute[w](*flow, metrics.get(), parts);
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
