// Conditioner<T>::Run: the steps that conditioner_build.cc laid out.

#include "model/cpu/conditioner.h"

#include <algorithm>

#include "model/cpu/activation.h"

namespace glowworm {

template <typename T>
typename Conditioner<T>::Buffers Conditioner<T>::Allocate(const Tile<T>& tile) const {
  Buffers buffers;
  const int64_t positions = tile.state->padded * shape_.height * shape_.width;
  for (size_t i = 0; i < slot_width_.size(); ++i) {
    buffers.slot[i] = tile.state->scratch.arena->template Take<T>(positions * slot_width_[i]);
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
  step.product.Run(tile.state->padded, b.slot[step.from], b.slot[step.to], tile.state->scratch);
}

template <typename T>
void Conditioner<T>::Do(const Tile<T>& tile, const Buffers& b, const Unfold& step) const {
  const bool edge = step.pad == Pad::kEdgeChannel;
  const T padding = step.pad == Pad::kOne ? T(1) : T(0);
  const int64_t height = shape_.height, width = shape_.width, c = step.channels, half = step.k / 2;
  T* to = b.slot[step.to];
  for (int64_t r = 0; r < tile.state->padded; ++r) {
    const T* image = b.slot[step.from] + r * height * width * c;  // (h, w, c)
    for (int64_t h = 0; h < height; ++h) {
      for (int64_t w = 0; w < width; ++w) {
        for (int64_t i = h - half; i <= h + half; ++i) {
          for (int64_t j = w - half; j <= w + half; ++j) {
            const bool inside = i >= 0 && i < height && j >= 0 && j < width;
            if (inside) {
              to = std::copy_n(image + (i * width + j) * c, c, to);
            } else {
              to = std::fill_n(to, c, padding);
            }
            if (edge) *to++ = inside ? T(0) : T(1);
          }
        }
      }
    }
  }
}

template <typename T>
void Conditioner<T>::Do(const Tile<T>& tile, const Buffers& b, const Fold& step) const {
  const int64_t height = shape_.height, width = shape_.width, out = step.out, half = step.k / 2;
  const int64_t channels = step.k * step.k * out;
  T* to = b.slot[step.to];
  for (int64_t r = 0; r < tile.state->padded; ++r) {
    const T* image = b.slot[step.from] + r * height * width * channels;  // (h, w, k, k, out)
    for (int64_t h = 0; h < height; ++h) {
      for (int64_t w = 0; w < width; ++w, to += out) {
        if (step.accumulate) {
          for (int64_t o = 0; o < out; ++o) to[o] += step.bias[o];
        } else {
          std::copy_n(step.bias.data(), out, to);
        }
        for (int64_t i = std::max<int64_t>(0, half - h); i < std::min(step.k, height + half - h); ++i) {
          for (int64_t j = std::max<int64_t>(0, half - w); j < std::min(step.k, width + half - w); ++j) {
            const T* from =
                image + ((h + i - half) * width + w + j - half) * channels + (i * step.k + j) * out;
            for (int64_t o = 0; o < out; ++o) to[o] += from[o];
          }
        }
      }
    }
  }
}

template <typename T>
void Conditioner<T>::Do(const Tile<T>& tile, const Buffers& b, const Apply& step) const {
  const int64_t n = tile.state->padded * shape_.height * shape_.width * step.width;
  Activate(step.activation, RoundUpToLane(n), b.slot[step.from], b.slot[step.to]);
}

template <typename T>
void Conditioner<T>::Do(const Tile<T>& tile, const Buffers& b, const Append& step) const {
  const T* from = b.slot[step.from];
  T* to = b.slot[step.to];
  for (int64_t r = 0; r < tile.state->padded; ++r) {
    to = std::copy_n(from + r * step.width, step.width, to);
    to = std::copy_n(tile.context + r * shape_.context_size, shape_.context_size, to);
  }
}

template <typename T>
void Conditioner<T>::Do(const Tile<T>& tile, const Buffers& b, const Copy& step) const {
  const int64_t n = tile.state->padded * shape_.height * shape_.width * step.width;
  std::copy_n(b.slot[step.from], n, b.slot[step.to]);
}

template <typename T>
void Conditioner<T>::Do(const Tile<T>& tile, const Buffers& b, const Add& step) const {
  const int64_t positions = shape_.height * shape_.width;
  const T* from = b.slot[step.from];
  T* to = b.slot[step.to];
  if (step.gate < 0) {
    const int64_t n = tile.state->padded * positions * step.width;
    for (int64_t i = 0; i < n; ++i) to[i] += from[i];
    return;
  }
  for (int64_t r = 0; r < tile.state->padded; ++r) {
    const T* gate = b.slot[step.gate] + r * step.width;
    for (int64_t p = 0; p < positions; ++p, from += step.width, to += step.width) {
      for (int64_t i = 0; i < step.width; ++i) to[i] += from[i] * gate[i];
    }
  }
}

template <typename T>
void Conditioner<T>::Do(const Tile<T>& tile, const Buffers& b, const Gate& step) const {
  step.product.Run(tile.state->padded, tile.context, b.slot[step.to], tile.state->scratch);
}

template class Conditioner<float>;
template class Conditioner<double>;

}  // namespace glowworm
