// ModelMetrics: the series of one model version. Made by Metrics::ForModel; thread-safe; no call allocates
// but the first with a given status code. Tested by tests/server/metrics_test.cc.

#ifndef GLOWWORM_SERVER_MODEL_METRICS_H_
#define GLOWWORM_SERVER_MODEL_METRICS_H_

#include <array>
#include <atomic>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "server/batcher.h"
#include "server/metrics.h"
#include "server/mutex.h"

namespace glowworm {

enum class Method {
  kListModels,
  kGetModel,
  kLogLikelihood,
  kEncode,
  kDecode,
  kSample,
  kStreamSamples,
  kStreamLogLikelihood,
  kRepositoryIndex,
  kRepositoryModelLoad,
  kRepositoryModelUnload
};
constexpr int kMethods = 11;
const char* MethodName(Method method);

// What a batcher's workers compute. LogLikelihood and Encode share kEncode.
enum class Work { kEncode, kDecode, kSample };
constexpr int kWorks = 3;
const char* WorkName(Work work);

constexpr int kRowStatuses = 4;
constexpr int kBatchReasons = 5;
constexpr int kDropReasons = 5;
constexpr int kCodes = 17;  // google.rpc.Code
constexpr int kRefusalReasons = 8;

class ModelMetrics {
 public:
  ModelMetrics(const Metrics::Families* families, std::string model, std::string version);
  ~ModelMetrics();  // the series disappear
  ModelMetrics(const ModelMetrics&) = delete;
  ModelMetrics& operator=(const ModelMetrics&) = delete;

  // One RPC, from arrival to its end. REQUIRES: 0 <= code < kCodes.
  void CallEnded(Method method, int code, absl::Duration duration);
  // One call, or one message of a stream, was refused for a reason that batcher.h lists; any other counts as
  // "other".
  void Refused(absl::string_view reason);
  // One request's rows left the queue.
  void Queued(Work work, absl::Duration queued);
  // rows[s] rows of one batch ended with RowStatus s.
  void RowsDone(Work work, const std::array<int64_t, kRowStatuses>& rows);
  // One batch on one worker.
  void BatchDone(Work work, const BatchReport& report);
  // -log p / D of a batch's rows. Values that are not finite are left out: `rows` counts them by status.
  void ObserveNegativeLogLikelihood(absl::Span<const double> nats_per_dim);

  // Makes the series of computing, before the first batch. A version that fails to load has none but
  // `loaded`, 0.
  void AddComputeSeries();
  void Loaded(absl::Duration took, double max_condition_number);
  void Unloading() { loaded_->Set(0); }

  // Reads the batchers at each scrape, until StopWatching, beside those watched already: a version that is
  // loaded anew has two sets for a while. REQUIRES: they live until then.
  using Batchers = std::array<const Batcher*, kWorks>;
  void Watch(const Batchers& batchers);
  void StopWatching(const Batchers& batchers);
  // A scrape begins.
  void ReadBatchers();

 private:
  struct WorkSeries {
    prometheus::Histogram* queue_seconds = nullptr;
    prometheus::Histogram* compute_seconds = nullptr;
    prometheus::Histogram* batch_rows = nullptr;
    std::array<prometheus::Counter*, kRowStatuses> rows = {};
    std::array<prometheus::Counter*, kBatchReasons> batches = {};
    std::array<prometheus::Counter*, kDropReasons> dropped = {};
    prometheus::Gauge* pending_rows = nullptr;
    prometheus::Gauge* pending_bytes = nullptr;
  };

  prometheus::Labels Labels() const;
  prometheus::Labels Labels(const char* name, const char* value) const;
  void AddWork(Work work);
  prometheus::Counter* RefusalSeries(int reason);

  const Metrics::Families* const families_;
  const std::string model_, version_;

  // Made when first needed.
  std::array<std::array<std::atomic<prometheus::Counter*>, kCodes>, kMethods> requests_ = {};
  std::array<std::atomic<prometheus::Histogram*>, kMethods> request_seconds_ = {};
  std::array<std::atomic<prometheus::Counter*>, kRefusalReasons> refusals_ = {};

  // Constant once the model serves.
  std::array<WorkSeries, kWorks> work_;
  prometheus::Histogram* negative_log_likelihood_ = nullptr;
  prometheus::Gauge* loaded_ = nullptr;
  prometheus::Gauge* load_seconds_ = nullptr;
  prometheus::Gauge* condition_number_ = nullptr;

  Mutex mutex_;
  bool computes_ ABSL_GUARDED_BY(mutex_) = false;  // work_ is made
  std::vector<Batchers> watched_ ABSL_GUARDED_BY(mutex_);
  using DroppedRows = std::array<std::array<int64_t, kDropReasons>, kWorks>;
  static DroppedRows Dropped(const Batchers& batchers);
  DroppedRows dropped_before_ ABSL_GUARDED_BY(mutex_) = {};  // of those watched no longer
};

}  // namespace glowworm

#endif  // GLOWWORM_SERVER_MODEL_METRICS_H_
