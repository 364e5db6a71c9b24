// Implements tests/model/train/central_difference.h.

#include "tests/model/train/central_difference.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace glowworm {
namespace train {
namespace {

constexpr double kEps = std::numeric_limits<double>::epsilon();

struct Quotient {
  double value = 0, error = 0;
};

// d f / d entry, `entry` being a number that f reads.
Quotient Differentiate(double* entry, const std::function<torch::Tensor()>& f) {
  const double at = *entry;
  const double step = std::cbrt(kEps) * std::max(1.0, std::abs(at));
  double largest = 1;
  const auto value = [&](double x) {
    *entry = x;
    const double v = f().item<double>();
    largest = std::max(largest, std::abs(v));
    return v;
  };
  const double narrow = (value(at + step) - value(at - step)) / (2 * step);
  const double wide = (value(at + 2 * step) - value(at - 2 * step)) / (4 * step);
  *entry = at;
  constexpr double kRoundings = 64;  // of f's value, each kEps of the largest
  return {narrow, std::abs(wide - narrow) + kRoundings * kEps * largest / step};
}

}  // namespace

void ExpectGradientsOfFiniteDifferences(torch::nn::Module* module, const std::function<torch::Tensor()>& f) {
  module->zero_grad();
  f().backward();
  const torch::NoGradGuard no_grad;
  for (const auto& parameter : module->named_parameters()) {
    const torch::Tensor& p = parameter.value();
    ASSERT_TRUE(p.is_contiguous()) << parameter.key();
    const torch::Tensor gradient = p.grad().defined() ? p.grad().contiguous() : torch::zeros_like(p);
    for (int64_t i = 0; i < p.numel(); ++i) {
      const Quotient expected = Differentiate(p.data_ptr<double>() + i, f);
      EXPECT_NEAR(gradient.data_ptr<double>()[i], expected.value, expected.error)
          << parameter.key() << ", entry " << i;
    }
  }
}

}  // namespace train
}  // namespace glowworm
