// Implements model/cuda/fixed_spline.h. One number a thread.

#include "model/cuda/fixed_spline.h"

#include <vector>

#include "model/cuda/launch.h"
#include "model/cuda/row_sum.h"
#include "model/cuda/spline.h"

namespace glowworm::cuda {
namespace {

// A SplineBin as numbers.
enum BinNumber { kX, kY, kWidth, kHeight, kD0, kD1, kBinNumbers };

// The splines of n channels.
template <typename T>
struct FixedSplines {
  T* x;                    // (rows, positions, c)
  const int32_t* channel;  // (n)
  const double* bins;      // (n, K, 6)
  uint32_t n;
  int32_t num_bins;  // K
  int64_t c;
  double tail_bound;

  // Number i of (rows, positions, n).
  GLOWWORM_BODY T* At(int64_t i) const {
    return x + static_cast<uint32_t>(i) / n * c + channel[static_cast<uint32_t>(i) % n];
  }
  // The bin of number i's spline that `value` lies in; side: kX or kY, the axis that it lies on.
  GLOWWORM_BODY SplineBin Find(int64_t i, BinNumber side, double value) const {
    const double* bin = bins + static_cast<int64_t>(static_cast<uint32_t>(i) % n) * num_bins * kBinNumbers;
    for (int32_t j = 1; j < num_bins && value >= bin[kBinNumbers + side]; ++j) bin += kBinNumbers;
    return {bin[kX], bin[kY], bin[kWidth], bin[kHeight], bin[kD0], bin[kD1]};
  }
};

template <typename T>
struct FixedSplineForward {
  FixedSplines<T> splines;
  T* log_derivative;  // (rows, positions, n)

  GLOWWORM_BODY void operator()(int64_t i) const {
    T* at = splines.At(i);
    const auto x = static_cast<double>(*at);
    const SplinePoint point = EvaluateSpline(splines.tail_bound, splines.Find(i, kX, x), x);
    *at = static_cast<T>(point.value);
    log_derivative[i] = static_cast<T>(point.log_derivative);
  }
};

template <typename T>
struct FixedSplineInverse {
  FixedSplines<T> splines;

  GLOWWORM_BODY void operator()(int64_t i) const {
    T* at = splines.At(i);
    const auto y = static_cast<double>(*at);
    *at = static_cast<T>(InvertSpline(splines.tail_bound, splines.Find(i, kY, y), y).value);
  }
};

// ---------------------------------------------------------------------------------------------------------

// (n, K, 6)
std::vector<double> AllBins(const FixedSpline& op) {
  std::vector<double> out;
  const int64_t count = 3 * op.transform.bins - 1;
  for (size_t j = 0; j < op.channels.size(); ++j) {
    const SplineNumbers<double> numbers{op.parameters.data() + static_cast<int64_t>(j) * count, 1};
    for (int64_t k = 0; k < op.transform.bins; ++k) {
      const SplineBin bin = BinAt(op.transform, numbers, k);
      out.insert(out.end(), {bin.x, bin.y, bin.width, bin.height, bin.d0, bin.d1});
    }
  }
  return out;
}

}  // namespace

template <typename T>
FixedSplineOp<T>::FixedSplineOp(const FixedSpline& op, const EventShape& shape, ConstantPool* constants)
    : tail_bound_(op.transform.tail_bound),
      num_bins_(static_cast<int32_t>(op.transform.bins)),
      channels_(constants->Add<int32_t>(op.channels)),
      bins_(constants->Add<double>(AllBins(op))),
      width_(shape.channels),
      positions_(shape.positions()) {}

template <typename T>
void FixedSplineOp<T>::Forward(const Tile<T>& tile) const {
  const TileState& state = *tile.state;
  const Arena::Mark mark = state.arena().mark();
  const int64_t per_row = positions_ * channels_.size;
  T* log_derivative = state.arena().template Take<T>(state.rows * per_row);  // (rows, positions, n)
  Run(tile, true, log_derivative);
  AddLogDerivatives(state, per_row, log_derivative);
  state.arena().Release(mark);
}

template <typename T>
void FixedSplineOp<T>::Run(const Tile<T>& tile, bool forward, T* log_derivative) const {
  Queue* queue = tile.state->queue;
  const int64_t n = channels_.size, count = tile.state->rows * positions_ * n;
  const FixedSplines<T> splines = {
      tile.x, channels_.on(*queue), bins_.on(*queue), static_cast<uint32_t>(n), num_bins_,
      width_, tail_bound_};
  if (forward) {
    Launch(queue, count, FixedSplineForward<T>{splines, log_derivative});
  } else {
    Launch(queue, count, FixedSplineInverse<T>{splines});
  }
}

template class FixedSplineOp<float>;
template class FixedSplineOp<double>;

}  // namespace glowworm::cuda
