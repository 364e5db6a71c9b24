// FlowModel: a flow as it is trained: fixed preprocessing, then FlowLayers and a base, with log p = log
// p_base(z) + sum of log-dets. Tested by tests/model/train/flow_model_test.cc.

#ifndef GLOWWORM_MODEL_TRAIN_FLOW_MODEL_H_
#define GLOWWORM_MODEL_TRAIN_FLOW_MODEL_H_

#include <torch/nn/module.h>
#include <torch/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "model/flow_spec.h"
#include "model/train/actnorm.h"
#include "model/train/conditioner.h"
#include "model/train/config.h"
#include "model/train/data_set.h"
#include "model/train/flow_layer.h"
#include "model/train/linear_layer.h"
#include "model/train/normal_base.h"
#include "model/train/training_record.h"

namespace glowworm {
namespace train {

// Not thread-safe. Parameters are float32 after Create(); to(torch::kFloat64) makes all of it float64.
class FlowModel : public torch::nn::Module {
 public:
  // Draws its start from torch's default generator. Standardises by the mean and deviation of `train`.
  // InvalidArgument where architecture and data do not fit, or a feature of `train` is constant.
  static absl::StatusOr<std::shared_ptr<FlowModel>> Create(const FlowConfig& config, const DataSet& train);

  // log p of raw rows, (n), nats; differentiable. An image's pixels may be fractions: x + u - 1/2 for
  // dequantisation with u uniform in [0, 1).
  torch::Tensor LogProb(const torch::Tensor& x,  // (n, D) or (n, C, H, W), of any dtype
                        const Conditions& conditions);
  // The two parts of it: log p(x) = Preprocess(x).log_det + LogProbOfFeatures(Preprocess(x).y). Standardised
  // features are computed in float64 and rounded to the parameters' dtype.
  LayerOutput Preprocess(const torch::Tensor& x) const;
  torch::Tensor LogProbOfFeatures(const torch::Tensor& features, const Conditions& conditions);

  // Data-dependent initialisation with these features; once, before training.
  void Initialize(const torch::Tensor& features, const Conditions& conditions);

  // Moves each layer's mean log s into the actnorm before it: the same function, the same log p.
  void NormalizeScales();
  // See LinearLayer::SetProgress.
  void SetProgress(double fraction);
  // InvalidArgument names the first layer, or the base, with a parameter that is not finite, or the layer
  // whose condition number is above `limit`.
  absl::StatusOr<Conditioning> CheckConditioning(double limit) const;

  // The first layer whose answer to these features is not finite, or "the base"; empty if all are.
  std::string FirstNonFinite(const torch::Tensor& features, const Conditions& conditions);

  // The first layer with a gradient that is not finite, or "the base"; empty if all are.
  std::string FirstNonFiniteGradient() const;

  // Layers, base, event and context size; the caller adds name, description, calibration and provenance.
  FlowSpec Export() const;
  int64_t ParameterCount() const;
  torch::Device device() const;  // of all parameters

 private:
  // A layer and its name in the file, "03.coupling".
  struct Step {
    std::string name;
    std::shared_ptr<FlowLayer> layer;
    std::shared_ptr<ActNorm> actnorm;     // `layer`, where it is one
    std::shared_ptr<LinearLayer> linear;  // `layer`, where it is one
  };

  FlowModel(const FlowConfig& config, const DataSet& train);
  void AddPreprocessing(const FlowConfig& config, const DataSet& train);
  void AddSteps(const FlowConfig& config, const ContextScale& context);
  template <typename LayerType>
  std::shared_ptr<LayerType> Add(const std::string& kind, std::shared_ptr<LayerType> layer);

  EventShape event_;  // of the raw rows
  int64_t context_size_ = 0;
  Affine affine_;            // per channel
  double logit_alpha_ = -1;  // < 0: no logit
  std::vector<Step> steps_;
  EventShape latent_;  // of what reaches the base
  std::shared_ptr<NormalBase> base_;
};

}  // namespace train
}  // namespace glowworm

#endif  // GLOWWORM_MODEL_TRAIN_FLOW_MODEL_H_
