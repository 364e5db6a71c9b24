// model/cuda/autoregressive.h against the gold standard: one direction is one pass of the net, the other goes
// feature by feature.

#include "model/cuda/autoregressive.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "tests/model/cuda/kernel_fixture.h"
#include "tests/testing/agreement.h"
#include "tests/testing/jacobian.h"
#include "tests/testing/random_flow.h"
#include "tests/testing/reference_autoregressive.h"

namespace glowworm::cuda {
namespace {

// One layer on channels in another order than the features.
struct Layer {
  FlowSpec spec;
  Autoregressive reference;
  AutoregressiveMap op;
  int64_t context_size = 0;

  int64_t size() const { return static_cast<int64_t>(op.features.size()); }
  EventShape shape() const { return RowShape(size()); }
};

Layer NewLayer(uint64_t seed, int64_t features, int64_t context_size) {
  RandomNumbers random(seed);
  AutoregressiveOptions options;
  options.parallel = seed % 2 == 0 ? ParallelDirection::kForward : ParallelDirection::kInverse;
  options.scale_map = static_cast<ScaleMap>(random.Below(7));
  options.order = random.Coin() ? AffineOrder::kScaleThenShift : AffineOrder::kShiftThenScale;
  options.net = AnyNetOptions(random);
  if (seed % 3 == 0) options.spline = AnySpline(random);
  Layer out;
  out.spec = RandomFlow(seed, RowShape(features), context_size)
                 .AddAutoregressive(options)
                 .Finish(BaseKind::kStandard);
  out.reference = std::get<Autoregressive>(out.spec.layers[0].op);
  out.op = {random.Shuffled(features), out.reference.order, out.reference.net, out.reference.parallel,
            out.reference.transform};
  out.context_size = context_size;
  return out;
}

double LargestOf(const std::vector<double>& values) {
  double largest = 1;
  for (const double v : values) largest = std::max(largest, std::abs(v));
  return largest;
}

template <typename T>
class AutoregressiveTest : public KernelTest {
 protected:
  struct Answer {
    std::vector<double> x;  // (rows, D) by feature
    std::vector<double> log_density;
    std::vector<unsigned char> overflow;
  };

  // Calls check(layer, rows) for layers of every kind and size.
  template <typename Check>
  static void ForEach(const Check& check) {
    const std::vector<int64_t> sizes = {1, 3, 31, 33, 257};
    uint64_t seed = 0;
    for (const int64_t features : {1, 2, 3, 7, 13}) {
      for (int repeat = 0; repeat < (features < 7 ? 6 : 3); ++repeat) {
        const int64_t context_size = repeat % 3 == 0 ? 2 : 0;
        const Layer layer = NewLayer(++seed, features, context_size);
        SCOPED_TRACE(layer.spec.name + ", " + std::to_string(features) + " features, seed " +
                     std::to_string(seed));
        check(layer, sizes[seed % sizes.size()]);
      }
    }
  }

  // Numbers that T holds exactly.
  static std::vector<double> Numbers(int64_t count, uint64_t seed) {
    std::vector<double> numbers = RandomNumbers(seed).Normals(count, 0, 1);
    for (double& v : numbers) v = static_cast<double>(static_cast<T>(v));
    return numbers;
  }

  // x: (rows, D) by feature.
  Answer Call(const Layer& layer, bool forward, int64_t rows, const std::vector<double>& x,
              const std::vector<double>& context) {
    const int64_t d = layer.size();
    const AutoregressiveOp<T> op(layer.op, layer.context_size, &constants_);
    std::vector<T> by_channel(rows * d);
    for (int64_t i = 0; i < rows * d; ++i) {
      by_channel[i / d * d + layer.op.features[i % d]] = static_cast<T>(x[i]);
    }
    Tile<T> tile = NewTile(rows, layer.shape(), by_channel, std::vector<T>(context.begin(), context.end()));
    tile = Run(tile, [&](Tile<T>* t) { forward ? op.Forward(*t) : op.Inverse(*t); });
    by_channel = FromDevice(tile.x, rows * d);
    Answer answer{std::vector<double>(rows * d), FromDevice(state_.log_density, rows),
                  FromDevice(state_.overflow, rows)};
    for (int64_t i = 0; i < rows * d; ++i) {
      answer.x[i] = static_cast<double>(by_channel[i / d * d + layer.op.features[i % d]]);
    }
    return answer;
  }

  // What may be lost on a number of a row whose largest is `norm`.
  static double Tolerance(const Layer& layer, double norm) {
    return Float32Tolerance(layer.spec, norm) * std::numeric_limits<T>::epsilon() /
           std::numeric_limits<float>::epsilon();
  }

