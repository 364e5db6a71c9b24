// Autoregressive layers: one direction is one pass of the net, the other goes feature by feature through
// other code (model/cpu/sequential_net.h). What must hold between the two, and between a layer and its dual.
// That both are right is differential_test.cc's claim.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "model/flow.h"
#include "tests/testing/agreement.h"
#include "tests/testing/flow_rows.h"
#include "tests/testing/random_flow.h"
#include "tests/testing/test_device.h"

namespace glowworm {
namespace {

constexpr int64_t kRows = 35;  // two groups of sixteen and a tail

// A flow of one autoregressive layer, drawn at random.
FlowSpec AnyLayer(uint64_t seed, int64_t features, int64_t context_size) {
  RandomNumbers random(seed);
  AutoregressiveOptions options;
  options.scale_map = static_cast<ScaleMap>(random.Below(7));
  options.order = random.Coin() ? AffineOrder::kScaleThenShift : AffineOrder::kShiftThenScale;
  options.net = AnyNetOptions(random);
  if (seed % 2 == 0) options.spline = AnySpline(random);
  return RandomFlow(seed, RowShape(features), context_size)
      .AddAutoregressive(options)
      .Finish(BaseKind::kStandard);
}

Autoregressive& LayerOf(FlowSpec& spec) { return std::get<Autoregressive>(spec.layers[0].op); }

class AutoregressiveTest : public testing::TestWithParam<Precision> {
 protected:
  std::unique_ptr<const Flow> Make(const FlowSpec& spec) const {
    auto flow = Flow::Create(spec, OnTestDevice(GetParam()));
    EXPECT_TRUE(flow.ok()) << flow.status();
    return flow.ok() ? *std::move(flow) : nullptr;
  }
  std::unique_ptr<const Flow> Make(FlowSpec spec, ParallelDirection parallel) const {
    LayerOf(spec).parallel = parallel;
    return Make(spec);
  }
  double Tolerance(const FlowSpec& spec, double norm) const {
    return GetParam() == Precision::kFloat64 ? 1e-12 * norm : Float32Tolerance(spec, norm);
  }
  // Rows that this precision holds exactly.
  FlowRows Rows(const FlowSpec& spec, uint64_t seed) const {
    return RandomRows(spec, seed, kRows,
                      GetParam() == Precision::kFloat64 ? DataType::kFloat64 : DataType::kFloat32);
  }
};

FlowRows With(FlowRows rows, const std::vector<double>& numbers) {
  rows.numbers = numbers;
  return rows;
}

double LargestOf(const std::vector<double>& values) {
  double largest = 1;
  for (double v : values) largest = std::max(largest, std::fabs(v));
  return largest;
}

// Calls check(spec) for layers of every kind and size.
template <typename Check>
void ForEachLayer(Check check) {
  uint64_t seed = 0;
  for (const int64_t features : {1, 2, 3, 8, 33}) {
    for (const int64_t context_size : {0, 2}) {
      for (int repeat = 0; repeat < 4; ++repeat) {
        const FlowSpec spec = AnyLayer(++seed, features, context_size);
        SCOPED_TRACE(spec.name + ", " + std::to_string(features) + " features");
        check(spec);
      }
    }
  }
}

TEST_P(AutoregressiveTest, FeatureByFeatureUndoesTheOnePass) {
  ForEachLayer([&](const FlowSpec& spec) {
    const auto flow = Make(spec, ParallelDirection::kForward);
    const FlowRows rows = Rows(spec, 1);
    const std::vector<double> back = DecodeRows(*flow, With(rows, EncodeRows(*flow, rows).numbers)).numbers;
    const double tolerance = Tolerance(spec, LargestOf(rows.numbers));
    for (size_t i = 0; i < back.size(); ++i) ASSERT_NEAR(back[i], rows.numbers[i], tolerance);
  });
}

TEST_P(AutoregressiveTest, LogDetIsTheSameFromEitherDirection) {
  ForEachLayer([&](const FlowSpec& spec) {
    const auto masked = Make(spec, ParallelDirection::kForward);
    const auto inverse = Make(spec, ParallelDirection::kInverse);
    const FlowRows rows = Rows(spec, 2);
    const FlowAnswer there = EncodeRows(*masked, rows);
    const FlowAnswer back = EncodeRows(*inverse, With(rows, there.numbers));
    for (int64_t row = 0; row < kRows; ++row) {
      const auto log_det = [&](const FlowAnswer& answer) {
        double sum = answer.log_likelihood[row];
        for (double z : answer.Numbers(row)) sum += 0.5 * (z * z + std::log(2 * M_PI));
        return sum;
      };
      // D terms, each of which moves with the numbers by less than they do (nets are tame), and is rounded.
      const std::vector<double> x = back.Numbers(row), z = there.Numbers(row);
      const double norm = std::max(LargestOf(x), LargestOf(z));
      EXPECT_NEAR(log_det(there), -log_det(back), static_cast<double>(x.size()) * Tolerance(spec, norm));
    }
  });
}

// The masked flow's encoding is the inverse flow's decoding and the other way round: the same computation.
TEST_P(AutoregressiveTest, DualsHaveTheSameBits) {
  ForEachLayer([&](const FlowSpec& spec) {
    const auto masked = Make(spec, ParallelDirection::kForward);
    const auto inverse = Make(spec, ParallelDirection::kInverse);
    const FlowRows rows = Rows(spec, 3);
    EXPECT_TRUE(SameBits(EncodeRows(*masked, rows).numbers, DecodeRows(*inverse, rows).numbers));
    EXPECT_TRUE(SameBits(DecodeRows(*masked, rows).numbers, EncodeRows(*inverse, rows).numbers));
  });
}

TEST_P(AutoregressiveTest, AFeatureChangesItselfAndThoseAfterItInTheOrder) {
  ForEachLayer([&](FlowSpec spec) {
    const std::vector<int64_t> order = LayerOf(spec).order;
    const auto features = static_cast<int64_t>(order.size());
    const auto flow = Make(spec, ParallelDirection::kForward);
    // Row k of the moved rows differs from row 0 in feature order[k].
    const FlowRows rows = Rows(spec, 4).Pick(std::vector<int64_t>(features, 0));
    FlowRows moved = rows;
    for (int64_t k = 0; k < features; ++k) moved.numbers[k * features + order[k]] += 0.25;
    for (const auto call : {EncodeRows, DecodeRows}) {  // one pass, and feature by feature
      const FlowAnswer before = call(*flow, rows, {}), after = call(*flow, moved, {});
      for (int64_t k = 0; k < features; ++k) {
        const std::vector<double> was = before.Numbers(k), is = after.Numbers(k);
        for (int64_t j = 0; j < k; ++j)
          ASSERT_TRUE(SameBits(is[order[j]], was[order[j]])) << k << " changed " << j;
        ASSERT_NE(is[order[k]], was[order[k]]);
      }
    }
  });
}

INSTANTIATE_TEST_SUITE_P(Precisions, AutoregressiveTest,
                         testing::Values(Precision::kFloat64, Precision::kFloat32),
                         [](const auto& param_info) {
                           return param_info.param == Precision::kFloat64 ? "Float64" : "Float32";
                         });

}  // namespace
}  // namespace glowworm
