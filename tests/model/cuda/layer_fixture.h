// LayerTest<T>: an op on rows of a tile, and a tile's rows as the gold standard has them. Used by
// pointwise_test.cc and coupling_test.cc.

#ifndef GLOWWORM_TESTS_MODEL_CUDA_LAYER_FIXTURE_H_
#define GLOWWORM_TESTS_MODEL_CUDA_LAYER_FIXTURE_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <vector>

#include "model/cuda/tile.h"
#include "model/flow_spec.h"
#include "tests/model/cuda/kernel_fixture.h"
#include "tests/testing/reference_net.h"

namespace glowworm::cuda {

// Sizes around those of packs, segments and products.
inline constexpr int64_t kRaggedRows[] = {1, 3, 31, 33, 257};

// Row `row` of (rows, positions, c).
template <typename T>
ReferenceEvent EventOf(const std::vector<T>& numbers, int64_t row, const EventShape& shape) {
  ReferenceEvent event = ZeroEvent(shape.channels, shape.height, shape.width);
  for (int64_t p = 0; p < shape.positions(); ++p) {
    for (int64_t c = 0; c < shape.channels; ++c) {
      event.at(c, p) = static_cast<double>(numbers[row * shape.size() + p * shape.channels + c]);
    }
  }
  return event;
}

template <typename T>
class LayerTest : public KernelTest {
 protected:
  static constexpr double kEpsilon = std::numeric_limits<T>::epsilon();

  // The nearest numbers that T has.
  static std::vector<T> Rounded(const std::vector<double>& values) {
    return std::vector<T>(values.begin(), values.end());
  }
  static std::vector<double> Exact(const std::vector<double>& values) {
    const std::vector<T> rounded = Rounded(values);
    return std::vector<double>(rounded.begin(), rounded.end());
  }

  struct Answer {
    std::vector<T> numbers;                        // (rows, positions, c) of the shape after
    std::vector<double> log_density;               // (rows)
    std::vector<unsigned char> outside, overflow;  // (rows)
  };
  // move(Tile<T>*) on rows of `shape` with the numbers x, (rows, positions, c).
  template <typename Move>
  Answer Apply(const EventShape& shape, const std::vector<T>& x, const std::vector<T>& context,
               const Move& move) {
    const int64_t rows = static_cast<int64_t>(x.size()) / shape.size();
    const Tile<T> tile = Run(NewTile(rows, shape, x, context), move);
    return {FromDevice(tile.x, rows * shape.size()), FromDevice(state_.log_density, rows),
            FromDevice(state_.outside, rows), FromDevice(state_.overflow, rows)};
  }
  template <typename Op>
  Answer Forward(const Op& op, const EventShape& shape, const std::vector<T>& x,
                 const std::vector<T>& context = {}) {
    return Apply(shape, x, context, [&](Tile<T>* tile) { op.Forward(*tile); });
  }
  template <typename Op>
  Answer Inverse(const Op& op, const EventShape& shape, const std::vector<T>& x,
                 const std::vector<T>& context = {}) {
    return Apply(shape, x, context, [&](Tile<T>* tile) { op.Inverse(*tile); });
  }
};

}  // namespace glowworm::cuda

#endif  // GLOWWORM_TESTS_MODEL_CUDA_LAYER_FIXTURE_H_
