// Implements model/cuda/coupling.h.

#include "model/cuda/coupling.h"

#include "model/cuda/launch.h"
#include "model/cuda/row_sum.h"

namespace glowworm::cuda {
namespace {

// One number a thread: a's from the channels of x that it keeps.
template <typename T>
struct GatherChannels {
  const T* x;              // (rows, positions, c)
  T* a;                    // (rows, positions, n)
  const int32_t* channel;  // (n)
  uint32_t n;
  int64_t c;

  GLOWWORM_BODY void operator()(int64_t i) const {
    const uint32_t position = static_cast<uint32_t>(i) / n;
    a[i] = x[position * c + channel[static_cast<uint32_t>(i) % n]];
  }
};

}  // namespace

template <typename T>
CouplingOp<T>::CouplingOp(const AffineCoupling& op, const EventShape& shape, int64_t context_size,
                          ConstantPool* constants)
    : CouplingOp(op, op.transform, /*parameter_major=*/true, shape, context_size, constants) {}

template <typename T>
CouplingOp<T>::CouplingOp(const AdditiveCoupling& op, const EventShape& shape, int64_t context_size,
                          ConstantPool* constants)
    : CouplingOp(op, AdditiveTransform{}, /*parameter_major=*/true, shape, context_size, constants) {}

template <typename T>
CouplingOp<T>::CouplingOp(const SplineCoupling& op, const EventShape& shape, int64_t context_size,
                          ConstantPool* constants)
    : CouplingOp(op, op.transform, /*parameter_major=*/false, shape, context_size, constants) {}

template <typename T>
template <typename Op>
CouplingOp<T>::CouplingOp(const Op& op, const typename ElementMap<T>::Transform& transform,
                          bool parameter_major, const EventShape& shape, int64_t context_size,
                          ConstantPool* constants)
    : conditioner_(op.net,
                   {static_cast<int64_t>(op.identity.size()), shape.height, shape.width, context_size},
                   constants),
      map_(transform),
      parameter_major_(parameter_major),
      identity_(constants->Add<int32_t>(op.identity)),
      transformed_(constants->Add<int32_t>(op.transformed)),
      channels_(shape.channels),
      positions_(shape.positions()) {}

template <typename T>
void CouplingOp<T>::Forward(const Tile<T>& tile) const {
  if (!map_.has_log_derivative()) return Run(tile, true, nullptr);
  const TileState& state = *tile.state;
  const Arena::Mark mark = state.arena().mark();
  const int64_t per_row = positions_ * transformed_.size;
  T* log_derivative = state.arena().template Take<T>(state.rows * per_row);
  Run(tile, true, log_derivative);
  AddLogDerivatives(state, per_row, log_derivative);
  state.arena().Release(mark);
}

template <typename T>
void CouplingOp<T>::Run(const Tile<T>& tile, bool forward, T* log_derivative) const {
  const TileState& state = *tile.state;
  Queue* queue = state.queue;
  const Arena::Mark mark = state.arena().mark();
  const int64_t m = state.rows * positions_, kept = identity_.size, changed = transformed_.size;
  const typename Conditioner<T>::Buffers buffers = conditioner_.Allocate(tile);
  T* a = buffers.input();  // (rows, positions, I)
  Launch(queue, m * kept,
         GatherChannels<T>{tile.x, a, identity_.on(*queue), static_cast<uint32_t>(kept), channels_});
  MarkOverflow(state, positions_ * kept, a);

  MappedNumbers<T> numbers;
  numbers.groups = m;
  numbers.count = changed;
  numbers.x = tile.x;
  numbers.x_stride = channels_;
  numbers.channel = transformed_.on(*queue);
  numbers.parameters = conditioner_.Run(tile, buffers);
  numbers.group_stride = changed * map_.num_parameters();
  numbers.number_stride = parameter_major_ ? 1 : map_.num_parameters();
  numbers.parameter_stride = parameter_major_ ? changed : 1;
  numbers.log_derivative = log_derivative;
  numbers.log_stride = changed;
  if (forward) {
    map_.Forward(queue, numbers);
  } else {
    map_.Inverse(queue, numbers);
  }
  state.arena().Release(mark);
}

template class CouplingOp<float>;
template class CouplingOp<double>;

}  // namespace glowworm::cuda
