// Implements model/cuda/autoregressive.h.

#include "model/cuda/autoregressive.h"

#include <cmath>
#include <limits>
#include <variant>

#include "model/cuda/launch.h"
#include "model/cuda/row_sum.h"

namespace glowworm::cuda {
namespace {

// One number a thread: channels -> features.
template <typename T>
struct TakeFeature {
  const T* x;               // (rows, D) by channel
  const int32_t* features;  // (D)
  int64_t size;             // D
  T* to;                    // (rows, D) by feature

  GLOWWORM_BODY void operator()(int64_t i) const { to[i] = x[i / size * size + features[i % size]]; }
};

// One parameter of one row a thread.
template <typename T>
struct TakeParameter {
  const T* units;              // (units, rows)
  const int64_t* output_unit;  // (D, P)
  int64_t rows, first;         // first: of the feature's block
  T* parameters;               // (P, rows)

  GLOWWORM_BODY void operator()(int64_t i) const {
    parameters[i] = units[output_unit[first + i / rows] * rows + i % rows];
  }
};

// A feature's value becomes a unit, one row a thread. One that may overflow the net's sums is marked.
template <typename T>
struct PutFeature {
  const T* x;              // (rows, D)
  const int32_t* channel;  // the feature's
  int64_t size;            // D
  T limit;
  T* units;  // (units, rows)
  int64_t rows, unit;
  unsigned char* overflow;  // (rows)

  GLOWWORM_BODY void operator()(int64_t row) const {
    const T value = x[row * size + *channel];
    units[unit * rows + row] = value;
    if (!(value <= limit && value >= -limit)) overflow[row] = 1;
  }
};

template <typename T>
typename ElementMap<T>::Transform TransformOf(const AutoregressiveMap& op) {
  typename ElementMap<T>::Transform transform;
  std::visit([&](const auto& t) { transform = t; }, op.transform);
  return transform;
}

std::vector<int64_t> InOrder(const AutoregressiveMap& op) {
  std::vector<int64_t> channels;
  for (const int64_t feature : op.order) channels.push_back(op.features[feature]);
  return channels;
}

}  // namespace

template <typename T>
AutoregressiveOp<T>::AutoregressiveOp(const AutoregressiveMap& op, int64_t context_size,
                                      ConstantPool* constants)
    : conditioner_(op.net, {static_cast<int64_t>(op.features.size()), 1, 1, context_size}, constants),
      map_(TransformOf<T>(op)),
      sequential_(op.net, op.order, context_size, constants),
      parallel_(op.parallel),
      order_(op.order),
      features_(constants->Add<int32_t>(op.features)),
      in_order_(constants->Add<int32_t>(InOrder(op))) {}

template <typename T>
void AutoregressiveOp<T>::Forward(const Tile<T>& tile) const {
  const TileState& state = *tile.state;
  const Arena::Mark mark = state.arena().mark();
  auto* log_derivative = state.arena().template Take<T>(state.rows * features_.size);
  if (parallel_ == ParallelDirection::kForward) {
    RunParallel(tile, log_derivative);
  } else {
    RunSequential(tile, log_derivative);
  }
  AddLogDerivatives(state, features_.size, log_derivative);
  state.arena().Release(mark);
}

template <typename T>
void AutoregressiveOp<T>::Inverse(const Tile<T>& tile) const {
  if (parallel_ == ParallelDirection::kForward) {
    RunSequential(tile, nullptr);
  } else {
    RunParallel(tile, nullptr);
  }
}

template <typename T>
void AutoregressiveOp<T>::RunParallel(const Tile<T>& tile, T* log_derivative) const {
  const TileState& state = *tile.state;
  const int64_t rows = state.rows, d = features_.size, p = map_.num_parameters();
  const int32_t* features = features_.on(*state.queue);
  const Arena::Mark mark = state.arena().mark();
  const auto buffers = conditioner_.Allocate(tile);
  Launch(state.queue, rows * d, TakeFeature<T>{tile.x, features, d, buffers.input()});
  MarkOverflow(state, d, buffers.input());
  const T* net = conditioner_.Run(tile, buffers);  // (rows, D, P)
  map_.Forward(state.queue, {rows, d, tile.x, d, features, net, d * p, p, 1, log_derivative, d});
  state.arena().Release(mark);
}

template <typename T>
void AutoregressiveOp<T>::RunSequential(const Tile<T>& tile, T* log_derivative) const {
  const TileState& state = *tile.state;
  const Arena::Mark mark = state.arena().mark();
  auto* units = state.arena().template Take<T>(sequential_.num_units() * state.rows);
  auto* parameters = state.arena().template Take<T>(map_.num_parameters() * state.rows);
  if (state.queue->running()) {
    sequential_.Begin(tile, units);
    for (int64_t k = 0; k < features_.size; ++k) Step(tile, k, units, parameters, log_derivative);
  }
  state.arena().Release(mark);
}

template <typename T>
void AutoregressiveOp<T>::Step(const Tile<T>& tile, int64_t k, T* units, T* parameters,
                               T* log_derivative) const {
  const TileState& state = *tile.state;
  const int64_t rows = state.rows, d = features_.size, p = map_.num_parameters();
  const int32_t* channel = in_order_.on(*state.queue) + k;
  Launch(
      state.queue, p * rows,
      TakeParameter<T>{units, sequential_.output_unit().on(*state.queue), rows, order_[k] * p, parameters});
  T* log = log_derivative == nullptr ? nullptr : log_derivative + k;
  map_.Inverse(state.queue, {rows, 1, tile.x, d, channel, parameters, 1, 0, rows, log, d});
  const T limit = std::sqrt(std::numeric_limits<T>::max());
  Launch(state.queue, rows,
         PutFeature<T>{tile.x, channel, d, limit, units, rows, sequential_.feature_unit(k), state.overflow});
  if (k + 1 < d) sequential_.Know(tile, k, units);
}

template class AutoregressiveOp<float>;
template class AutoregressiveOp<double>;

}  // namespace glowworm::cuda
