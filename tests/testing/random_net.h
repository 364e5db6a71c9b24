// Random conditioner networks, over rows (dense) or images (convolutions). Part of random_flow.h.

#ifndef GLOWWORM_TESTS_TESTING_RANDOM_NET_H_
#define GLOWWORM_TESTS_TESTING_RANDOM_NET_H_

#include <cstdint>
#include <vector>

#include "model/flow_spec.h"
#include "tests/testing/random_numbers.h"

namespace glowworm {

struct NetOptions {
  ActivationKind activation = ActivationKind::kTanh;
  Pad pad = Pad::kZero;  // of convolutions
  int64_t kernel = 3;    // of the convolutions that are not 1x1
  int64_t hidden = 9;
  bool bias = true;
  bool residual = false;
  bool gate = false;    // of the residual; needs a context
  bool concat = false;  // rows only; needs a context
};

// in -> hidden -> ... -> out channels, at the positions of `shape`; the last op is small, so that shifts and
// raw scales are. Without a context `gate` and `concat` are ignored.
Net RandomNet(const NetOptions& options, int64_t in, int64_t out, bool image, int64_t context_size,
              RandomNumbers& random);

// A net over rows whose output is a block of `block` numbers for each of the features 0..D-1: that of feature
// order[k] depends on the features order[0..k-1] and the context alone, because of weights that are an exact
// 0 (masks as in MADE: Germain et al. 2015, arXiv:1502.03509). Residuals may be nested, around the features
// or around the outputs.
Net RandomMaskedNet(const NetOptions& options, const std::vector<int64_t>& order, int64_t block,
                    int64_t context_size, RandomNumbers& random);

// Options drawn at random, of every kind.
NetOptions AnyNetOptions(RandomNumbers& random);

}  // namespace glowworm

#endif  // GLOWWORM_TESTS_TESTING_RANDOM_NET_H_
