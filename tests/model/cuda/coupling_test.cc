// CUDA couplings and fixed splines on the fake device, as Compile leaves them: the gold standard's values and
// log-dets, its inverses, numeric Jacobians, and what a row too large for a net is marked with.

#include "model/cuda/coupling.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

#include "model/cuda/fixed_spline.h"
#include "model/plan.h"
#include "tests/model/cuda/layer_fixture.h"
#include "tests/testing/agreement.h"
#include "tests/testing/jacobian.h"
#include "tests/testing/random_flow.h"
#include "tests/testing/random_numbers.h"
#include "tests/testing/reference_layers.h"

namespace glowworm::cuda {
namespace {

// A flow of one coupling, and of its identity spline if it has one.
struct CouplingCase {
  std::string name;
  FlowSpec spec;
  Plan plan;

  CouplingCase(std::string case_name, RandomFlow flow)
      : name(std::move(case_name)), spec(flow.Finish(BaseKind::kStandard)), plan(*Compile(spec, 1e6)) {}
  const Coupling& coupling() const { return std::get<Coupling>(spec.layers[0].op); }
};

NetOptions SmoothNet() {
  NetOptions net;
  net.activation = ActivationKind::kSilu;
  return net;
}

std::vector<CouplingCase> CasesOf(const EventShape& shape, int64_t context_size) {
  RandomNumbers random(shape.size() + context_size);
  uint64_t seed = 1;
  std::vector<CouplingCase> cases;
  const std::string where = ", " + ShapeText(shape);
  NetOptions net = SmoothNet();
  net.concat = !shape.image;
  net.residual = net.gate = true;
  for (const ScaleMap map :
       {ScaleMap::kExp, ScaleMap::kSigmoid, ScaleMap::kInverseSigmoid, ScaleMap::kSoftplus,
        ScaleMap::kTanhExp, ScaleMap::kAtanExp, ScaleMap::kSoftclipExp}) {
    for (const AffineOrder order : {AffineOrder::kScaleThenShift, AffineOrder::kShiftThenScale}) {
      RandomFlow flow(++seed, shape, context_size);
      flow.AddCoupling({map, order, net, std::nullopt, std::nullopt});
      cases.emplace_back("scale map " + std::to_string(static_cast<int>(map)) + where, std::move(flow));
    }
  }
  RandomFlow additive(++seed, shape, context_size);
  cases.emplace_back("additive" + where, additive.AddAdditiveCoupling(net));
  for (int i = 0; i < 4; ++i) {
    RandomFlow flow(++seed, shape, context_size);
    const SplineTransform spline = AnySpline(random);
    std::optional<SplineTransform> identity;
    if (i % 2 == 1) identity = AnySpline(random);
    flow.AddCoupling({ScaleMap::kExp, AffineOrder::kScaleThenShift, net, spline, identity});
    cases.emplace_back("spline" + where, std::move(flow));
  }
  return cases;
}

std::vector<CouplingCase> AllCases() {
  std::vector<CouplingCase> all;
  for (const EventShape& shape : {RowShape(2), RowShape(5), ImageShape(3, 2, 3)}) {
    for (CouplingCase& c : CasesOf(shape, 0)) all.push_back(std::move(c));
  }
  for (CouplingCase& c : CasesOf(RowShape(7), 3)) all.push_back(std::move(c));
  return all;
}

template <typename T>
class CouplingTest : public LayerTest<T> {
 protected:
  using Answer = typename LayerTest<T>::Answer;

  // The numbers as the tile has them and as the gold standard reads them.
  struct Rows {
    std::vector<T> x, context;
    int64_t count;
  };
  Rows RandomRowsOf(const CouplingCase& c, int64_t rows, RandomNumbers& random) {
    return {this->Rounded(random.Normals(rows * c.spec.event.size(), 0, 1)),
            this->Rounded(random.Normals(rows * c.spec.context_size, 0, 1)), rows};
  }
  static std::vector<double> ContextOf(const CouplingCase& c, const Rows& rows, int64_t r) {
    const auto begin = rows.context.begin() + r * c.spec.context_size;
    return std::vector<double>(begin, begin + c.spec.context_size);
  }

