// Implements model/cuda/product.h. cuBLAS counts by columns: our (n, in), row by row, is its (in, n).

#include "model/cuda/product.h"

#include <type_traits>

#include "model/cuda/arena.h"

namespace glowworm::cuda {

template <typename T>
Product<T>::Product(int64_t in, int64_t out, const std::vector<double>& weight, ConstantPool* constants)
    : in_(in), out_(out), weight_(constants->Add<T>(weight)) {}

template <typename T>
void Product<T>::Run(Queue* queue, int64_t n, const T* x, T* y, bool accumulate) const {
  constexpr bool kIsFloat = std::is_same_v<T, float>;
  constexpr cudaDataType_t kType = kIsFloat ? CUDA_R_32F : CUDA_R_64F;
  constexpr cublasComputeType_t kCompute =
      kIsFloat ? CUBLAS_COMPUTE_32F_PEDANTIC : CUBLAS_COMPUTE_64F_PEDANTIC;
  const T one = 1, beta = accumulate ? T(1) : T(0);
  const auto in = static_cast<int>(in_), out = static_cast<int>(out_);
  if (!queue->running()) return;
  const int64_t columns = queue->arena->columns();
  for (int64_t i = 0; i < n && queue->ok(); i += columns) {
    queue->Note(cublasGemmEx(queue->blas, CUBLAS_OP_T, CUBLAS_OP_N, out, static_cast<int>(columns), in, &one,
                             weight_.on(*queue), kType, in, x + i * in_, kType, in, &beta, y + i * out_,
                             kType, out, kCompute, CUBLAS_GEMM_DEFAULT));
  }
}

template class Product<float>;
template class Product<double>;

}  // namespace glowworm::cuda
