// Implements model/cuda/compute.h.

#include "model/cuda/compute.h"

#include <algorithm>
#include <type_traits>

#include "absl/types/span.h"
#include "model/cuda/convert.h"
#include "model/cuda/likelihood.h"
#include "model/cuda/noise.h"

namespace glowworm::cuda {
namespace {

// n numbers of zero bits.
template <typename T>
T* TakeZeros(Queue* queue, int64_t n) {
  T* out = queue->arena->Take<T>(n);
  if (queue->running() && n > 0) {
    queue->Note(cudaMemsetAsync(out, 0, static_cast<size_t>(n) * sizeof(T), queue->stream));
  }
  return out;
}

void SetZero(Queue* queue, int64_t n, unsigned char* to) {
  if (queue->running()) queue->Note(cudaMemsetAsync(to, 0, static_cast<size_t>(n), queue->stream));
}

// `n` numbers as T, in the arena unless they are T already.
template <typename T>
T* As(Queue* queue, int64_t n, int64_t room, double* from) {
  if constexpr (std::is_same_v<T, double>) {
    return from;
  } else {
    T* to = queue->arena->Take<T>(room);
    ConvertNumbers(queue, n, static_cast<const double*>(from), to);
    return to;
  }
}

}  // namespace

template <typename T>
Compute<T>::Compute(const Plan& plan, int64_t columns)
    : columns_(columns),
      event_(plan.event),
      context_size_(plan.context_size),
      num_classes_(plan.num_classes),
      constant_log_det_(plan.constant_log_det),
      log_class_weight_(pool_.Add<double>(plan.log_class_weight)),
      leading_(absl::MakeConstSpan(plan.ops).subspan(0, plan.leading), plan.context_size, &pool_),
      main_(absl::MakeConstSpan(plan.ops).subspan(plan.leading), plan.context_size, &pool_) {
  shapes_.push_back(event_);
  for (const PlanOp& op : plan.ops) {
    shapes_.push_back(op.in);
    shapes_.push_back(op.out);
  }
}

template <typename T>
int64_t Compute<T>::TileSize(int64_t rows) const {
  int64_t size = 0;
  for (const EventShape& shape : shapes_) {
    size = std::max(size, RoundUpTo(columns_, rows * shape.positions()) * shape.channels);
  }
  return size;
}

template <typename T>
IoLayout Compute<T>::Layout(int64_t max_rows) const {
  return IoLayout(max_rows, event_.size(), TileSize(max_rows), context_size_, columns_);
}

template <typename T>
int64_t Compute<T>::ArenaBytes(int64_t rows, const IoLayout& io) const {
  Arena arena(columns_);
  Queue queue;
  queue.arena = &arena;
  queue.measuring = true;
  for (const Work work : {Work::kEncode, Work::kDecode, Work::kSample}) Run(work, rows, io, nullptr, &queue);
  return arena.needed();
}

template <typename T>
void Compute<T>::Run(Work work, int64_t rows, const IoLayout& io, void* block, Queue* queue) const {
  const Arena::Mark mark = queue->arena->mark();
  TileState state;
  state.queue = queue;
  state.rows = rows;
  state.log_density = TakeZeros<double>(queue, rows);
  state.class_log_density = TakeZeros<double>(queue, rows * num_classes_);
  state.class_label = io.class_label.in(block);
  state.outside = io.outside.in(block);
  state.overflow = io.overflow.in(block);
  state.latent_size = event_.size();
  state.num_classes = num_classes_;
  SetZero(queue, rows, state.outside);
  SetZero(queue, rows, state.overflow);
  if (work == Work::kEncode) {
    Encode(io, block, &state);
  } else {
    state.latent_is_noise = work == Work::kSample;
    Invert(io, block, &state);
  }
  queue->arena->Release(mark);
}

template <typename T>
void Compute<T>::Encode(const IoLayout& io, void* block, TileState* state) const {
  Queue* queue = state->queue;
  const int64_t room = TileSize(state->rows), columns = RoundUpTo(columns_, state->rows);
  state->latent = io.result.in(block);
  double* context = io.context.in(block);
  Tile<double> wide{state, io.values.in(block), queue->arena->Take<double>(room), context};
  leading_.Forward(&wide);
  T* x = As<T>(queue, state->rows * event_.size(), room, wide.x);
  T* y = As<T>(queue, 0, room, wide.y);
  Tile<T> tile{state, x, y, As<T>(queue, state->rows * context_size_, columns * context_size_, context)};
  main_.Forward(&tile);
  FinishLogLikelihood(*state, constant_log_det_, log_class_weight_.on(*queue), io.log_likelihood.in(block));
}

template <typename T>
void Compute<T>::Invert(const IoLayout& io, void* block, TileState* state) const {
  Queue* queue = state->queue;
  const int64_t room = TileSize(state->rows), columns = RoundUpTo(columns_, state->rows);
  const int64_t numbers = state->rows * event_.size();
  state->latent = io.values.in(block);
  double* context = io.context.in(block);
  if (state->latent_is_noise) {
    FillNoise(queue, state->rows, event_.size(), io.seed.in(block), io.index.in(block),
              io.temperature.in(block), state->latent);
  }
  Tile<T> tile{state, queue->arena->Take<T>(room), queue->arena->Take<T>(room),
               As<T>(queue, state->rows * context_size_, columns * context_size_, context)};
  main_.Inverse(&tile);
  Tile<double> wide{state, nullptr, nullptr, context};
  if constexpr (std::is_same_v<T, double>) {
    wide.x = tile.x;
    wide.y = tile.y;
  } else {
    wide.x = queue->arena->Take<double>(room);
    wide.y = queue->arena->Take<double>(room);
    ConvertNumbers(queue, numbers, static_cast<const T*>(tile.x), wide.x);
  }
  leading_.Inverse(&wide);
  if (!queue->running()) return;
  queue->Note(cudaMemcpyAsync(io.result.in(block), wide.x, static_cast<size_t>(numbers) * sizeof(double),
                              cudaMemcpyDeviceToDevice, queue->stream));
}

template class Compute<float>;
template class Compute<double>;

}  // namespace glowworm::cuda
