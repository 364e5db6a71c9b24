// The registry, its families, and the listener. prometheus-cpp throws only while things are made: caught in
// Listen.

#include "server/metrics.h"

#include <prometheus/text_serializer.h>

#include <exception>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/device_metrics.h"
#include "server/model_metrics.h"
#include "server/process_metrics.h"
#include "server/version.h"

namespace glowworm {
namespace {

constexpr char kExposerThreads[] = "8";
constexpr char kHalfSentRequestMs[] = "10000";

}  // namespace

// Everything of one scrape: gauges that are read at that moment, the registry, the process.
class Metrics::Scrape : public prometheus::Collectable {
 public:
  explicit Scrape(Metrics* metrics) : metrics_(metrics) {}

  std::vector<prometheus::MetricFamily> Collect() const override {
    metrics_->ReadBatchers();
    std::vector<prometheus::MetricFamily> out = metrics_->registry_->Collect();
    AppendProcessMetrics(&out);
    if (metrics_->devices_ != nullptr) AppendDeviceMetrics(metrics_->devices_->Use(), &out);
    return out;
  }

 private:
  Metrics* const metrics_;
};

Metrics::Families::Families(prometheus::Registry* registry)
    : requests(prometheus::BuildCounter()
                   .Name("glowworm_requests_total")
                   .Help("Calls that have ended, by method and status code")
                   .Register(*registry)),
      request_seconds(prometheus::BuildHistogram()
                          .Name("glowworm_request_seconds")
                          .Help("Time from a call's arrival to its end, streams included")
                          .Register(*registry)),
      refusals(prometheus::BuildCounter()
                   .Name("glowworm_refusals_total")
                   .Help("Calls, and messages of streams, that the server would not take, by the reason")
                   .Register(*registry)),
      queue_seconds(prometheus::BuildHistogram()
                        .Name("glowworm_queue_seconds")
                        .Help("Time from a request's admission until its first row is taken by a thread")
                        .Register(*registry)),
      compute_seconds(prometheus::BuildHistogram()
                          .Name("glowworm_compute_seconds")
                          .Help("Time one thread computes on one batch")
                          .Register(*registry)),
      batch_rows(prometheus::BuildHistogram()
                     .Name("glowworm_batch_rows")
                     .Help("Rows that one thread takes at once")
                     .Register(*registry)),
      rows(prometheus::BuildCounter()
               .Name("glowworm_rows_total")
               .Help("Rows computed, by their status; expired and cancelled rows are not among them")
               .Register(*registry)),
      rows_dropped(
          prometheus::BuildCounter()
              .Name("glowworm_rows_dropped_total")
              .Help("Rows admitted that answered nobody: expired, cancelled and abandoned rows were never "
                    "computed, discarded ones were computed too late, failed ones on a device that failed")
              .Register(*registry)),
      batches(prometheus::BuildCounter()
                  .Name("glowworm_batches_total")
                  .Help("Batches, by the reason for which each left the queue")
                  .Register(*registry)),
      pending_rows(prometheus::BuildGauge()
                       .Name("glowworm_pending_rows")
                       .Help("Rows waiting for a thread")
                       .Register(*registry)),
      pending_bytes(prometheus::BuildGauge()
                        .Name("glowworm_pending_bytes")
                        .Help("Bytes of requests and replies held, from admission until the reply is sent")
                        .Register(*registry)),
      negative_log_likelihood(prometheus::BuildHistogram()
                                  .Name("glowworm_negative_log_likelihood_nats_per_dim")
                                  .Help("-log p(x) / D of the rows with a finite one: drift shows here")
                                  .Register(*registry)),
      model_loaded(
          prometheus::BuildGauge()
              .Name("glowworm_model_loaded")
              .Help("1 if the model version is ready, 0 if it is loading, has failed or is unloading")
              .Register(*registry)),
      model_loads(
          prometheus::BuildCounter()
              .Name("glowworm_model_loads_total")
              .Help("Versions of a model that were loaded, or could not be, by the result: ok or failed")
              .Register(*registry)),
      model_load_seconds(prometheus::BuildGauge()
                             .Name("glowworm_model_load_seconds")
                             .Help("Time that loading and warming up took")
                             .Register(*registry)),
      condition_number(prometheus::BuildGauge()
                           .Name("glowworm_model_condition_number")
                           .Help("The largest condition number of the flow's linear layers")
                           .Register(*registry)) {}

Metrics::Metrics()
    : registry_(std::make_shared<prometheus::Registry>()),
      families_(registry_.get()),
      in_flight_(&prometheus::BuildGauge()
                      .Name("glowworm_requests_in_flight")
                      .Help("Calls that have arrived and not ended")
                      .Register(*registry_)
                      .Add({})),
      auth_failures_(prometheus::BuildCounter()
                         .Name("glowworm_auth_failures_total")
                         .Help("Calls refused for their token, by the reason")
                         .Register(*registry_)),
      credentials_kept_(
          prometheus::BuildCounter()
              .Name("glowworm_credentials_kept_total")
              .Help("Readings of certificates or tokens that failed: the old ones stay in force")
              .Register(*registry_)),
      certificate_end_(prometheus::BuildGauge()
                           .Name("glowworm_tls_certificate_expiry_timestamp_seconds")
                           .Help("When the server's certificate ends, in seconds since 1970")
                           .Register(*registry_)),
      scrape_(std::make_shared<Scrape>(this)) {
  prometheus::BuildGauge()
      .Name("glowworm_build_info")
      .Help("Always 1; the label tells the server's version")
      .Register(*registry_)
      .Add({{"version", kServerVersion}})
      .Set(1);
}

Metrics::~Metrics() = default;

std::shared_ptr<ModelMetrics> Metrics::ForModel(const std::string& model, const std::string& version) {
  const Key key(model, version);
  MutexLock lock(&mutex_);
  Entry& entry = models_[key];
  if (entry.pointers++ == 0) entry.metrics = std::make_unique<ModelMetrics>(&families_, model, version);
  return std::shared_ptr<ModelMetrics>(entry.metrics.get(), [this, key](ModelMetrics*) { Release(key); });
}

void Metrics::Release(const Key& key) {
  MutexLock lock(&mutex_);
  const auto it = models_.find(key);
  if (--it->second.pointers == 0) models_.erase(it);
}

void Metrics::LoadEnded(const std::string& model, bool ok) {
  for (const bool result : {true, false}) {  // both: a first failure must show as a rise
    prometheus::Counter& counter =
        families_.model_loads.Add({{"model", model}, {"result", result ? "ok" : "failed"}});
    if (result == ok) counter.Increment();
  }
}

void Metrics::ReadBatchers() {
  MutexLock lock(&mutex_);
  for (auto& [key, entry] : models_) entry.metrics->ReadBatchers();
}

absl::Status Metrics::Listen(const std::string& address) {
  try {
    exposer_ = std::make_unique<prometheus::Exposer>(
        std::vector<std::string>{"listening_ports", address, "num_threads", kExposerThreads,
                                 "request_timeout_ms", kHalfSentRequestMs});
    exposer_->RegisterCollectable(scrape_);
    port_ = exposer_->GetListeningPorts().at(0);
  } catch (const std::exception&) {
    return absl::UnavailableError(absl::StrCat("cannot listen for metrics on ", address,
                                               ": the port is taken or the address is not this machine's"));
  }
  return absl::OkStatus();
}

std::string Metrics::Text() const { return prometheus::TextSerializer().Serialize(scrape_->Collect()); }

}  // namespace glowworm
