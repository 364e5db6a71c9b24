#include "model/train/evaluation.h"

#include <ATen/CPUGeneratorImpl.h>

#include <algorithm>
#include <vector>

namespace glowworm {
namespace train {
namespace {

constexpr int64_t kRowsAtOnce = 512;
constexpr uint64_t kNoiseSeed = 0x676c6f77;

// Seeds the default generator for a scope, and gives it its state back.
class SeededScope {
 public:
  explicit SeededScope(uint64_t seed)
      : generator_(at::detail::getDefaultCPUGenerator()), state_(generator_.get_state()) {
    generator_.set_current_seed(seed);
  }
  ~SeededScope() { generator_.set_state(state_); }
  SeededScope(const SeededScope&) = delete;
  SeededScope& operator=(const SeededScope&) = delete;

 private:
  at::Generator generator_;
  const torch::Tensor state_;
};

}  // namespace

Conditions ConditionsOf(const DataSet& data, const torch::Tensor& index, torch::Device device) {
  Conditions conditions;
  if (data.context.defined()) conditions.context = data.context.index_select(0, index).to(device);
  if (data.label.defined()) conditions.label = data.label.index_select(0, index).to(device);
  return conditions;
}

torch::Tensor Dequantize(const DataSet& data, const torch::Tensor& x) {
  if (!data.event.image) return x;
  return x.to(torch::kFloat32) + (torch::rand(x.sizes()) - 0.5);
}

torch::Tensor LogProbs(FlowModel* model, const DataSet& data, PixelNoise noise) {
  torch::NoGradGuard no_grad;
  const bool was_training = model->is_training();
  model->eval();
  const torch::Device device = model->device();
  std::vector<torch::Tensor> parts;
  {
    SeededScope seeded(kNoiseSeed);
    for (int64_t begin = 0; begin < data.rows(); begin += kRowsAtOnce) {
      const int64_t count = std::min(kRowsAtOnce, data.rows() - begin);
      const torch::Tensor index = torch::arange(begin, begin + count);
      torch::Tensor x = data.x.narrow(0, begin, count);
      if (noise == PixelNoise::kUniform) x = Dequantize(data, x);
      const torch::Tensor log_prob = model->LogProb(x.to(device), ConditionsOf(data, index, device));
      parts.push_back(log_prob.to(torch::kCPU, torch::kFloat64));
    }
  }
  model->train(was_training);
  return torch::cat(parts);
}

}  // namespace train
}  // namespace glowworm