  // All ops of the plan but the last, which emits the latent.
  Answer Run(bool forward, const CouplingCase& c, const Rows& rows) {
    this->constants_ = {};
    std::vector<std::variant<CouplingOp<T>, FixedSplineOp<T>>> ops;
    for (size_t i = 0; i + 1 < c.plan.ops.size(); ++i) {
      const PlanOp& op = c.plan.ops[i];
      if (const auto* fixed = std::get_if<FixedSpline>(&op.op)) {
        ops.emplace_back(FixedSplineOp<T>(*fixed, op.in, &this->constants_));
      } else {
        std::visit(
            [&](const auto& coupling) {
              if constexpr (std::is_constructible_v<CouplingOp<T>, decltype(coupling), EventShape, int64_t,
                                                    ConstantPool*>) {
                ops.emplace_back(CouplingOp<T>(coupling, op.in, c.spec.context_size, &this->constants_));
              } else {
                ADD_FAILURE() << c.name << " was compiled to something else";
              }
            },
            op.op);
      }
    }
    if (!forward) std::reverse(ops.begin(), ops.end());
    return this->Apply(c.spec.event, rows.x, rows.context, [&](Tile<T>* tile) {
      for (const auto& op : ops) {
        std::visit([&](const auto& o) { forward ? o.Forward(*tile) : o.Inverse(*tile); }, op);
      }
    });
  }

  // The gates of tests/testing/agreement.h.
  static double Tolerance(const CouplingCase& c, const std::vector<double>& want) {
    double norm = 1;
    for (double v : want) norm = std::max(norm, std::abs(v));
    return std::is_same_v<T, float> ? Float32Tolerance(c.spec, norm) : 1e-8 * norm;
  }
  static double LogDetTolerance(double log_det, double magnitude) {
    return std::is_same_v<T, float> ? 2e-6 * magnitude + 1e-5 : 1e-8 * std::max(1.0, std::abs(log_det));
  }

