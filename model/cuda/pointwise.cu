// Implements model/cuda/pointwise.h. One pack a thread, where nothing else is said; a place in a row is found
// by one division of 32 bits and stepped along the pack. REQUIRES of all: fewer than 2^31 numbers a tile.

#include "model/cuda/pointwise.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "model/cuda/convert.h"
#include "model/cuda/epilogue.h"
#include "model/cuda/launch.h"
#include "model/cuda/pack.h"
#include "model/cuda/row_sum.h"

namespace glowworm::cuda {
namespace {

// Where pack i begins in rows of n numbers.
template <typename T>
GLOWWORM_BODY inline uint32_t PlaceInRow(int64_t i, uint32_t n) {
  return static_cast<uint32_t>(i * Pack<T>::kSize) % n;
}

template <typename T>
struct AffineForward {
  T* x;            // (rows, n)
  const T* scale;  // (n)
  const T* shift;  // (n)
  uint32_t n;

  GLOWWORM_BODY void operator()(int64_t i) const {
    Pack<T> pack = LoadPack(x, i);
    uint32_t at = PlaceInRow<T>(i, n);
    for (T& v : pack.v) {
      v = v * scale[at] + shift[at];
      if (++at == n) at = 0;
    }
    StorePack(x, i, pack);
  }
};

template <typename T>
struct AffineInverse {
  T* x;            // (rows, n)
  const T* scale;  // (n)
  const T* shift;  // (n)
  uint32_t n;

  GLOWWORM_BODY void operator()(int64_t i) const {
    Pack<T> pack = LoadPack(x, i);
    uint32_t at = PlaceInRow<T>(i, n);
    for (T& v : pack.v) {
      v = (v - shift[at]) / scale[at];
      if (++at == n) at = 0;
    }
    StorePack(x, i, pack);
  }
};

// y's numbers, of rows of n, from other places of x's. A pack has one row: n is a multiple of 4.
template <typename T>
struct MoveInRows {
  const T* x;           // (rows, n)
  T* y;                 // (rows, n)
  const int32_t* from;  // (n)
  uint32_t n;

  GLOWWORM_BODY void operator()(int64_t i) const {
    const uint32_t at = PlaceInRow<T>(i, n);
    const T* row = x + (static_cast<uint32_t>(i * Pack<T>::kSize) - at);
    Pack<T> pack;
    for (int j = 0; j < Pack<T>::kSize; ++j) pack.v[j] = row[from[at + j]];
    StorePack(y, i, pack);
  }
};

template <typename T>
struct LogitForward {
  T* x;               // (rows, positions, c)
  T* log_derivative;  // + log(1 - 2 alpha)
  T alpha;

  GLOWWORM_BODY void operator()(int64_t i) const {
    Pack<T> pack = LoadPack(x, i), derivative;
    for (int j = 0; j < Pack<T>::kSize; ++j) {
      const T u = alpha + (1 - 2 * alpha) * pack.v[j];
      const T log_u = std::log(u), minus_log1m = -std::log1p(-u);
      pack.v[j] = log_u + minus_log1m;
      derivative.v[j] = minus_log1m - log_u;
    }
    StorePack(x, i, pack);
    StorePack(log_derivative, i, derivative);
  }
};

// Where u lies in (0, 1), -log u - log(1 - u) is positive and finite; elsewhere it is Inf or NaN. So the sum
// tells whether all of a row's did.
struct AddToRowOrMark {
  double* to;              // (rows)
  unsigned char* outside;  // (rows)

  GLOWWORM_BODY void operator()(int64_t row, double sum) const {
    to[row] += sum;
    if (!(sum < std::numeric_limits<double>::infinity())) outside[row] = 1;
  }
};

template <typename T>
struct LogitInverse {
  T* x;  // (rows, positions, c)
  T alpha;

