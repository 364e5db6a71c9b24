// Publish: a trained flow becomes a file that the server serves, but only if the serving library, reading
// that file, agrees with libtorch. Entry: Publish(). Tested by tests/model/train/publish_test.cc.

#ifndef GLOWWORM_MODEL_TRAIN_PUBLISH_H_
#define GLOWWORM_MODEL_TRAIN_PUBLISH_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "model/flow_spec.h"
#include "model/train/data_set.h"
#include "model/train/flow_model.h"

namespace glowworm {
namespace train {

// |log p - log p'| <= kAgreement * max(1, |log p|), both in float64.
constexpr double kAgreement = 1e-8;
// Compared and used for the quantiles: all held-out rows or, of more, so many, evenly spaced over each part.
constexpr int64_t kMaxHeldOutRows = 4096;

struct Published {
  double disagreement = 0;             // the largest, relative to max(1, |log p|)
  std::vector<double> log_likelihood;  // of the rows used, part by part, by the serving library in float64
  std::vector<int64_t> rows;           // used of each part
};

// Writes `path` whole or not at all. The file has calibration quantiles from `held_out` rows and
// `provenance`. Leaves the model in float64. Internal if the two libraries disagree, or the file does not
// read back: nothing is written then, and nothing is left. REQUIRES: the model on the CPU; a held-out row
absl::StatusOr<Published> Publish(FlowModel* model, const std::vector<const DataSet*>& held_out,
                                  const std::string& name, const std::string& description,
                                  const std::map<std::string, std::string>& provenance,
                                  const std::string& path);

// The same of any flow that claims to be `model`, in float64: `spec` says all but the calibration.
absl::StatusOr<Published> PublishAs(FlowSpec spec, FlowModel* model,
                                    const std::vector<const DataSet*>& held_out, const std::string& path);

}  // namespace train
}  // namespace glowworm

#endif  // GLOWWORM_MODEL_TRAIN_PUBLISH_H_
