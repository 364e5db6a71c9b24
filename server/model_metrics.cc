// One model version's children. The version-less pair ("", "") has call counters only.

#include "server/model_metrics.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "absl/status/status.h"

namespace glowworm {
namespace {

using Buckets = prometheus::Histogram::BucketBoundaries;

const Buckets& SecondsBuckets() {
  static const Buckets* const buckets =
      new Buckets{1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10};
  return *buckets;
}

const Buckets& RowsBuckets() {
  static const Buckets* const buckets = new Buckets{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024};
  return *buckets;
}

// Densities of scaled tabular data lie near 0 to 2 nats a dimension, of 8-bit images near 0 to 6; outliers
// far above.
const Buckets& NatsBuckets() {
  static const Buckets* const buckets = new Buckets{-10, -5,  -4, -3, -2, -1.5, -1, -0.5, 0,  0.5, 1,   1.5,
                                                    2,   2.5, 3,  4,  5,  7.5,  10, 20,   50, 100, 1000};
  return *buckets;
}

const char* RowStatusName(int status) {
  constexpr const char* kNames[kRowStatuses] = {"OK", "NON_FINITE_INPUT", "OUT_OF_SUPPORT",
                                                "NON_FINITE_RESULT"};
  return kNames[status];
}

// Rows admitted whose caller got no answer from them: discarded ones were computed, failed ones on a device
// that failed, the others never.
const char* DropReasonName(int reason) {
  constexpr const char* kNames[kDropReasons] = {"expired", "cancelled", "abandoned", "discarded", "failed"};
  return kNames[reason];
}

// Why a call was refused, as batcher.h lists it; the last stands for all that are not in the list.
constexpr const char* kRefusalReasonNames[kRefusalReasons] = {"queue_rows",    "queue_bytes", "process_bytes",
                                                              "fair_share",    "draining",    "deadline",
                                                              "expected_wait", "other"};

}  // namespace

const char* MethodName(Method method) {
  constexpr const char* kNames[kMethods] = {"ListModels",
                                            "GetModel",
                                            "LogLikelihood",
                                            "Encode",
                                            "Decode",
                                            "Sample",
                                            "StreamSamples",
                                            "StreamLogLikelihood",
                                            "RepositoryIndex",
                                            "RepositoryModelLoad",
                                            "RepositoryModelUnload"};
  return kNames[static_cast<int>(method)];
}

const char* WorkName(Work work) {
  constexpr const char* kNames[kWorks] = {"encode", "decode", "sample"};
  return kNames[static_cast<int>(work)];
}

ModelMetrics::ModelMetrics(const Metrics::Families* families, std::string model, std::string version)
    : families_(families), model_(std::move(model)), version_(std::move(version)) {
  if (!model_.empty()) loaded_ = &families_->model_loaded.Add(Labels());
}

void ModelMetrics::AddComputeSeries() {
  if (negative_log_likelihood_ != nullptr) return;  // the version is loaded anew
  for (int w = 0; w < kWorks; ++w) AddWork(static_cast<Work>(w));
  for (int r = 0; r < kRefusalReasons; ++r) RefusalSeries(r);  // from 0: a first refusal must show as a rise
  negative_log_likelihood_ = &families_->negative_log_likelihood.Add(Labels(), NatsBuckets());
}

void ModelMetrics::AddWork(Work work) {
  WorkSeries& series = work_[static_cast<int>(work)];
  const prometheus::Labels labels = Labels("work", WorkName(work));
  series.queue_seconds = &families_->queue_seconds.Add(labels, SecondsBuckets());
  series.compute_seconds = &families_->compute_seconds.Add(labels, SecondsBuckets());
  series.batch_rows = &families_->batch_rows.Add(labels, RowsBuckets());
  for (int s = 0; s < kRowStatuses; ++s) {
    prometheus::Labels with_status = labels;
    with_status["status"] = RowStatusName(s);
    series.rows[s] = &families_->rows.Add(with_status);
  }
  for (int r = 0; r < kBatchReasons; ++r) {
    prometheus::Labels with_reason = labels;
    with_reason["reason"] = std::string(BatchReasonName(static_cast<BatchReason>(r)));
    series.batches[r] = &families_->batches.Add(with_reason);
  }
  for (int d = 0; d < kDropReasons; ++d) {
    prometheus::Labels with_reason = labels;
    with_reason["reason"] = DropReasonName(d);
    series.dropped[d] = &families_->rows_dropped.Add(with_reason);
  }
  series.pending_rows = &families_->pending_rows.Add(labels);
  series.pending_bytes = &families_->pending_bytes.Add(labels);
}

ModelMetrics::~ModelMetrics() {
  for (auto& codes : requests_) {
    for (auto& counter : codes) families_->requests.Remove(counter.load());
  }
  for (auto& histogram : request_seconds_) families_->request_seconds.Remove(histogram.load());
  for (auto& counter : refusals_) families_->refusals.Remove(counter.load());
  for (WorkSeries& series : work_) {
    families_->queue_seconds.Remove(series.queue_seconds);
    families_->compute_seconds.Remove(series.compute_seconds);
    families_->batch_rows.Remove(series.batch_rows);
    for (prometheus::Counter* counter : series.rows) families_->rows.Remove(counter);
    for (prometheus::Counter* counter : series.batches) families_->batches.Remove(counter);
    for (prometheus::Counter* counter : series.dropped) families_->rows_dropped.Remove(counter);
    families_->pending_rows.Remove(series.pending_rows);
    families_->pending_bytes.Remove(series.pending_bytes);
  }
  families_->negative_log_likelihood.Remove(negative_log_likelihood_);
  families_->model_loaded.Remove(loaded_);
  families_->model_load_seconds.Remove(load_seconds_);
  families_->condition_number.Remove(condition_number_);
}

prometheus::Labels ModelMetrics::Labels() const { return {{"model", model_}, {"version", version_}}; }

prometheus::Labels ModelMetrics::Labels(const char* name, const char* value) const {
  return {{"model", model_}, {"version", version_}, {name, value}};
}

// Add gives the same object to all who race in these.
void ModelMetrics::CallEnded(Method method, int code, absl::Duration duration) {
  const int m = static_cast<int>(method);
  prometheus::Counter* counter = requests_[m][code].load(std::memory_order_acquire);
  if (counter == nullptr) {
    prometheus::Labels labels = Labels("method", MethodName(method));
    labels["code"] = absl::StatusCodeToString(static_cast<absl::StatusCode>(code));
    counter = &families_->requests.Add(labels);
    requests_[m][code].store(counter, std::memory_order_release);
  }
  counter->Increment();

  prometheus::Histogram* histogram = request_seconds_[m].load(std::memory_order_acquire);
  if (histogram == nullptr) {
    histogram = &families_->request_seconds.Add(Labels("method", MethodName(method)), SecondsBuckets());
    request_seconds_[m].store(histogram, std::memory_order_release);
  }
  histogram->Observe(absl::ToDoubleSeconds(duration));
}

prometheus::Counter* ModelMetrics::RefusalSeries(int reason) {
  prometheus::Counter* counter = refusals_[reason].load(std::memory_order_acquire);
  if (counter == nullptr) {
    counter = &families_->refusals.Add(Labels("reason", kRefusalReasonNames[reason]));
    refusals_[reason].store(counter, std::memory_order_release);
  }
  return counter;
}

void ModelMetrics::Refused(absl::string_view reason) {
  int r = 0;
  while (r < kRefusalReasons - 1 && reason != kRefusalReasonNames[r]) ++r;
  RefusalSeries(r)->Increment();
}

void ModelMetrics::Queued(Work work, absl::Duration queued) {
  work_[static_cast<int>(work)].queue_seconds->Observe(absl::ToDoubleSeconds(queued));
}

void ModelMetrics::RowsDone(Work work, const std::array<int64_t, kRowStatuses>& rows) {
  WorkSeries& series = work_[static_cast<int>(work)];
  for (int s = 0; s < kRowStatuses; ++s) {
    if (rows[s] > 0) series.rows[s]->Increment(static_cast<double>(rows[s]));
  }
}

void ModelMetrics::BatchDone(Work work, const BatchReport& report) {
  WorkSeries& series = work_[static_cast<int>(work)];
  series.batch_rows->Observe(static_cast<double>(report.rows));
  series.compute_seconds->Observe(absl::ToDoubleSeconds(report.compute));
  series.batches[static_cast<int>(report.reason)]->Increment();
}

void ModelMetrics::ObserveNegativeLogLikelihood(absl::Span<const double> nats_per_dim) {
  const Buckets& buckets = NatsBuckets();
  std::vector<double> counts(buckets.size() + 1);
  double sum = 0;
  bool any = false;
  for (const double v : nats_per_dim) {
    if (!std::isfinite(v)) continue;
    any = true;
    sum += v;
    ++counts[static_cast<size_t>(std::lower_bound(buckets.begin(), buckets.end(), v) - buckets.begin())];
  }
  if (any) negative_log_likelihood_->ObserveMultiple(counts, sum);
}

void ModelMetrics::Loaded(absl::Duration took, double max_condition_number) {
  load_seconds_ = &families_->model_load_seconds.Add(Labels());
  condition_number_ = &families_->condition_number.Add(Labels());
  load_seconds_->Set(absl::ToDoubleSeconds(took));
  condition_number_->Set(max_condition_number);
  loaded_->Set(1);
}

void ModelMetrics::Watch(const Batchers& batchers) {
  MutexLock lock(&mutex_);
  computes_ = true;
  watched_.push_back(batchers);
}

void ModelMetrics::StopWatching(const Batchers& batchers) {
  MutexLock lock(&mutex_);
  const auto it = std::find(watched_.begin(), watched_.end(), batchers);
  if (it == watched_.end()) return;
  watched_.erase(it);
  const DroppedRows dropped = Dropped(batchers);
  for (int w = 0; w < kWorks; ++w) {
    for (int d = 0; d < kDropReasons; ++d) dropped_before_[w][d] += dropped[w][d];
  }
}

ModelMetrics::DroppedRows ModelMetrics::Dropped(const Batchers& batchers) {
  DroppedRows out;
  for (int w = 0; w < kWorks; ++w) {
    const BatcherCounters counters = batchers[w]->counters();
    out[w] = {counters.rows_expired, counters.rows_cancelled, counters.rows_abandoned,
              counters.rows_discarded, counters.rows_failed};
  }
  return out;
}

void ModelMetrics::ReadBatchers() {
  MutexLock lock(&mutex_);
  if (!computes_) return;
  DroppedRows dropped = dropped_before_;
  std::array<int64_t, kWorks> pending_rows = {}, pending_bytes = {};
  for (const Batchers& batchers : watched_) {
    const DroppedRows more = Dropped(batchers);
    for (int w = 0; w < kWorks; ++w) {
      pending_rows[w] += batchers[w]->pending_rows();
      pending_bytes[w] += batchers[w]->reserved_bytes();
      for (int d = 0; d < kDropReasons; ++d) dropped[w][d] += more[w][d];
    }
  }
  for (int w = 0; w < kWorks; ++w) {
    WorkSeries& series = work_[w];
    series.pending_rows->Set(static_cast<double>(pending_rows[w]));
    series.pending_bytes->Set(static_cast<double>(pending_bytes[w]));
    for (int d = 0; d < kDropReasons; ++d) {
      series.dropped[d]->Increment(static_cast<double>(dropped[w][d]) - series.dropped[d]->Value());
    }
  }
}

}  // namespace glowworm
