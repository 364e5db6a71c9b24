// What the forms of LinearLayer share: W applied to channels, and random orthogonal matrices to start from.
// Tested by tests/model/train/linear_test.cc.

#ifndef GLOWWORM_MODEL_TRAIN_CHANNEL_PRODUCT_H_
#define GLOWWORM_MODEL_TRAIN_CHANNEL_PRODUCT_H_

#include <torch/types.h>

#include <cstdint>

namespace glowworm {
namespace train {

// W x at each position, in x's shape. An image's result lies channels last, whatever x does: one matrix
// product over all positions, which copies x only if it lies otherwise.
torch::Tensor ApplyToChannels(const torch::Tensor& weight,  // (c, c)
                              const torch::Tensor& x);      // (n, c) or (n, c, h, w)

// h w of an image, 1 of a table.
int64_t Positions(const torch::Tensor& x);

// Uniform over orthogonal matrices (Haar), (c, c) float64, drawn from torch's default generator.
torch::Tensor RandomOrthogonal(int64_t channels);

}  // namespace train
}  // namespace glowworm

#endif  // GLOWWORM_MODEL_TRAIN_CHANNEL_PRODUCT_H_
