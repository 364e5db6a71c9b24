// Implements model/masked_net.h.

#include "model/masked_net.h"

#include <algorithm>
#include <variant>

#include "absl/strings/str_cat.h"

namespace glowworm {

Degrees FeatureDegrees(const std::vector<int64_t>& order) {
  Degrees degrees(order.size());
  for (size_t k = 0; k < order.size(); ++k) degrees[order[k]] = static_cast<int64_t>(k) + 1;
  return degrees;
}

Degrees DegreesAfter(const Dense& dense, const Degrees& in) {
  Degrees out(dense.out, 0);
  for (int64_t o = 0; o < dense.out; ++o) {
    const double* row = dense.weight.data() + o * dense.in;
    for (int64_t i = 0; i < dense.in; ++i) {
      if (row[i] != 0) out[o] = std::max(out[o], in[i]);
    }
  }
  return out;
}

Degrees DegreesAfter(const Net& net, const Degrees& in, int64_t context_size) {
  Degrees degrees = in;
  for (const NetOp& op : net.ops) {
    if (const auto* dense = std::get_if<Dense>(&op.op)) {
      degrees = DegreesAfter(*dense, degrees);
    } else if (std::holds_alternative<ConcatContext>(op.op)) {
      degrees.insert(degrees.end(), context_size, 0);
    } else if (const auto* residual = std::get_if<Residual>(&op.op)) {
      const Degrees body = DegreesAfter(residual->body, degrees, context_size);
      for (size_t i = 0; i < degrees.size(); ++i) degrees[i] = std::max(degrees[i], body[i]);
    }
  }
  return degrees;
}

absl::Status CheckAutoregressive(const Net& net, const std::vector<int64_t>& order, int64_t block,
                                 int64_t context_size) {
  const Degrees out = DegreesAfter(net, FeatureDegrees(order), context_size);
  for (size_t k = 0; k < order.size(); ++k) {
    for (int64_t j = 0; j < block; ++j) {
      const int64_t degree = out[order[k] * block + j];
      if (degree <= static_cast<int64_t>(k)) continue;
      return absl::InvalidArgumentError(
          absl::StrCat("the net's output ", order[k] * block + j, ", of feature ", order[k],
                       ", depends on feature ", order[degree - 1],
                       ", which `order` does not put before it; are the masks multiplied into the weights?"));
    }
  }
  return absl::OkStatus();
}

}  // namespace glowworm
