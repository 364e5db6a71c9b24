// Product<double>, on Eigen. Twin of product_float.cc.
//
// Every call multiplies (padded_out, padded_in) by (padded_in, 16): shapes that Eigen always sends to its
// blocked kernel, whose result for a column does not depend on the column's place. Smaller shapes would take
// other paths, which do depend on it.

#include <algorithm>

#include "Eigen/Core"
#include "absl/status/statusor.h"
#include "model/cpu/activation.h"
#include "model/cpu/product.h"

namespace glowworm {
namespace {

constexpr int64_t kColumns = 16;
int64_t RoundUpTo8(int64_t n) { return (n + 7) / 8 * 8; }

}  // namespace

absl::StatusOr<Product<double>> Product<double>::Create(const ProductShape& shape,
                                                        const std::vector<double>& weight,
                                                        const std::vector<double>& bias,
                                                        int64_t max_tile_rows, PrimitiveSet* primitives) {
  Product product;
  product.shape_ = shape;
  product.padded_in_ = RoundUpTo8(shape.in);
  product.padded_out_ = RoundUpTo8(shape.out);
  product.weight_.assign(product.padded_in_ * product.padded_out_, 0.0);
  for (int64_t o = 0; o < shape.out; ++o) {
    for (int64_t i = 0; i < shape.in; ++i)
      product.weight_[i * product.padded_out_ + o] = weight[o * shape.in + i];
  }
  product.bias_ = bias;
  product.bias_.resize(shape.out, 0.0);
  return product;
}

void Product<double>::Run(int64_t rows, const double* x, double* y, const ProductScratch& scratch) const {
  const int64_t total = rows * shape_.positions;
  const Arena::Mark mark = scratch.arena->mark();
  double* xs = scratch.arena->Take<double>(kColumns * padded_in_);   // (16, padded_in)
  double* ys = scratch.arena->Take<double>(kColumns * padded_out_);  // (16, padded_out)
  double* out = scratch.arena->Take<double>(kColumns * shape_.out);  // (16, out)
  const Eigen::Map<const Eigen::MatrixXd> w(weight_.data(), padded_out_, padded_in_);
  for (int64_t m = scratch.measuring ? total : 0; m < total; m += kColumns) {
    const int64_t count = std::min(kColumns, total - m);
    std::fill_n(xs, kColumns * padded_in_, 0.0);
    for (int64_t r = 0; r < count; ++r) std::copy_n(x + (m + r) * shape_.in, shape_.in, xs + r * padded_in_);
    Eigen::Map<Eigen::MatrixXd> product(ys, padded_out_, kColumns);
    product.noalias() = w * Eigen::Map<const Eigen::MatrixXd>(xs, padded_in_, kColumns);
    for (int64_t r = 0; r < count; ++r) {
      const double* to_add = y + (m + r) * shape_.out;
      for (int64_t o = 0; o < shape_.out; ++o) {
        const double sum = ys[r * padded_out_ + o] + bias_[o];
        out[r * shape_.out + o] = shape_.accumulate ? sum + to_add[o] : sum;
      }
    }
    if (shape_.activation) Activate(*shape_.activation, RoundUpToLane(kColumns * shape_.out), out, out);
    std::copy_n(out, count * shape_.out, y + m * shape_.out);
  }
  scratch.arena->Release(mark);
}

}  // namespace glowworm
