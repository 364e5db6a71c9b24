// See reference_autoregressive.h. Tested by tests/model/reference_spline_test.cc.

#include "tests/testing/reference_autoregressive.h"

#include <cstdlib>
#include <variant>

#include "tests/testing/reference_pointwise.h"

namespace glowworm {
namespace {

// The raw numbers of feature i, out of the net's output.
std::vector<double> BlockOf(const Autoregressive& op, const ReferenceEvent& output, int64_t i) {
  const int64_t size = std::visit([](const auto& map) { return RawSize(map); }, op.transform);
  const auto begin = output.values.begin() + i * size;
  return {begin, begin + size};
}

// The direction of one pass: the net reads `in`, and its maps carry `in` across.
ReferencePoints Apply(const Autoregressive& op, const ReferenceEvent& in,
                      const std::vector<double>& context) {
  const ReferenceEvent output = EvaluateNet(op.net, in, context);
  ReferencePoints points;
  for (int64_t i = 0; i < in.channels; ++i) {
    points.push_back(
        std::visit([&](const auto& map) { return ForwardPoint(map, BlockOf(op, output, i), in.values[i]); },
                   op.transform));
  }
  return points;
}

// The other direction: finds what Apply() sends to `out`, feature after feature.
ReferencePoints Undo(const Autoregressive& op, const ReferenceEvent& out,
                     const std::vector<double>& context) {
  ReferenceEvent found = ZeroEvent(out.channels, 1, 1);
  ReferencePoints points(out.channels);
  for (const int64_t i : op.order) {
    const std::vector<double> raw = BlockOf(op, EvaluateNet(op.net, found, context), i);
    points[i] =
        std::visit([&](const auto& map) { return InversePoint(map, raw, out.values[i]); }, op.transform);
    found.values[i] = points[i].value;
  }
  return points;
}

void CheckRow(const Autoregressive& op, const ReferenceEvent& row) {
  if (row.positions() != 1 || static_cast<int64_t>(op.order.size()) != row.channels) std::abort();
}

}  // namespace

ReferencePoints EncodeAutoregressive(const Autoregressive& op, const ReferenceEvent& x,
                                     const std::vector<double>& context) {
  CheckRow(op, x);
  return op.parallel == ParallelDirection::kForward ? Apply(op, x, context) : Undo(op, x, context);
}

ReferencePoints DecodeAutoregressive(const Autoregressive& op, const ReferenceEvent& z,
                                     const std::vector<double>& context) {
  CheckRow(op, z);
  return op.parallel == ParallelDirection::kForward ? Undo(op, z, context) : Apply(op, z, context);
}

}  // namespace glowworm
