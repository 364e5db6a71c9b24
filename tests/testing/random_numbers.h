// Seeded random numbers for the generators of tests: the same on every machine, unlike the standard
// distributions.

#ifndef GLOWWORM_TESTS_TESTING_RANDOM_NUMBERS_H_
#define GLOWWORM_TESTS_TESTING_RANDOM_NUMBERS_H_

#include <cmath>
#include <cstdint>
#include <numeric>
#include <random>
#include <utility>
#include <vector>

namespace glowworm {

class RandomNumbers {
 public:
  explicit RandomNumbers(uint64_t seed) : engine_(seed) {}

  // In [low, high).
  double Uniform(double low, double high) {
    return low + (high - low) * std::ldexp(static_cast<double>(engine_() >> 11), -53);
  }
  // In [0, count). REQUIRES: count > 0.
  int64_t Below(int64_t count) { return static_cast<int64_t>(engine_() % static_cast<uint64_t>(count)); }
  bool Coin() { return Below(2) == 1; }
  double Normal() {
    const double radius = std::sqrt(-2 * std::log(1 - Uniform(0, 1)));
    return radius * std::cos(2 * std::acos(-1.0) * Uniform(0, 1));
  }
  std::vector<double> Normals(int64_t count, double mean, double deviation) {
    std::vector<double> out(count);
    for (double& v : out) v = mean + deviation * Normal();
    return out;
  }
  std::vector<double> Uniforms(int64_t count, double low, double high) {
    std::vector<double> out(count);
    for (double& v : out) v = Uniform(low, high);
    return out;
  }
  std::vector<double> Signs(int64_t count) {
    std::vector<double> out(count);
    for (double& v : out) v = Coin() ? 1 : -1;
    return out;
  }
  std::vector<int64_t> Shuffled(int64_t count) {
    std::vector<int64_t> out(count);
    std::iota(out.begin(), out.end(), 0);
    for (int64_t i = count - 1; i > 0; --i) std::swap(out[i], out[Below(i + 1)]);
    return out;
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace glowworm

#endif  // GLOWWORM_TESTS_TESTING_RANDOM_NUMBERS_H_
