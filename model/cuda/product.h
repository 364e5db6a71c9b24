// Product<T>: y = x W^T on the device, by cuBLAS in true float32 or float64: no TF32 (it costs up to 0.3 nats
// at D = 768). Twin: model/cpu/product.h. Tested by tests/model/cuda/kernel_test.cc.
//
// Each call computes the same number of columns (Arena::columns), whatever the number of rows, so that cuBLAS
// chooses one kernel for all sizes and a row's bits do not depend on its batch.

#ifndef GLOWWORM_MODEL_CUDA_PRODUCT_H_
#define GLOWWORM_MODEL_CUDA_PRODUCT_H_

#include <cstdint>
#include <vector>

#include "model/cuda/constants.h"
#include "model/cuda/queue.h"

namespace glowworm::cuda {

// Immutable after creation.
template <typename T>
class Product {
 public:
  // weight: (out, in).
  Product(int64_t in, int64_t out, const std::vector<double>& weight, ConstantPool* constants);

  // x: (n, in) -> y: (n, out); accumulate: y += . REQUIRES: both from Arena::TakeColumns(n, ...). What lies
  // in the columns beyond n is read and written, and belongs to no row.
  void Run(Queue* queue, int64_t n, const T* x, T* y, bool accumulate) const;

  int64_t in() const { return in_; }
  int64_t out() const { return out_; }

 private:
  int64_t in_, out_;
  Constant<T> weight_;  // (out, in)
};

}  // namespace glowworm::cuda

#endif  // GLOWWORM_MODEL_CUDA_PRODUCT_H_
