// Implements model/cpu/program.h.

#include "model/cpu/program.h"

#include <type_traits>

namespace glowworm {
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
  using Prepared = absl::StatusOr<CpuOp<T>>;
  const EventShape& shape;
  int64_t context_size, max_tile_rows;
  PrimitiveSet* primitives;

  template <typename Op>
  static Prepared Wrap(absl::StatusOr<Op> op) {
    if (!op.ok()) return op.status();
    return Prepared(*std::move(op));
  }
  Prepared operator()(const ElementwiseAffine& op) const { return Prepared(AffineOp<T>(op, shape)); }
  Prepared operator()(const ChannelMix& op) const {
    return Wrap(MixOp<T>::Create(op, shape, max_tile_rows, primitives));
  }
  Prepared operator()(const SqueezeMove& op) const { return Prepared(SqueezeOp<T>(op)); }
  Prepared operator()(const LogitMap& op) const { return Prepared(LogitOp<T>(op, shape)); }
  Prepared operator()(const AffineCoupling& op) const {
    return Wrap(CouplingOp<T>::Create(op, shape, context_size, max_tile_rows, primitives));
  }
  Prepared operator()(const AdditiveCoupling& op) const {
    return Wrap(CouplingOp<T>::Create(op, shape, context_size, max_tile_rows, primitives));
  }
  Prepared operator()(const SplineCoupling& op) const {
    return Wrap(CouplingOp<T>::Create(op, shape, context_size, max_tile_rows, primitives));
  }
  Prepared operator()(const FixedSpline& op) const { return Prepared(FixedSplineOp<T>(op, shape)); }
  Prepared operator()(const AutoregressiveMap& op) const {
    return Wrap(AutoregressiveOp<T>::Create(op, context_size, max_tile_rows, primitives));
  }
  Prepared operator()(const EmitLatent& op) const {
    return Wrap(EmitLatentOp<T>::Create(op, shape, context_size, max_tile_rows, primitives));
  }
};

}  // namespace

template <typename T>
absl::StatusOr<Program<T>> Program<T>::Create(absl::Span<const PlanOp> ops, int64_t context_size,
                                              int64_t max_tile_rows, PrimitiveSet* primitives) {
  Program program;
  for (const PlanOp& op : ops) {
    auto prepared = std::visit(Preparer<T>{op.in, context_size, max_tile_rows, primitives}, op.op);
    if (!prepared.ok()) return prepared.status();
    program.ops_.push_back(*std::move(prepared));
  }
  return program;
}

template <typename T>
void Program<T>::Forward(Tile<T>* tile) const {
  for (const CpuOp<T>& op : ops_) std::visit([&](const auto& o) { RunForward(o, tile); }, op);
}

template <typename T>
void Program<T>::Inverse(Tile<T>* tile) const {
  for (auto op = ops_.rbegin(); op != ops_.rend(); ++op) {
    std::visit([&](const auto& o) { RunInverse(o, tile); }, *op);
  }
}

template class Program<float>;
template class Program<double>;

}  // namespace glowworm
