// Implements model/cuda/pointwise.h.

#include "model/cuda/launch.h"
#include "model/cuda/pack.h"
#include "model/cuda/pointwise.h"

namespace glowworm::cuda {
namespace {

// One pack of x a thread.
template <typename T>
struct AffineForward {
  T* x;            // (rows, n)
  const T* scale;  // (n)
  const T* shift;  // (n)
  int64_t n;

  GLOWWORM_BODY void operator()(int64_t i) const {
    Pack<T> pack = LoadPack(x, i);
    for (int j = 0; j < Pack<T>::kSize; ++j) {
      const int64_t at = (i * Pack<T>::kSize + j) % n;
      pack.v[j] = pack.v[j] * scale[at] + shift[at];
    }
    StorePack(x, i, pack);
  }
};

template <typename T>
struct AffineInverse {
  T* x;            // (rows, n)
  const T* scale;  // (n)
  const T* shift;  // (n)
  int64_t n;

  GLOWWORM_BODY void operator()(int64_t i) const {
    Pack<T> pack = LoadPack(x, i);
    for (int j = 0; j < Pack<T>::kSize; ++j) {
      const int64_t at = (i * Pack<T>::kSize + j) % n;
      pack.v[j] = (pack.v[j] - shift[at]) / scale[at];
    }
    StorePack(x, i, pack);
  }
};

// (c) repeats over the positions.
std::vector<double> Repeated(const std::vector<double>& given, int64_t size) {
  std::vector<double> out;
  for (int64_t i = 0; i < size; ++i) out.push_back(given[i % given.size()]);
  return out;
}

}  // namespace

template <typename T>
AffineOp<T>::AffineOp(const ElementwiseAffine& op, const EventShape& shape, ConstantPool* constants)
    : size_(shape.size()),
      scale_(constants->Add<T>(Repeated(op.scale, size_))),
      shift_(constants->Add<T>(Repeated(op.shift, size_))) {}

template <typename T>
void AffineOp<T>::Forward(const Tile<T>& tile) const {
  Queue* queue = tile.state->queue;
  Launch(queue, Packs<T>(tile.state->rows * size_),
         AffineForward<T>{tile.x, scale_.on(*queue), shift_.on(*queue), size_});
}

template <typename T>
void AffineOp<T>::Inverse(const Tile<T>& tile) const {
  Queue* queue = tile.state->queue;
  Launch(queue, Packs<T>(tile.state->rows * size_),
         AffineInverse<T>{tile.x, scale_.on(*queue), shift_.on(*queue), size_});
}

template class AffineOp<float>;
template class AffineOp<double>;

}  // namespace glowworm::cuda
