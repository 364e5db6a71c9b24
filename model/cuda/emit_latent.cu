// EmitLatentOp<T>: moving numbers out of and into the tile. The densities are in normal_density.cu.

#include "model/cuda/emit_latent.h"

#include <cmath>
#include <vector>

#include "model/cuda/launch.h"
#include "model/cuda/pack.h"

namespace glowworm::cuda {
namespace {

// One latent a thread, in the latents' order, (rows, emitted, positions).
template <typename T>
struct TakeLatents {
  const T* x;           // (rows, positions, channels)
  const int64_t* emit;  // (emitted)
  int64_t channels, positions, emitted;
  double* latent;  // (rows, latent_size)
  int64_t latent_size, offset;

  GLOWWORM_BODY void operator()(int64_t i) const {
    const int64_t row = i / (emitted * positions), at = i % (emitted * positions);
    const int64_t channel = emit[at / positions], position = at % positions;
    latent[row * latent_size + offset + at] =
        static_cast<double>(x[(row * positions + position) * channels + channel]);
  }
};

// One kept number a thread.
template <typename T>
struct TakeKept {
  const T* x;           // (rows, positions, channels)
  const int64_t* keep;  // (kept)
  int64_t channels, kept;
  T* y;  // (rows, positions, kept)

  GLOWWORM_BODY void operator()(int64_t i) const { y[i] = x[i / kept * channels + keep[i % kept]]; }
};

// One number of the result a thread: a kept one, or value(row, position, emitted channel).
template <typename T, typename Value>
struct PutChannel {
  const T* x;             // (rows, positions, kept)
  const int64_t* source;  // (channels)
  int64_t channels, positions, kept;
  Value value;
  T* y;  // (rows, positions, channels)

  GLOWWORM_BODY void operator()(int64_t i) const {
    const int64_t at = i / channels, from = source[i % channels];  // at: (row, position)
    y[i] = from < 0 ? x[at * kept - 1 - from] : static_cast<T>(value(at / positions, at % positions, from));
  }
};

struct LatentAt {
  const double* latent;  // (rows, latent_size)
  int64_t latent_size, offset, positions;

  GLOWWORM_BODY double operator()(int64_t row, int64_t position, int64_t j) const {
    return latent[row * latent_size + offset + j * positions + position];
  }
};

// From noise by a mean and a scale of the row's class; without classes, of the only one.
struct NormalAt {
  LatentAt noise;
  const double* mean;      // (K, emitted, positions)
  const double* scale;     // (K, emitted, positions)
  const int* class_label;  // (rows); null: no classes
  int64_t per_class;       // emitted * positions

  GLOWWORM_BODY double operator()(int64_t row, int64_t position, int64_t j) const {
    const int64_t component = class_label == nullptr ? 0 : class_label[row];
    const int64_t at = component * per_class + j * noise.positions + position;
    return mean[at] + scale[at] * noise(row, position, j);
  }
};

// From noise by a mean and a scale that the prior net gave.
template <typename T>
struct NetNormalAt {
  LatentAt noise;
  const T* net;  // (rows, positions, [mean (e) | log_scale (e)])
  int64_t emitted;