  GLOWWORM_BODY void operator()(int64_t i) const {
    Pack<T> pack = LoadPack(x, i);
    for (T& v : pack.v) v = (1 / (1 + std::exp(-v)) - alpha) / (1 - 2 * alpha);
    StorePack(x, i, pack);
  }
};

// ---------------------------------------------------------------------------------------------------------

// (c) repeats over the positions.
std::vector<double> Repeated(const std::vector<double>& given, int64_t size) {
  std::vector<double> out;
  for (int64_t i = 0; i < size; ++i) out.push_back(given[i % given.size()]);
  return out;
}

// Number i of a squeezed row is number [i] of the row before.
std::vector<int32_t> SqueezedFrom(const SqueezeMove& op) {
  const int64_t c = op.channels, w = op.width;
  std::vector<int32_t> from;
  for (int64_t i = 0; i < op.height / 2; ++i) {
    for (int64_t j = 0; j < op.width / 2; ++j) {
      for (int64_t to = 0; to < 4 * c; ++to) {
        const bool channel_major = op.order == SqueezeOrder::kChannelMajor;
        const int64_t channel = channel_major ? to / 4 : to % c;
        const int64_t parity = channel_major ? to % 4 : to / c;
        from.push_back(static_cast<int32_t>(((2 * i + parity / 2) * w + 2 * j + parity % 2) * c + channel));
      }
    }
  }
  return from;
}

std::vector<int32_t> Inverted(const std::vector<int32_t>& index) {
  std::vector<int32_t> out(index.size());
  for (size_t i = 0; i < index.size(); ++i) out[index[i]] = static_cast<int32_t>(i);
  return out;
}

}  // namespace

template <typename T>
AffineOp<T>::AffineOp(const ElementwiseAffine& op, const EventShape& shape, ConstantPool* constants)
    : size_(shape.size()),
      scale_(constants->Add<T>(Repeated(op.scale, size_))),
      shift_(constants->Add<T>(Repeated(op.shift, size_))) {}

template <typename T>
void AffineOp<T>::Forward(const Tile<T>& tile) const {
  Queue* queue = tile.state->queue;
  Launch(queue, Packs<T>(tile.state->rows * size_),
         AffineForward<T>{tile.x, scale_.on(*queue), shift_.on(*queue), static_cast<uint32_t>(size_)});
}

template <typename T>
void AffineOp<T>::Inverse(const Tile<T>& tile) const {
  Queue* queue = tile.state->queue;
  Launch(queue, Packs<T>(tile.state->rows * size_),
         AffineInverse<T>{tile.x, scale_.on(*queue), shift_.on(*queue), static_cast<uint32_t>(size_)});
}

template <typename T>
MixOp<T>::MixOp(const ChannelMix& op, const EventShape& shape, ConstantPool* constants)
    : channels_(op.channels), positions_(shape.positions()) {
  if (op.wide && !std::is_same_v<T, double>) {
    wide_forward_ = Make<double>(channels_, op.weight, op.bias, constants);
    wide_inverse_ = Make<double>(channels_, op.inverse, op.inverse_bias, constants);
  } else {
    forward_ = Make<T>(channels_, op.weight, op.bias, constants);
    inverse_ = Make<T>(channels_, op.inverse, op.inverse_bias, constants);
  }
}

template <typename T>
template <typename P>
MixOp<T>::BiasedProduct<P> MixOp<T>::Make(int64_t channels, const std::vector<double>& weight,
                                          const std::vector<double>& bias, ConstantPool* constants) {
  const bool zero = std::all_of(bias.begin(), bias.end(), [](double b) { return b == 0; });
  return {Product<P>(channels, channels, weight, constants), zero ? Constant<P>() : constants->Add<P>(bias)};
}

template <typename T>
void MixOp<T>::Run(const std::optional<BiasedProduct<T>>& narrow,
                   const std::optional<BiasedProduct<double>>& wide, Tile<T>* tile) const {
  Queue* queue = tile->state->queue;
  const int64_t n = tile->state->rows * positions_;
  const auto multiply = [&](const auto& mix, const auto* x, auto* y) {
    mix.product.Run(queue, n, x, y, /*accumulate=*/false);
    AddBias(queue, n, channels_, mix.bias, std::nullopt, y);
  };
  if (narrow) {
    multiply(*narrow, tile->x, tile->y);
  } else if constexpr (std::is_same_v<T, float>) {  // `wide` is for nobody else
    Arena& arena = tile->state->arena();
    const Arena::Mark mark = arena.mark();
    auto* x = arena.template TakeColumns<double>(n, channels_);  // (rows, positions, c)
    auto* y = arena.template TakeColumns<double>(n, channels_);  // (rows, positions, c)
    ConvertNumbers(queue, n * channels_, static_cast<const float*>(tile->x), x);
    multiply(*wide, x, y);
    ConvertNumbers(queue, n * channels_, static_cast<const double*>(y), tile->y);
    arena.Release(mark);
  }
  tile->Swap();
}

template <typename T>
SqueezeOp<T>::SqueezeOp(const SqueezeMove& op, ConstantPool* constants)
    : from_(constants->Add<int32_t>(SqueezedFrom(op))),
      back_(constants->Add<int32_t>(Inverted(SqueezedFrom(op)))) {}

template <typename T>
void SqueezeOp<T>::Run(const Constant<int32_t>& from, Tile<T>* tile) const {
  Queue* queue = tile->state->queue;
  Launch(queue, Packs<T>(tile->state->rows * from.size),
         MoveInRows<T>{tile->x, tile->y, from.on(*queue), static_cast<uint32_t>(from.size)});
  tile->Swap();
}

template <typename T>
void LogitOp<T>::Forward(const Tile<T>& tile) const {
  const TileState& state = *tile.state;
  Arena& arena = state.arena();
  const Arena::Mark mark = arena.mark();
  auto* log_derivative = arena.template Take<T>(state.rows * size_);  // (rows, n)
  Launch(state.queue, Packs<T>(state.rows * size_), LogitForward<T>{tile.x, log_derivative, alpha_});
  SumRows(state.queue, state.rows, size_, NumberAt<T>{log_derivative},
          AddToRowOrMark{state.log_density, state.outside});
  arena.Release(mark);
}

template <typename T>
void LogitOp<T>::Inverse(const Tile<T>& tile) const {
  Launch(tile.state->queue, Packs<T>(tile.state->rows * size_), LogitInverse<T>{tile.x, alpha_});
}

template class AffineOp<float>;
template class AffineOp<double>;
template class MixOp<float>;
template class MixOp<double>;
template class SqueezeOp<float>;
template class SqueezeOp<double>;
template class LogitOp<float>;
template class LogitOp<double>;

}  // namespace glowworm::cuda
