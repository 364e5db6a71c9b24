// Conditioner<T>::Run: the steps that conditioner_build.cu laid out.

#include "model/cuda/conditioner.h"

#include <type_traits>

#include "model/cuda/activation.h"
#include "model/cuda/epilogue.h"
#include "model/cuda/launch.h"
#include "model/cuda/pack.h"

namespace glowworm::cuda {
namespace {

template <typename T>
struct ActivateAll {
  const T* from;  // (rows, positions, width)
  T* to;          // same
  ActivationKind kind;
  T slope;

  GLOWWORM_BODY void operator()(int64_t i) const {
    Pack<T> pack = LoadPack(from, i);
    for (int j = 0; j < Pack<T>::kSize; ++j) pack.v[j] = Activate(kind, slope, pack.v[j]);
    StorePack(to, i, pack);
  }
};

template <typename T>
struct CopyAll {
  const T* from;  // (rows, positions, width)
  T* to;          // same
  GLOWWORM_BODY void operator()(int64_t i) const { StorePack(to, i, LoadPack(from, i)); }
};

template <typename T>
struct AddAll {
  const T* from;  // (rows, positions, width)
  T* to;          // same

  GLOWWORM_BODY void operator()(int64_t i) const {
    const Pack<T> a = LoadPack(from, i);
    Pack<T> b = LoadPack(to, i);
    for (int j = 0; j < Pack<T>::kSize; ++j) b.v[j] += a.v[j];
    StorePack(to, i, b);
  }
};

// One number a thread.
template <typename T>
struct AddGated {
  const T* from;  // (rows, positions, width)
  const T* gate;  // (rows, width)
  T* to;          // as from
  int64_t positions, width;

  GLOWWORM_BODY void operator()(int64_t i) const {
    to[i] += from[i] * gate[i / (positions * width) * width + i % width];
  }
};

// One number of the window a thread, its channel innermost.
template <typename T>
struct UnfoldWindow {
  const T* from;  // (rows, h, w, c)
  T* to;          // (rows, h, w, k, k, c [+ 1])
  T padding;
  int32_t height, width, channels, k;
  bool edge;  // an input more, that is 1 outside

  GLOWWORM_BODY void operator()(int64_t i) const {
    const int32_t inputs = channels + (edge ? 1 : 0);
    const auto number = static_cast<uint32_t>(i);
    const auto c = static_cast<int32_t>(number % static_cast<uint32_t>(inputs));
    const uint32_t place = number / static_cast<uint32_t>(inputs);  // (row, h, w, k, k)
    const auto j = static_cast<int32_t>(place % static_cast<uint32_t>(k * k));
    const uint32_t pixel = place / static_cast<uint32_t>(k * k);  // (row, h, w)
    const auto w = static_cast<int32_t>(pixel % static_cast<uint32_t>(width)) + j % k - k / 2;
    const auto h =
        static_cast<int32_t>(pixel / static_cast<uint32_t>(width) % static_cast<uint32_t>(height)) + j / k -
        k / 2;
    const bool inside = h >= 0 && h < height && w >= 0 && w < width;
    const int64_t row = pixel / static_cast<uint32_t>(width * height);
    if (c == channels) {
      to[i] = inside ? T(0) : T(1);
    } else {
      to[i] = inside ? from[((row * height + h) * width + w) * channels + c] : padding;
    }
  }
};

// One number a thread.
template <typename T>
struct AppendContext {
  const T* from;     // (rows, width)
  const T* context;  // (rows, size)
  T* to;             // (rows, width + size)
  int64_t width, size;

