// Implements tests/bench/matrix_peak.h.

#include "tests/bench/matrix_peak.h"

#include <omp.h>

#include <algorithm>

#include "dnnl.hpp"

namespace glowworm {
namespace bench {

struct MatrixPeak::Product {
  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  dnnl::matmul primitive;
  dnnl::memory src, weights, dst;
};

MatrixPeak::MatrixPeak(TilePool* pool, int64_t m, int64_t k, int64_t n)
    : pool_(pool),
      flops_(2.0 * static_cast<double>(m * k * n) * kRepeats * pool->threads()),
      products_(new Product[pool->threads()]) {
  omp_set_num_threads(1);
  using Tag = dnnl::memory::format_tag;
  constexpr auto kF32 = dnnl::memory::data_type::f32;
  for (int i = 0; i < pool->threads(); ++i) {
    Product& product = products_[i];
    const dnnl::matmul::desc desc({{m, k}, kF32, Tag::ab}, {{k, n}, kF32, Tag::any}, {{m, n}, kF32, Tag::ab});
    const dnnl::matmul::primitive_desc made(desc, product.engine);
    product.primitive = dnnl::matmul(made);
    product.src = dnnl::memory(made.src_desc(), product.engine);
    product.weights = dnnl::memory(made.weights_desc(), product.engine);
    product.dst = dnnl::memory(made.dst_desc(), product.engine);
    for (const dnnl::memory& memory : {product.src, product.weights}) {
      auto* values = static_cast<float*>(memory.get_data_handle());
      std::fill_n(values, memory.get_desc().get_size() / sizeof(float), 0.5f);
    }
  }
}

MatrixPeak::~MatrixPeak() = default;

void MatrixPeak::Run() {
  pool_->Run(pool_->threads(), [&](int64_t i) {
    omp_set_num_threads(1);
    Product& p = products_[i];
    for (int repeat = 0; repeat < kRepeats; ++repeat) {
      p.primitive.execute(p.stream,
                          {{DNNL_ARG_SRC, p.src}, {DNNL_ARG_WEIGHTS, p.weights}, {DNNL_ARG_DST, p.dst}});
    }
    p.stream.wait();
  });
}

}  // namespace bench
}  // namespace glowworm
