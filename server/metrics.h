// Metrics: what the server tells Prometheus, and the listener that is scraped.
//
// Metrics owns the registry and its families; ModelMetrics (model_metrics.h) holds one model version's
// children, resolved once. Observed per call or per batch, never per row. Thread-safe. Tested by
// tests/server/metrics_test.cc.

#ifndef GLOWWORM_SERVER_METRICS_H_
#define GLOWWORM_SERVER_METRICS_H_

#include <prometheus/collectable.h>
#include <prometheus/counter.h>
#include <prometheus/exposer.h>
#include <prometheus/family.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "model/devices.h"
#include "server/mutex.h"

namespace glowworm {

class ModelMetrics;

class Metrics {
 public:
  Metrics();
  ~Metrics();
  Metrics(const Metrics&) = delete;
  Metrics& operator=(const Metrics&) = delete;

  // The series of one model version; ("", "") stands for calls that reach no ready or failed one. They
  // disappear when the last pointer to them goes. REQUIRES: *this outlives it.
  std::shared_ptr<ModelMetrics> ForModel(const std::string& model, const std::string& version);

  // Calls between arrival and end.
  void CallStarted() { in_flight_->Increment(); }
  void CallEnded() { in_flight_->Decrement(); }

  // A call or a file of credentials was not taken; `reason` and `what` come from a short, closed list.
  void AuthenticationRefused(const std::string& reason) {
    auth_failures_.Add({{"reason", reason}}).Increment();
  }
  void CredentialsKept(const std::string& what) { credentials_kept_.Add({{"what", what}}).Increment(); }
  void SetCertificateEnd(absl::Time end) {
    certificate_end_.Add({}).Set(absl::ToDoubleSeconds(end - absl::UnixEpoch()));
  }

  // Asks the devices at each scrape. REQUIRES: called before Listen, if at all.
  void Watch(std::shared_ptr<const Devices> devices) { devices_ = std::move(devices); }

  // One load of a version of that model has ended.
  void LoadEnded(const std::string& model, bool ok);

  // Serves GET /metrics at `address` ("127.0.0.1:9464"; port 0 picks one) with eight threads, so that
  // half-sent requests do not block a scrape. Unavailable if nothing can listen there.
  absl::Status Listen(const std::string& address);
  // 0 before Listen.
  int port() const { return port_; }

  // What a scrape would say.
  std::string Text() const;

  // The families, for ModelMetrics.
  struct Families {
    explicit Families(prometheus::Registry* registry);
    prometheus::Family<prometheus::Counter>& requests;
    prometheus::Family<prometheus::Histogram>& request_seconds;
    prometheus::Family<prometheus::Counter>& refusals;
    prometheus::Family<prometheus::Histogram>& queue_seconds;
    prometheus::Family<prometheus::Histogram>& compute_seconds;
    prometheus::Family<prometheus::Histogram>& batch_rows;
    prometheus::Family<prometheus::Counter>& rows;
    prometheus::Family<prometheus::Counter>& rows_dropped;
    prometheus::Family<prometheus::Counter>& batches;
    prometheus::Family<prometheus::Gauge>& pending_rows;
    prometheus::Family<prometheus::Gauge>& pending_bytes;
    prometheus::Family<prometheus::Histogram>& negative_log_likelihood;
    prometheus::Family<prometheus::Gauge>& model_loaded;
    prometheus::Family<prometheus::Counter>& model_loads;
    prometheus::Family<prometheus::Gauge>& model_load_seconds;
    prometheus::Family<prometheus::Gauge>& condition_number;
  };

 private:
  using Key = std::pair<std::string, std::string>;
  struct Entry {
    int pointers = 0;
    std::unique_ptr<ModelMetrics> metrics;
  };
  class Scrape;

  void Release(const Key& key);
  void ReadBatchers();

  const std::shared_ptr<prometheus::Registry> registry_;
  Families families_;
  prometheus::Gauge* in_flight_;
  prometheus::Family<prometheus::Counter>& auth_failures_;
  prometheus::Family<prometheus::Counter>& credentials_kept_;
  prometheus::Family<prometheus::Gauge>& certificate_end_;
  const std::shared_ptr<prometheus::Collectable> scrape_;
  std::shared_ptr<const Devices> devices_;  // constant once it listens; may be null
  int port_ = 0;

  mutable Mutex mutex_;
  std::map<Key, Entry> models_
      ABSL_GUARDED_BY(mutex_);  // counted: prometheus-cpp has one object per label set

  std::unique_ptr<prometheus::Exposer> exposer_;  // last: its threads read all of the above
};

}  // namespace glowworm

#endif  // GLOWWORM_SERVER_METRICS_H_
