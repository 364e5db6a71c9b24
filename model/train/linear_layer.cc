// Implements model/train/linear_layer.h: the choice of a form.

#include "model/train/linear_layer.h"

#include "model/train/full_linear.h"
#include "model/train/learned_permutation.h"
#include "model/train/plu_linear.h"
#include "model/train/qr_linear.h"

namespace glowworm {
namespace train {

std::shared_ptr<LinearLayer> MakeLinear(int64_t channels, const LinearOptions& options) {
  switch (options.kind) {
    case LinearKind::kPlu:
      return std::make_shared<PluLinear>(channels, options.diagonal_map, options.init);
    case LinearKind::kQr:
      return std::make_shared<QrLinear>(channels, options.diagonal_map, options.init);
    case LinearKind::kFull:
      return std::make_shared<FullLinear>(channels, options.init);
    case LinearKind::kLearnedPermutation:
      return std::make_shared<LearnedPermutation>(channels);
  }
  return nullptr;
}

}  // namespace train
}  // namespace glowworm
