// Product<float>, on oneDNN, in float32 or bfloat16. Twin of product_double.cc.

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "model/cpu/bfloat16.h"
#include "model/cpu/product.h"

namespace glowworm {
namespace {

constexpr int64_t kBlockRows = 16;
// Packed weights may cost this much of the plain ones' memory in float32.
constexpr double kMaxPackedSize = 1.5;
// A product of one row's positions is worth sharing from here on: some 10 us.
constexpr int64_t kMinSharedMultiplications = 500'000;

}  // namespace

int64_t RoundUpOnLadder(int64_t rows) {
  return *std::lower_bound(std::begin(kRowLadder), std::end(kRowLadder), rows);
}

absl::StatusOr<Product<float>> Product<float>::Create(const ProductShape& shape,
                                                      const std::vector<double>& weight,
                                                      const std::vector<double>& bias, int64_t max_tile_rows,
                                                      PrimitiveSet* primitives) {
  Product product;
  product.shape_ = shape;
  // A product's rows are positions, a convolution's whole images.
  const bool convolution = shape.window > 0;
  const int64_t per_row = convolution ? 1 : shape.positions;
  if (convolution) product.shape_.min_call = 1;
  const int64_t min_call = product.shape_.min_call;
  const auto size_for = [&](int64_t rows) { return std::max(rows * per_row, min_call); };
  PrimitiveShape primitive{
      size_for(max_tile_rows), shape.in,         shape.out, shape.window, shape.height, shape.width,
      shape.activation,        shape.accumulate, true,      shape.type};
  absl::StatusOr<int> largest = primitives->FindOrCreate(primitive);
  if (!largest.ok()) return largest.status();
  const double plain_bytes = static_cast<double>(weight.size()) * sizeof(float);
  if (static_cast<double>(primitives->WeightsDesc(*largest).get_size()) > kMaxPackedSize * plain_bytes) {
    primitive.packed = false;
    largest = primitives->FindOrCreate(primitive);
    if (!largest.ok()) return largest.status();
  }
  const dnnl::memory::desc layout = primitives->WeightsDesc(*largest);
  const auto like_largest = [&](int index) {
    return primitives->RowsAreIndependent(index) && primitives->WeightsDesc(index) == layout &&
           primitives->Implementation(index) == primitives->Implementation(*largest);
  };
  bool independent = like_largest(*largest);
  for (int64_t rows : kRowLadder) {
    if (rows > max_tile_rows || !independent) break;
    primitive.m = size_for(rows);
    const absl::StatusOr<int> index = primitives->FindOrCreate(primitive);
    if (!index.ok()) return index.status();
    independent = like_largest(*index);
    product.by_ladder_.push_back(*index);
  }
  if (independent && primitives->may_share() && !convolution && shape.positions % 2 == 0 &&
      shape.positions / 2 >= min_call &&
      shape.positions * shape.in * shape.out >= kMinSharedMultiplications) {
    primitive.m = shape.positions / 2;
    const absl::StatusOr<int> index = primitives->FindOrCreate(primitive);
    if (!index.ok()) return index.status();
    if (like_largest(*index)) {
      product.half_ = *index;
      primitives->Shares();
    }
  }
  dnnl::memory::desc weights_desc = layout;
  if (!independent) {
    const bool whole_rows = convolution || shape.positions > std::max<int64_t>(1, min_call - 1);
    product.block_ = whole_rows ? shape.positions : kBlockRows;
    primitive.m = convolution ? 1 : product.block_;
    const absl::StatusOr<int> index = primitives->FindOrCreate(primitive);
    if (!index.ok()) return index.status();
    product.by_ladder_.assign(1, *index);
    weights_desc = primitives->WeightsDesc(*index);
  }
  try {
    using Tag = dnnl::memory::format_tag;
    constexpr auto kF32 = dnnl::memory::data_type::f32;
    const dnnl::memory::desc plain =
        convolution ? dnnl::memory::desc({shape.out, shape.in, shape.window, shape.window}, kF32, Tag::oihw)
                    : dnnl::memory::desc({shape.in, shape.out}, kF32, Tag::ba);
    dnnl::memory source(plain, primitives->engine());
    std::transform(weight.begin(), weight.end(), static_cast<float*>(source.get_data_handle()),
                   [](double w) { return static_cast<float>(w); });
    product.weights_ = dnnl::memory(weights_desc, primitives->engine());
    dnnl::stream stream(primitives->engine());
    dnnl::reorder(source, product.weights_).execute(stream, source, product.weights_);
    stream.wait();
    product.bias_ = dnnl::memory(primitives->BiasDesc(product.by_ladder_[0]), primitives->engine());
    auto* b = static_cast<float*>(product.bias_.get_data_handle());
    for (int64_t i = 0; i < shape.out; ++i) b[i] = bias.empty() ? 0.f : static_cast<float>(bias[i]);
  } catch (const dnnl::error& e) {
    return absl::InternalError(absl::StrCat("oneDNN cannot pack weights: ", e.what()));
  }
  return product;
}

void Product<float>::Run(int64_t rows, const float* x, float* y, const ProductScratch& scratch) const {
  if (shape_.type == ProductType::kFloat32) return RunCalls(rows, x, y, scratch);
  const Arena::Mark mark = scratch.arena->mark();
  const int64_t n = rows * shape_.positions * shape_.in;
  auto* rounded = scratch.arena->Take<uint16_t>(n);
  if (!scratch.measuring) RoundToBfloat16(n, x, rounded);
  RunCalls(rows, rounded, y, scratch);
  scratch.arena->Release(mark);
}

template <typename F>
void Product<float>::RunCalls(int64_t rows, const F* x, float* y, const ProductScratch& scratch) const {
  const int64_t total = rows * shape_.positions;
  int64_t call = block_;  // positions
  int index = by_ladder_[0];
  if (block_ == 0) {
    if (rows == 1 && half_ >= 0 && scratch.companion != nullptr && !scratch.measuring) {
      return RunShared(x, y, scratch);
    }
    // What is measured is the longest tile; a shorter one may need to be filled up.
    call = std::max(scratch.measuring ? 0 : total, shape_.min_call);
    index = by_ladder_[std::lower_bound(std::begin(kRowLadder), std::end(kRowLadder), rows) -
                       std::begin(kRowLadder)];
  }
  int64_t m = scratch.measuring ? total / call * call : 0;
  for (; m + call <= total; m += call) {
    scratch.primitives->Run(index, x + m * shape_.in, weights_, bias_, y + m * shape_.out);
  }
  if (m == total && !(scratch.measuring && shape_.min_call > 1)) return;
  const Arena::Mark mark = scratch.arena->mark();
  F* xs = scratch.arena->Take<F>(call * shape_.in);
  float* ys = scratch.arena->Take<float>(call * shape_.out);
  const int64_t left = total - m;
  std::fill(std::copy_n(x + m * shape_.in, left * shape_.in, xs), xs + call * shape_.in, F(0));
  std::fill(std::copy_n(y + m * shape_.out, left * shape_.out, ys), ys + call * shape_.out, 0.f);
  if (!scratch.measuring) scratch.primitives->Run(index, xs, weights_, bias_, ys);
  std::copy_n(ys, left * shape_.out, y + m * shape_.out);
  scratch.arena->Release(mark);
}

template <typename F>
void Product<float>::RunShared(const F* x, float* y, const ProductScratch& scratch) const {
  const int64_t m = shape_.positions / 2;
  scratch.companion->Share([&](int part, bool there) {
    PrimitiveRunner* primitives = there ? scratch.companion_primitives : scratch.primitives;
    primitives->Run(half_, x + part * m * shape_.in, weights_, bias_, y + part * m * shape_.out);
  });
}

}  // namespace glowworm
