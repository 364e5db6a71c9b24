// Product<float>, on oneDNN. Twin of product_double.cc.

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "model/cpu/product.h"

namespace glowworm {
namespace {

constexpr int64_t kBlockRows = 16;
// Packed weights may cost this much of the plain ones' memory.
constexpr double kMaxPackedSize = 1.5;

}  // namespace

int64_t RoundUpOnLadder(int64_t rows) {
  return *std::lower_bound(std::begin(kRowLadder), std::end(kRowLadder), rows);
}

absl::StatusOr<Product<float>> Product<float>::Create(const ProductShape& shape,
                                                      const std::vector<double>& weight,
                                                      const std::vector<double>& bias, int64_t max_tile_rows,
                                                      MatmulSet* matmuls) {
  Product product;
  product.shape_ = shape;
  MatmulShape matmul{
      max_tile_rows * shape.positions, shape.in, shape.out, shape.activation, shape.accumulate, true};
  absl::StatusOr<int> largest = matmuls->FindOrCreate(matmul);
  if (!largest.ok()) return largest.status();
  const double plain_bytes = static_cast<double>(shape.in * shape.out) * sizeof(float);
  if (static_cast<double>(matmuls->WeightsDesc(*largest).get_size()) > kMaxPackedSize * plain_bytes) {
    matmul.packed = false;
    largest = matmuls->FindOrCreate(matmul);
    if (!largest.ok()) return largest.status();
  }
  const dnnl::memory::desc layout = matmuls->WeightsDesc(*largest);
  bool independent = matmuls->RowsAreIndependent(*largest);
  for (int64_t rows : kRowLadder) {
    if (rows > max_tile_rows || !independent) break;
    matmul.m = rows * shape.positions;
    const absl::StatusOr<int> index = matmuls->FindOrCreate(matmul);
    if (!index.ok()) return index.status();
    independent = matmuls->RowsAreIndependent(*index) && matmuls->WeightsDesc(*index) == layout;
    product.by_ladder_.push_back(*index);
  }
  dnnl::memory::desc weights_desc = layout;
  if (!independent) {
    product.block_ = shape.positions > 1 ? shape.positions : kBlockRows;
    matmul.m = product.block_;
    const absl::StatusOr<int> index = matmuls->FindOrCreate(matmul);
    if (!index.ok()) return index.status();
    product.by_ladder_.assign(1, *index);
    weights_desc = matmuls->WeightsDesc(*index);
  }
  try {
    const dnnl::memory::desc plain({shape.in, shape.out}, dnnl::memory::data_type::f32,
                                   dnnl::memory::format_tag::ba);
    dnnl::memory source(plain, matmuls->engine());
    std::transform(weight.begin(), weight.end(), static_cast<float*>(source.get_data_handle()),
                   [](double w) { return static_cast<float>(w); });
    product.weights_ = dnnl::memory(weights_desc, matmuls->engine());
    dnnl::stream stream(matmuls->engine());
    dnnl::reorder(source, product.weights_).execute(stream, source, product.weights_);
    stream.wait();
    product.bias_ = dnnl::memory({{1, shape.out}, dnnl::memory::data_type::f32, dnnl::memory::format_tag::ab},
                                 matmuls->engine());
    auto* b = static_cast<float*>(product.bias_.get_data_handle());
    for (int64_t i = 0; i < shape.out; ++i) b[i] = bias.empty() ? 0.f : static_cast<float>(bias[i]);
  } catch (const dnnl::error& e) {
    return absl::InternalError(absl::StrCat("oneDNN cannot pack weights: ", e.what()));
  }
  return product;
}

void Product<float>::Run(int64_t rows, const float* x, float* y, const ProductScratch& scratch) const {
  if (block_ == 0) {
    const auto step =
        std::lower_bound(std::begin(kRowLadder), std::end(kRowLadder), rows) - std::begin(kRowLadder);
    scratch.matmuls->Run(by_ladder_[step], x, weights_, bias_, y);
    return;
  }
  const int64_t total = rows * shape_.positions;
  int64_t m = 0;
  for (; m + block_ <= total; m += block_) {
    scratch.matmuls->Run(by_ladder_[0], x + m * shape_.in, weights_, bias_, y + m * shape_.out);
  }
  if (m == total) return;
  const Arena::Mark mark = scratch.arena->mark();
  float* xs = scratch.arena->Take<float>(block_ * shape_.in);
  float* ys = scratch.arena->Take<float>(block_ * shape_.out);
  const int64_t left = total - m;
  std::fill(std::copy_n(x + m * shape_.in, left * shape_.in, xs), xs + block_ * shape_.in, 0.f);
  std::fill(std::copy_n(y + m * shape_.out, left * shape_.out, ys), ys + block_ * shape_.out, 0.f);
  scratch.matmuls->Run(by_ladder_[0], xs, weights_, bias_, ys);
  std::copy_n(ys, left * shape_.out, y + m * shape_.out);
  scratch.arena->Release(mark);
}

}  // namespace glowworm
