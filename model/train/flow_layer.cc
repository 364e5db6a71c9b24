// Implements model/train/flow_layer.h.

#include "model/train/flow_layer.h"

namespace glowworm {
namespace train {

std::vector<double> ToVector(const torch::Tensor& t) {
  const torch::Tensor values = t.detach().to(torch::kCPU, torch::kFloat64).contiguous();
  const double* data = values.data_ptr<double>();
  return std::vector<double>(data, data + values.numel());
}

}  // namespace train
}  // namespace glowworm