  GLOWWORM_BODY void operator()(int64_t i) const {
    const int64_t row = i / (width + size), at = i % (width + size);
    to[i] = at < width ? from[row * width + at] : context[row * size + at - width];
  }
};

}  // namespace

template <typename T>
typename Conditioner<T>::Buffers Conditioner<T>::Allocate(const Tile<T>& tile) const {
  Buffers buffers;
  const int64_t n = tile.state->rows * shape_.height * shape_.width;
  for (const int64_t width : slot_width_) {
    buffers.slot.push_back(tile.state->arena().template TakeColumns<T>(n, width));
  }
  return buffers;
}

template <typename T>
T* Conditioner<T>::Run(const Tile<T>& tile, const Buffers& buffers) const {
  for (const Step& step : steps_) {
    std::visit([&](const auto& s) { Do(tile, buffers, s); }, step);
  }
  return buffers.slot[out_slot_];
}

template <typename T>
void Conditioner<T>::Do(const Tile<T>& tile, const Buffers& b, const Multiply& step) const {
  Queue* queue = tile.state->queue;
  const int64_t n = tile.state->rows * shape_.height * shape_.width;
  step.product.Run(queue, n, b.slot[step.from], b.slot[step.to], step.accumulates);
  AddBias(queue, n, step.product.out(), step.bias, step.activation, b.slot[step.to]);
}

template <typename T>
void Conditioner<T>::Do(const Tile<T>& tile, const Buffers& b, const Unfold& step) const {
  const bool edge = step.pad == Pad::kEdgeChannel;
  const int64_t numbers = shape_.height * shape_.width * step.k * step.k * (step.channels + (edge ? 1 : 0));
  Launch(tile.state->queue, tile.state->rows * numbers,
         UnfoldWindow<T>{b.slot[step.from], b.slot[step.to], step.pad == Pad::kOne ? T(1) : T(0),
                         static_cast<int32_t>(shape_.height), static_cast<int32_t>(shape_.width),
                         static_cast<int32_t>(step.channels), static_cast<int32_t>(step.k), edge});
}

template <typename T>
void Conditioner<T>::Do(const Tile<T>& tile, const Buffers& b, const Apply& step) const {
  const int64_t n = tile.state->rows * shape_.height * shape_.width * step.width;
  Launch(tile.state->queue, Packs<T>(n),
         ActivateAll<T>{b.slot[step.from], b.slot[step.to], step.activation.kind,
                        static_cast<T>(step.activation.slope)});
}

template <typename T>
void Conditioner<T>::Do(const Tile<T>& tile, const Buffers& b, const Append& step) const {
  Launch(tile.state->queue, tile.state->rows * (step.width + shape_.context_size),
         AppendContext<T>{b.slot[step.from], tile.context, b.slot[step.to], step.width, shape_.context_size});
}

template <typename T>
void Conditioner<T>::Do(const Tile<T>& tile, const Buffers& b, const Copy& step) const {
  const int64_t n = tile.state->rows * shape_.height * shape_.width * step.width;
  Launch(tile.state->queue, Packs<T>(n), CopyAll<T>{b.slot[step.from], b.slot[step.to]});
}

template <typename T>
void Conditioner<T>::Do(const Tile<T>& tile, const Buffers& b, const Add& step) const {
  const int64_t positions = shape_.height * shape_.width;
  const int64_t n = tile.state->rows * positions * step.width;
  if (step.gate < 0) {
    Launch(tile.state->queue, Packs<T>(n), AddAll<T>{b.slot[step.from], b.slot[step.to]});
  } else {
    Launch(tile.state->queue, n,
           AddGated<T>{b.slot[step.from], b.slot[step.gate], b.slot[step.to], positions, step.width});
  }
}

template <typename T>
void Conditioner<T>::Do(const Tile<T>& tile, const Buffers& b, const Gate& step) const {
  Queue* queue = tile.state->queue;
  step.product.Run(queue, tile.state->rows, tile.context, b.slot[step.to], /*accumulate=*/false);
  AddBias(queue, tile.state->rows, step.product.out(), step.bias,
          std::optional<Activation>({ActivationKind::kSigmoid, 0}), b.slot[step.to]);
}

template class Conditioner<float>;
template class Conditioner<double>;

}  // namespace glowworm::cuda