  GLOWWORM_BODY double operator()(int64_t row, int64_t position, int64_t j) const {
    const T* parameters = net + (row * noise.positions + position) * 2 * emitted + j;
    const double scale = std::exp(static_cast<double>(parameters[emitted]));
    return static_cast<double>(parameters[0]) + scale * noise(row, position, j);
  }
};

template <typename T>
struct CopyPack {
  const T* from;
  T* to;
  GLOWWORM_BODY void operator()(int64_t i) const { StorePack(to, i, LoadPack(from, i)); }
};

// (K, positions, c) -> (K, c, positions): as the latents lie.
std::vector<double> ByChannel(const std::vector<double>& given, int64_t positions, int64_t c) {
  std::vector<double> out(given.size());
  const int64_t n = positions * c;
  for (int64_t i = 0; i < static_cast<int64_t>(given.size()); ++i) {
    out[i / n * n + i % c * positions + i % n / c] = given[i];
  }
  return out;
}

// Emitted channel j is j, kept channel k is -1 - k.
std::vector<int64_t> Sources(const EmitLatent& op) {
  std::vector<int64_t> source(op.emit.size() + op.keep.size());
  for (size_t j = 0; j < op.emit.size(); ++j) source[op.emit[j]] = static_cast<int64_t>(j);
  for (size_t k = 0; k < op.keep.size(); ++k) source[op.keep[k]] = -1 - static_cast<int64_t>(k);
  return source;
}

}  // namespace

template <typename T>
EmitLatentOp<T>::EmitLatentOp(const EmitLatent& op, const EventShape& shape, int64_t context_size,
                              ConstantPool* constants)
    : kind_(op.density.kind),
      channels_(shape.channels),
      positions_(shape.positions()),
      emitted_(static_cast<int64_t>(op.emit.size())),
      kept_(static_cast<int64_t>(op.keep.size())),
      latent_offset_(op.latent_offset),
      emit_(constants->Add<int64_t>(op.emit)),
      keep_(constants->Add<int64_t>(op.keep)),
      source_(constants->Add<int64_t>(Sources(op))),
      mean_(constants->Add<double>(ByChannel(op.density.mean, positions_, emitted_))),
      inverse_scale_(constants->Add<double>(ByChannel(op.density.inverse_scale, positions_, emitted_))),
      scale_(constants->Add<double>(ByChannel(op.density.scale, positions_, emitted_))),
      class_constant_(constants->Add<double>(op.density.constant)) {
  if (kind_ == NormalDensity::Kind::kNet) {
    conditioner_.emplace(op.density.net, ConditionerShape{kept_, shape.height, shape.width, context_size},
                         constants);
  }
}

template <typename T>
void EmitLatentOp<T>::Forward(Tile<T>* tile) const {
  const TileState& state = *tile->state;
  Queue* queue = state.queue;
  const Arena::Mark mark = state.arena().mark();
  Launch(queue, state.rows * emitted_ * positions_,
         TakeLatents<T>{tile->x, emit_.on(*queue), channels_, positions_, emitted_, state.latent,
                        state.latent_size, latent_offset_});
  Launch(queue, state.rows * positions_ * kept_,
         TakeKept<T>{tile->x, keep_.on(*queue), channels_, kept_, tile->y});
  tile->Swap();
  AddDensity(state, RunPrior(*tile));
  state.arena().Release(mark);
}

template <typename T>
void EmitLatentOp<T>::Inverse(Tile<T>* tile) const {
  const TileState& state = *tile->state;
  Queue* queue = state.queue;
  const Arena::Mark mark = state.arena().mark();
  const LatentAt latent{state.latent, state.latent_size, latent_offset_, positions_};
  if (!state.latent_is_noise) {
    PutChannels(*tile, latent);
  } else if (kind_ == NormalDensity::Kind::kNet) {
    PutChannels(*tile, NetNormalAt<T>{latent, RunPrior(*tile), emitted_});
  } else {
    const bool classes = kind_ == NormalDensity::Kind::kClass;
    PutChannels(*tile, NormalAt{latent, mean_.on(*queue), scale_.on(*queue),
                                classes ? state.class_label : nullptr, emitted_ * positions_});
  }
  tile->Swap();
  state.arena().Release(mark);
}

template <typename T>
template <typename Value>
void EmitLatentOp<T>::PutChannels(const Tile<T>& tile, const Value& value) const {
  Queue* queue = tile.state->queue;
  Launch(queue, tile.state->rows * positions_ * channels_,
         PutChannel<T, Value>{tile.x, source_.on(*queue), channels_, positions_, kept_, value, tile.y});
}

template <typename T>
const T* EmitLatentOp<T>::RunPrior(const Tile<T>& tile) const {
  if (!conditioner_) return nullptr;
  const auto buffers = conditioner_->Allocate(tile);
  Launch(tile.state->queue, Packs<T>(tile.state->rows * positions_ * kept_),
         CopyPack<T>{tile.x, buffers.input()});
  return conditioner_->Run(tile, buffers);
}

template class EmitLatentOp<float>;
template class EmitLatentOp<double>;

}  // namespace glowworm::cuda
