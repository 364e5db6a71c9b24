// ServedModel: one loaded model version: its flow, its three batchers and its metrics.
//
// Immutable after creation; thread-safe. Calls hold it by shared_ptr, so that a version goes when its last
// call ends. Tested by tests/server/repository_test.cc and service_test.cc.

#ifndef GLOWWORM_SERVER_SERVED_MODEL_H_
#define GLOWWORM_SERVER_SERVED_MODEL_H_

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "model/flow.h"
#include "server/batcher.h"
#include "server/compute_pool.h"
#include "server/model_metrics.h"

namespace glowworm {

// The status of a call whose batch failed carries an empty payload under this name: the log has it already.
inline constexpr char kLogged[] = "glowworm-logged";

class ServedModel {
 public:
  // `batching` gives the limits; its compute and on_batch are set here. Runs one row each way through the
  // flow, so that the first call finds it warm; blocks for that, and fails if the flow does. REQUIRES: `pool`
  // outlives the model.
  static absl::StatusOr<std::shared_ptr<const ServedModel>> Create(std::string name, int64_t version,
                                                                   std::shared_ptr<const Flow> flow,
                                                                   std::shared_ptr<ModelMetrics> metrics,
                                                                   BatcherOptions batching,
                                                                   ComputePool* pool);
  ~ServedModel();
  ServedModel(const ServedModel&) = delete;
  ServedModel& operator=(const ServedModel&) = delete;

  const std::string& name() const { return name_; }
  int64_t version() const { return version_; }
  const FlowInfo& info() const { return flow_->info(); }
  // Payloads are EncodePayload, DecodePayload and SamplePayload of payload.h.
  Batcher* batcher(Work work) const { return batchers_[static_cast<int>(work)].get(); }
  ModelMetrics* metrics() const { return metrics_.get(); }

  // Of all three batchers; see batcher.h.
  void Drain() const;
  void Abandon() const;
  bool WaitUntilIdle(absl::Time deadline) const;

 private:
  ServedModel(std::string name, int64_t version, std::shared_ptr<const Flow> flow,
              std::shared_ptr<ModelMetrics> metrics);
  ModelMetrics::Batchers Batchers() const;

  const std::string name_;
  const int64_t version_;
  const std::shared_ptr<const Flow> flow_;
  const std::shared_ptr<ModelMetrics> metrics_;
  std::array<std::unique_ptr<Batcher>, kWorks> batchers_;  // constant after Create
};

}  // namespace glowworm

#endif  // GLOWWORM_SERVER_SERVED_MODEL_H_
