// Implements model/cuda/program.h.

#include "model/cuda/program.h"

#include <type_traits>

namespace glowworm::cuda {
namespace {

// Some ops work in place on a const tile, others swap its buffers.
template <typename Op, typename T>
void RunForward(const Op& op, Tile<T>* tile) {
  if constexpr (std::is_invocable_v<decltype(&Op::Forward), const Op&, const Tile<T>&>) {
    op.Forward(*tile);
  } else {
    op.Forward(tile);
  }
}
template <typename Op, typename T>
void RunInverse(const Op& op, Tile<T>* tile) {
  if constexpr (std::is_invocable_v<decltype(&Op::Inverse), const Op&, const Tile<T>&>) {
    op.Inverse(*tile);
  } else {
    op.Inverse(tile);
  }
}

template <typename T>
struct Preparer {
  const EventShape& shape;
  int64_t context_size;
  ConstantPool* constants;

  CudaOp<T> operator()(const ElementwiseAffine& op) const { return AffineOp<T>(op, shape, constants); }
  CudaOp<T> operator()(const ChannelMix& op) const { return MixOp<T>(op, shape, constants); }
  CudaOp<T> operator()(const SqueezeMove& op) const { return SqueezeOp<T>(op, constants); }
  CudaOp<T> operator()(const LogitMap& op) const { return LogitOp<T>(op, shape); }
  CudaOp<T> operator()(const FixedSpline& op) const { return FixedSplineOp<T>(op, shape, constants); }
  CudaOp<T> operator()(const AutoregressiveMap& op) const {
    return AutoregressiveOp<T>(op, context_size, constants);
  }
  CudaOp<T> operator()(const EmitLatent& op) const {
    return EmitLatentOp<T>(op, shape, context_size, constants);
  }
  template <typename Op>  // the three couplings
  CudaOp<T> operator()(const Op& op) const {
    return CouplingOp<T>(op, shape, context_size, constants);
  }
};

}  // namespace

template <typename T>
Program<T>::Program(absl::Span<const PlanOp> ops, int64_t context_size, ConstantPool* constants) {
  for (const PlanOp& op : ops) {
    ops_.push_back(std::visit(Preparer<T>{op.in, context_size, constants}, op.op));
  }
}

template <typename T>
void Program<T>::Forward(Tile<T>* tile) const {
  for (const CudaOp<T>& op : ops_) {
    std::visit([&](const auto& o) { RunForward(o, tile); }, op);
  }
}

template <typename T>
void Program<T>::Inverse(Tile<T>* tile) const {
  for (auto op = ops_.rbegin(); op != ops_.rend(); ++op) {
    std::visit([&](const auto& o) { RunInverse(o, tile); }, *op);
  }
}

template class Program<float>;
template class Program<double>;

}  // namespace glowworm::cuda
