// LearnedPermutation: a permutation of channels found by gradient descent, through the Gumbel-Sinkhorn
// relaxation of Mena et al. 2018 (arXiv:1802.08665). Tested by tests/model/train/learned_permutation_test.cc.
//
// X holds a logit for every place (i, j) that input j could take. H is the permutation of the largest sum of
// logits, S = Sinkhorn(X / temperature) the relaxed one, which tends to H as the temperature falls.
// - Up to kHardFrom of training W = kHardShare H + (1 - kHardShare) S, H and S from logits with Gumbel noise,
//   is what is applied, and log|det W| is counted. Temperature and noise fall as training goes on.
// - From then on W = H exactly, without noise and with a log-det of 0; the gradient is that of S.
// - In evaluation W = H always.
//
// Why a share of H: S alone can be singular, uniform rows being the plainest case, and between permutations
// of opposite sign the determinant must pass through 0, a wall of log|det W| = -inf that descent does not
// cross. With a share above one half W's rows sum to 1 with more than half of it in the place that H chooses,
// so that its eigenvalues stay 2 kHardShare - 1 away from 0 whatever the logits are (Gershgorin), and H moves
// from permutation to permutation freely.

#ifndef GLOWWORM_MODEL_TRAIN_LEARNED_PERMUTATION_H_
#define GLOWWORM_MODEL_TRAIN_LEARNED_PERMUTATION_H_

#include <torch/types.h>

#include <cstdint>
#include <string>

#include "model/train/linear_layer.h"

namespace glowworm {
namespace train {

class LearnedPermutation : public LinearLayer {
 public:
  static constexpr double kHardFrom = 0.6;    // of training
  static constexpr double kHardShare = 0.55;  // of H in W before that

  // Starts near a permutation drawn at random.
  explicit LearnedPermutation(int64_t channels);
  LayerOutput Forward(const torch::Tensor& x, const Conditions& conditions) override;
  Layer Export(const std::string& name) const override;
  // NaN throughout if a logit is not finite.
  torch::Tensor Weight() const override;
  void SetProgress(double fraction) override { progress_ = fraction; }

 private:
  torch::Tensor Logits() const;  // X, (c, c)

  torch::Tensor scaled_logits_;  // (c, c)
  double progress_ = 0;          // of training; the trainer says it again when it resumes
};

}  // namespace train
}  // namespace glowworm

#endif  // GLOWWORM_MODEL_TRAIN_LEARNED_PERMUTATION_H_