  void ExpectRow(const CouplingCase& c, const std::vector<T>& numbers, int64_t r,
                 const std::vector<double>& want) {
    const std::vector<double> got = EventOf(numbers, r, c.spec.event).values;
    for (size_t i = 0; i < want.size(); ++i) {
      ASSERT_NEAR(got[i], want[i], Tolerance(c, want)) << c.name << ", row " << r << ", number " << i;
    }
  }
};
using Numbers = testing::Types<float, double>;
TYPED_TEST_SUITE(CouplingTest, Numbers);

TYPED_TEST(CouplingTest, ValuesAndLogDetsAreTheGoldStandards) {
  RandomNumbers random(1);
  size_t i = 0;
  for (const CouplingCase& c : AllCases()) {
    const PreparedLayer layer = PrepareLayer(c.spec.layers[0], c.spec.event.channels);
    const auto rows = this->RandomRowsOf(c, kRaggedRows[i++ % 5], random);
    const auto got = this->Run(true, c, rows);
    for (int64_t r = 0; r < rows.count; ++r) {
      const LayerStep step =
          ForwardLayer(layer, EventOf(rows.x, r, c.spec.event), this->ContextOf(c, rows, r));
      this->ExpectRow(c, got.numbers, r, step.event.values);
      ASSERT_NEAR(got.log_density[r], step.log_det,
                  this->LogDetTolerance(step.log_det, step.log_det_magnitude))
          << c.name;
    }
    EXPECT_EQ(got.overflow, std::vector<unsigned char>(rows.count));
  }
}

TYPED_TEST(CouplingTest, InversesAreTheGoldStandardsAndAddNoLogDet) {
  RandomNumbers random(2);
  size_t i = 0;
  for (const CouplingCase& c : AllCases()) {
    const PreparedLayer layer = PrepareLayer(c.spec.layers[0], c.spec.event.channels);
    const auto rows = this->RandomRowsOf(c, kRaggedRows[i++ % 5], random);
    const auto got = this->Run(false, c, rows);
    for (int64_t r = 0; r < rows.count; ++r) {
      const ReferenceEvent x =
          InverseLayer(layer, EventOf(rows.x, r, c.spec.event), this->ContextOf(c, rows, r));
      this->ExpectRow(c, got.numbers, r, x.values);
    }
    EXPECT_EQ(got.log_density, std::vector<double>(rows.count));
  }
}

TYPED_TEST(CouplingTest, InverseUndoesForward) {
  RandomNumbers random(3);
  for (const CouplingCase& c : AllCases()) {
    auto rows = this->RandomRowsOf(c, 33, random);
    const std::vector<TypeParam> x = rows.x;
    rows.x = this->Run(true, c, rows).numbers;
    const auto back = this->Run(false, c, rows);
    for (int64_t r = 0; r < rows.count; ++r) {
      this->ExpectRow(c, back.numbers, r, EventOf(x, r, c.spec.event).values);
    }
  }
}

TYPED_TEST(CouplingTest, BitsOfARowDoNotDependOnTheOthers) {
  RandomNumbers random(4);
  for (const CouplingCase& c : CasesOf(RowShape(7), 3)) {
    const auto many = this->RandomRowsOf(c, 257, random);
    const auto together = this->Run(true, c, many);
    for (const int64_t r : {0, 100, 256}) {
      const auto row = [&](const std::vector<TypeParam>& all, int64_t size) {
        return std::vector<TypeParam>(all.begin() + r * size, all.begin() + (r + 1) * size);
      };
      const auto alone = this->Run(true, c, {row(many.x, 7), row(many.context, 3), 1});
      EXPECT_EQ(alone.numbers, row(together.numbers, 7)) << c.name;
      EXPECT_EQ(alone.log_density[0], together.log_density[r]) << c.name;
    }
  }
}

TYPED_TEST(CouplingTest, MarksRowsTooLargeForTheNet) {
  using T = TypeParam;
  const T huge = 2 * std::sqrt(std::numeric_limits<T>::max());
  RandomNumbers random(5);
  for (const CouplingCase& c : AllCases()) {
    const int64_t n = c.spec.event.size();
    auto rows = this->RandomRowsOf(c, 5, random);
    const int64_t kept = c.coupling().identity.back(), changed = c.coupling().transformed.front();
    rows.x[0 * n + kept] = huge;
    rows.x[1 * n + kept] = std::nan("");
    rows.x[2 * n + changed] = huge;
    rows.x[4 * n + n - c.spec.event.channels + kept] = -huge;  // at the last position
    for (const bool forward : {true, false}) {
      // An identity spline leaves what is far outside its bounds, so the net sees it either way.
      EXPECT_EQ(this->Run(forward, c, rows).overflow, (std::vector<unsigned char>{1, 1, 0, 0, 1})) << c.name;
    }
  }
}

// Where float64 has the digits for differences.
using WideCouplingTest = CouplingTest<double>;

TEST_F(WideCouplingTest, LogDetsAreTheJacobians) {
  RandomNumbers random(6);
  int checked = 0, seen = 0;
  for (const CouplingCase& c : CasesOf(RowShape(3), 0)) {
    const Rows row = RandomRowsOf(c, 1, random);
    const auto values = [&](const std::vector<double>& x) { return Run(true, c, {x, {}, 1}).numbers; };
    const NumericLogDet numeric =
        NumericLogAbsDet(values, row.x, 100 * std::numeric_limits<double>::epsilon());
    ++seen;
    if (!(numeric.error_bound < 1e-5)) continue;  // a knot lies within reach of the differences
    EXPECT_NEAR(Run(true, c, row).log_density[0], numeric.log_abs_det, numeric.error_bound) << c.name;
    ++checked;
  }
  EXPECT_GT(4 * checked, 3 * seen);
}

}  // namespace
}  // namespace glowworm::cuda
