// Implements model/cpu/scale_map.h. Cut into chunks that stay in L1, since each map makes several passes.

#include "model/cpu/scale_map.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <type_traits>

#include "model/cpu/elementwise.h"

namespace glowworm {
namespace {

constexpr int64_t kChunk = 512;
constexpr double kAtanFactor = 0.636;
// Below this, log softplus(r) = r - exp(r) / 2 + ... rounds to r.
template <typename T>
constexpr T kSoftplusIsExp = std::is_same_v<T, float> ? T(-17) : T(-38);

// softplus(x) = log(1 + exp(x)), for any size of x.
template <typename T, typename Array>
auto Softplus(const Array& x) {
  return x.max(T(0)) + (-x.abs()).exp().log1p();
}

template <typename T>
void MapChunk(const AffineTransform& t, int64_t n, const T* raw, T* scale, T* log_scale) {
  alignas(64) T work[kChunk];
  const ConstLanes<T> r(raw, n);
  Lanes<T> a(work, n), s(scale, n), log_s(log_scale, n);
  const T offset = static_cast<T>(t.offset), epsilon = static_cast<T>(t.epsilon),
          clamp = static_cast<T>(t.clamp);
  switch (t.scale_map) {
    case ScaleMap::kExp:
      log_s = r;
      s = log_s.exp();
      return;
    case ScaleMap::kSigmoid:
      a = -(r + offset);
      if (epsilon > 0) {
        s = (1 + a.exp()).inverse() + epsilon;
        log_s = s.log();
      } else {
        log_s = -Softplus<T>(a);
        s = (1 + a.exp()).inverse();
      }
      return;
    case ScaleMap::kInverseSigmoid:
      a = -(r + offset);
      log_s = Softplus<T>(a);
      s = 1 + a.exp();
      return;
    case ScaleMap::kSoftplus:
      a = Softplus<T>(r) + epsilon;
      log_s = r;  // s may be written over r
      if (clamp > 0) {
        s = a.min(clamp);
      } else {
        s = a;
      }
      // Far below zero softplus(r) is exp(r) to the last bit, and its logarithm must not see exp underflow.
      if (epsilon > 0) {
        log_s = s.log();
      } else {
        log_s = (log_s < kSoftplusIsExp<T>).select(log_s, s.log());
      }
      return;
    case ScaleMap::kTanhExp:
      log_s = clamp * r.tanh();
      s = log_s.exp();
      return;
    case ScaleMap::kAtanExp:
      log_s = (clamp * static_cast<T>(kAtanFactor)) * (r / clamp).atan();
      s = log_s.exp();
      return;
    case ScaleMap::kSoftclipExp:
      log_s = r / (1 + r.abs() / clamp);
      s = log_s.exp();
      return;
  }
}

// Eigen's exp clamps its argument, so exp of a large number is large and not infinite. Where the scale leaves
// the type's range it becomes 0 or Inf here, so that the row shows as not finite and not as a wrong number.
template <typename T>
void MarkOverflow(int64_t n, T* scale, const T* log_scale) {
  const T most = std::log(std::numeric_limits<T>::max()), least = std::log(std::numeric_limits<T>::min());
  const ConstLanes<T> log_s(log_scale, n);
  Lanes<T> s(scale, n);
  s = (log_s > most).select(std::numeric_limits<T>::infinity(), s);
  s = (log_s < least).select(T(0), s);
}

template <typename T>
void MapAll(const AffineTransform& t, int64_t n, const T* raw, T* scale, T* log_scale) {
  for (int64_t i = 0; i < n; i += kChunk) {
    const int64_t count = std::min(kChunk, n - i);
    MapChunk(t, count, raw + i, scale + i, log_scale + i);
    MarkOverflow(count, scale + i, log_scale + i);
  }
}

}  // namespace

void MapScale(const AffineTransform& transform, int64_t n, const float* raw, float* scale, float* log_scale) {
  MapAll(transform, n, raw, scale, log_scale);
}
void MapScale(const AffineTransform& transform, int64_t n, const double* raw, double* scale,
              double* log_scale) {
  MapAll(transform, n, raw, scale, log_scale);
}

}  // namespace glowworm
