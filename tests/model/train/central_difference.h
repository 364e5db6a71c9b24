// Autograd's gradients of a module's parameters against central finite differences, in float64.

#ifndef GLOWWORM_TESTS_MODEL_TRAIN_CENTRAL_DIFFERENCE_H_
#define GLOWWORM_TESTS_MODEL_TRAIN_CENTRAL_DIFFERENCE_H_

#include <torch/nn/module.h>
#include <torch/types.h>

#include <functional>

namespace glowworm {
namespace train {

// Expects the gradient of `f`, a scalar (), with respect to every entry of every parameter of `module` to be
// its difference quotient, within the quotient's own error: the change that a doubled step makes, which is
// three times its truncation, and the rounding of f over the step. REQUIRES: float64 parameters
void ExpectGradientsOfFiniteDifferences(torch::nn::Module* module, const std::function<torch::Tensor()>& f);

}  // namespace train
}  // namespace glowworm

#endif  // GLOWWORM_TESTS_MODEL_TRAIN_CENTRAL_DIFFERENCE_H_
