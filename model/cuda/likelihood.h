// FinishLogLikelihood: what the ops summed up per row, and per class, becomes log p. Tested by
// tests/model/cuda/emit_latent_test.cc.

#ifndef GLOWWORM_MODEL_CUDA_LIKELIHOOD_H_
#define GLOWWORM_MODEL_CUDA_LIKELIHOOD_H_

#include "model/cuda/tile.h"

namespace glowworm::cuda {

// log p of each row = constant + log_density, plus its class's log density, or, where class_label is -1, the
// log of the classes' sum by their weights. log_class_weight: (K), normalised, on the device.
void FinishLogLikelihood(const TileState& state, double constant, const double* log_class_weight,
                         double* log_likelihood);  // (rows)

}  // namespace glowworm::cuda

#endif  // GLOWWORM_MODEL_CUDA_LIKELIHOOD_H_
