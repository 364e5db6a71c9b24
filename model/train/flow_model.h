// FlowModel: a flow as it is trained: fixed preprocessing in float64, then FlowLayers, splits and a base,
// with log p = log p_base(z) + sum of log-dets + sum of the splits' log p. Tested by
// tests/model/train/flow_model_test.cc.

#ifndef GLOWWORM_MODEL_TRAIN_FLOW_MODEL_H_
#define GLOWWORM_MODEL_TRAIN_FLOW_MODEL_H_

#include <torch/nn/module.h>
#include <torch/types.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "model/flow_spec.h"
#include "model/train/actnorm.h"
#include "model/train/config.h"
#include "model/train/data_set.h"
#include "model/train/flow_layer.h"
#include "model/train/linear_layer.h"
#include "model/train/training_record.h"

namespace glowworm {
namespace train {

// Not thread-safe. Parameters are float32 after Create(); to(torch::kFloat64) makes all of it float64.
class FlowModel : public torch::nn::Module {
 public:
  // Draws its start from torch's default generator. Standardises by the mean and deviation of `train`.
  // InvalidArgument where architecture and data do not fit.
  static absl::StatusOr<std::shared_ptr<FlowModel>> Create(const FlowConfig& config, const DataSet& train);

  // log p of raw rows, (n) float64, in nats; differentiable.
  torch::Tensor LogProb(const torch::Tensor& x,  // (n, D) or (n, C, H, W), of any dtype
                        const Conditions& conditions);
  // Data-dependent initialisation with these rows; once, before training.
  void Initialize(const torch::Tensor& x, const Conditions& conditions);

  // For training: what LogProb does up to the preprocessing, in the parameters' dtype, and the rest.
  // log p(x) = Preprocess(x).log_det + LogProbOfFeatures(Preprocess(x).y).
  LayerOutput Preprocess(const torch::Tensor& x) const;
  torch::Tensor LogProbOfFeatures(const torch::Tensor& y, const Conditions& conditions);

  // Moves each plu and qr layer's mean log s into the actnorm before it. The same function, the same log p.
  void NormalizeScales();
  // Of learned permutations: see LinearLayer.
  void SetProgress(double fraction);
  // InvalidArgument names the first linear layer that is not finite or whose condition number is above
  // `limit`.
  absl::StatusOr<Conditioning> CheckConditioning(double limit) const;

  // Layers, base and event; the caller adds name, description, calibration and provenance.
  FlowSpec Export() const;
  int64_t ParameterCount() const;

 private:
  FlowModel() = default;
  // One step of the chain: a layer, or a split where `layer` is null.
  struct Step {
    std::string name;
    std::shared_ptr<FlowLayer> layer;
  };
  std::vector<Layer> preprocessing_;  // affine and logit
  std::vector<Step> steps_;
};

}  // namespace train
}  // namespace glowworm

#endif  // GLOWWORM_MODEL_TRAIN_FLOW_MODEL_H_