  void ExpectTheGoldStandards(const Layer& layer, bool forward, int64_t rows) {
    const int64_t d = layer.size(), c = layer.context_size;
    const std::vector<double> x = Numbers(rows * d, 1), context = Numbers(rows * c, 2);
    const Answer got = Call(layer, forward, rows, x, context);
    for (int64_t r = 0; r < rows; r += std::max<int64_t>(1, rows / 4)) {
      ReferenceEvent event = ZeroEvent(d, 1, 1);
      event.values.assign(x.begin() + r * d, x.begin() + (r + 1) * d);
      const std::vector<double> row_context(context.begin() + r * c, context.begin() + (r + 1) * c);
      const ReferencePoints want = forward ? EncodeAutoregressive(layer.reference, event, row_context)
                                           : DecodeAutoregressive(layer.reference, event, row_context);
      double norm = LargestOf(event.values), log_det = 0, terms = 0;
      for (const ReferencePoint& point : want) {
        norm = std::max(norm, std::abs(point.value));
        log_det += point.log_derivative;
        terms += std::abs(point.log_derivative);
      }
      for (int64_t i = 0; i < d; ++i) {
        ASSERT_NEAR(got.x[r * d + i], want[i].value, Tolerance(layer, norm)) << i << " of row " << r;
      }
      // D terms, each of which moves with the numbers by less than they do (nets are tame), and is rounded.
      const double lost = static_cast<double>(d) * Tolerance(layer, norm) + terms * Tolerance(layer, 1);
      ASSERT_NEAR(got.log_density[r], forward ? log_det : 0, forward ? lost : 0) << "row " << r;
      ASSERT_EQ(got.overflow[r], 0);
    }
  }
};
using NumberTypes = testing::Types<float, double>;
TYPED_TEST_SUITE(AutoregressiveTest, NumberTypes);

TYPED_TEST(AutoregressiveTest, ForwardIsTheGoldStandards) {
  this->ForEach([&](const Layer& layer, int64_t rows) { this->ExpectTheGoldStandards(layer, true, rows); });
}

TYPED_TEST(AutoregressiveTest, InverseIsTheGoldStandards) {
  this->ForEach([&](const Layer& layer, int64_t rows) { this->ExpectTheGoldStandards(layer, false, rows); });
}

TYPED_TEST(AutoregressiveTest, InverseUndoesForward) {
  this->ForEach([&](const Layer& layer, int64_t rows) {
    const std::vector<double> x = this->Numbers(rows * layer.size(), 3);
    const std::vector<double> context = this->Numbers(rows * layer.context_size, 4);
    const std::vector<double> z = this->Call(layer, true, rows, x, context).x;
    const std::vector<double> back = this->Call(layer, false, rows, z, context).x;
    const double tolerance = this->Tolerance(layer, std::max(LargestOf(x), LargestOf(z)));
    for (size_t i = 0; i < x.size(); ++i) ASSERT_NEAR(back[i], x[i], tolerance) << i;
  });
}

TYPED_TEST(AutoregressiveTest, BitsOfARowDoNotDependOnTheRowsBesideIt) {
  this->ForEach([&](const Layer& layer, int64_t rows) {
    const int64_t d = layer.size(), c = layer.context_size, r = rows / 2;
    const std::vector<double> x = this->Numbers(rows * d, 5), context = this->Numbers(rows * c, 6);
    for (const bool forward : {true, false}) {
      const auto all = this->Call(layer, forward, rows, x, context);
      const auto alone = this->Call(layer, forward, 1, {x.begin() + r * d, x.begin() + (r + 1) * d},
                                    {context.begin() + r * c, context.begin() + (r + 1) * c});
      ASSERT_EQ(std::vector<double>(all.x.begin() + r * d, all.x.begin() + (r + 1) * d), alone.x);
      ASSERT_EQ(all.log_density[r], alone.log_density[0]);
    }
  });
}

TYPED_TEST(AutoregressiveTest, RowsThatMayOverflowTheNetAreMarkedInEitherDirection) {
  using T = TypeParam;
  const double beyond = std::sqrt(static_cast<double>(std::numeric_limits<T>::max())) * 4;
  this->ForEach([&](const Layer& layer, int64_t rows) {
    const int64_t d = layer.size();
    std::vector<double> x(rows * d);
    x[(rows / 2) * d] = beyond;
    std::vector<unsigned char> marked(rows);
    marked[rows / 2] = 1;
    const std::vector<double> context(rows * layer.context_size);
    // The sequential direction looks at the results: a spline leaves so large a number alone.
    const bool parallel_forward = layer.op.parallel == ParallelDirection::kForward;
    const bool spline = std::holds_alternative<SplineTransform>(layer.op.transform);
    for (const bool forward : {true, false}) {
      if (forward != parallel_forward && !spline) continue;
      ASSERT_EQ(this->Call(layer, forward, rows, x, context).overflow, marked) << forward;
    }
  });
}

using AutoregressiveDoubleTest = AutoregressiveTest<double>;

TEST_F(AutoregressiveDoubleTest, LogDetIsThatOfTheNumericJacobian) {
  // Affine maps and splines, either direction the parallel one.
  for (const uint64_t seed : {1, 2, 3, 6}) {
    const Layer layer = NewLayer(seed, 3, seed == 2 ? 2 : 0);
    const std::vector<double> context = Numbers(layer.context_size, 8);
    std::vector<double> x = Numbers(3, 9);
    const auto map = [&](const std::vector<double>& at) { return Call(layer, true, 1, at, context).x; };
    const NumericLogDet want = NumericLogAbsDet(map, x, 1e-14);
    EXPECT_NEAR(Call(layer, true, 1, x, context).log_density[0], want.log_abs_det, want.error_bound)
        << "seed " << seed;
  }
}

}  // namespace
}  // namespace glowworm::cuda
