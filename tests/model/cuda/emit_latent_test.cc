// model/cuda/emit_latent.h and likelihood.h against the gold standard: splits and bases of every kind.

#include "model/cuda/emit_latent.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>
#include <vector>

#include "model/cuda/likelihood.h"
#include "model/plan.h"
#include "tests/model/cuda/kernel_fixture.h"
#include "tests/testing/agreement.h"
#include "tests/testing/random_flow.h"
#include "tests/testing/reference_base.h"

namespace glowworm::cuda {
namespace {

constexpr int64_t kClasses = 3;
constexpr double kUntouched = -1234;

// A split or a base, and what the gold standard knows of it.
struct Emission {
  FlowSpec spec;
  PlanOp op;
  Base prior;
  int64_t context_size = 0;

  const EmitLatent& emit() const { return std::get<EmitLatent>(op.op); }
  int64_t size() const { return op.in.positions() * static_cast<int64_t>(emit().emit.size()); }
};

// The last op of a flow of a permutation and, with `split`, a split.
Emission NewEmission(uint64_t seed, const EventShape& shape, BaseKind kind, bool split,
                     int64_t context_size) {
  RandomNumbers random(seed);
  RandomFlow flow(seed, shape, context_size, kind == BaseKind::kClass ? kClasses : 0);
  Emission out;
  if (split) {
    flow.AddPermutation().AddSplit(random.Coin() ? Half::kFirst : Half::kSecond, kind, AnyNetOptions(random));
    out.spec = flow.Finish(kind == BaseKind::kClass ? BaseKind::kClass : BaseKind::kStandard);
    out.prior = std::get<Split>(out.spec.layers[1].op).prior;
  } else {
    out.spec = flow.AddPermutation().Finish(kind);
    out.prior = out.spec.base;
  }
  absl::StatusOr<Plan> plan = Compile(out.spec, 1e6);
  EXPECT_TRUE(plan.ok()) << plan.status();
  out.op = plan->ops[0];
  out.context_size = context_size;
  std::get<EmitLatent>(out.op.op).latent_offset = 2;
  return out;
}

template <typename T>
class EmitLatentTest : public KernelTest {
 protected:
  // Calls check(emission, rows) for splits and bases of every kind and shape.
  template <typename Check>
  static void ForEach(const Check& check) {
    const std::vector<int64_t> sizes = {1, 3, 31, 33, 257};
    uint64_t seed = 0;
    for (const EventShape& shape :
         {RowShape(2), RowShape(7), RowShape(37), ImageShape(5, 2, 3), ImageShape(4, 4, 2)}) {
      for (const BaseKind kind : {BaseKind::kStandard, BaseKind::kDiagChannel, BaseKind::kDiagElement,
                                  BaseKind::kClass, BaseKind::kNet}) {
        for (const bool split : {true, false}) {
          if (kind == BaseKind::kNet && !split) continue;
          ++seed;
          const Emission emission =
              NewEmission(seed, shape, kind, split, kind == BaseKind::kNet && seed % 2 == 0 ? 3 : 0);
          SCOPED_TRACE(ShapeText(shape) + ", kind " + std::to_string(static_cast<int>(kind)) +
                       (split ? ", split" : ", base"));
          check(emission, sizes[seed % sizes.size()]);
        }
      }
    }
  }

  std::vector<T> RandomNumbersOf(int64_t count, uint64_t seed) {
    const std::vector<double> numbers = RandomNumbers(seed).Normals(count, 0, 1);
    return {numbers.begin(), numbers.end()};
  }

  // A tile of x with the emission's context, its latents `latent`, (rows, size), with two untouched numbers
  // on either side, and its labels.
  Tile<T> Prepare(const Emission& e, int64_t rows, const std::vector<T>& x, const std::vector<double>& latent,
                  const std::vector<int>& labels) {
    context_ = RandomNumbersOf(rows * e.context_size, 77);
    Tile<T> tile = NewTile(rows, e.op.in, x, context_);
    state_.latent_size = e.size() + 4;
    std::vector<double> whole(rows * state_.latent_size, kUntouched);
    for (int64_t r = 0; r < rows && !latent.empty(); ++r) {
      std::copy_n(latent.begin() + r * e.size(), e.size(), whole.begin() + r * state_.latent_size + 2);
    }
    state_.latent = ToDevice(whole);
    state_.num_classes = e.emit().density.num_classes;
    state_.class_label = ToDevice(labels);
    state_.class_log_density = ToDevice(std::vector<double>(rows * state_.num_classes));
    return tile;
  }
  // The emission's part of the latents, (rows, size).
  std::vector<double> Latents(const Emission& e) {
    const std::vector<double> whole = FromDevice(state_.latent, state_.rows * state_.latent_size);
    std::vector<double> out;
    for (int64_t r = 0; r < state_.rows; ++r) {
      const double* row = whole.data() + r * state_.latent_size;
      for (const int64_t beside : {int64_t{0}, int64_t{1}, e.size() + 2, e.size() + 3}) {
        EXPECT_EQ(row[beside], kUntouched);
      }
      out.insert(out.end(), row + 2, row + 2 + e.size());
    }
    return out;
  }

  // Row r of x, (rows, positions, c).
  static ReferenceEvent EventOf(const EventShape& shape, const std::vector<T>& x, int64_t r) {
    ReferenceEvent event = ZeroEvent(shape.channels, shape.height, shape.width);
    for (int64_t c = 0; c < shape.channels; ++c) {
      for (int64_t p = 0; p < shape.positions(); ++p) {
        event.at(c, p) = static_cast<double>(x[(r * shape.positions() + p) * shape.channels + c]);
      }
    }
    return event;
  }
  NormalParameters ParametersOfRow(const Emission& e, const ReferenceEvent& kept, int64_t r,
                                   int label) const {
    const EventShape& in = e.op.in;
    BaseInputs inputs;
    inputs.class_label = label;
    inputs.kept = &kept;
    inputs.context.assign(context_.begin() + r * e.context_size, context_.begin() + (r + 1) * e.context_size);
    return ParametersOf(e.prior, ZeroEvent(static_cast<int64_t>(e.emit().emit.size()), in.height, in.width),
                        inputs);
  }
  // What a prior's net may lose on one of its numbers.
  static double NetError(const Emission& e) {
    if (e.emit().density.kind != NormalDensity::Kind::kNet) return 0;
    return Float32Tolerance(e.spec, 1) * std::numeric_limits<T>::epsilon() /
           std::numeric_limits<float>::epsilon();
  }
  // ... and a log density: its derivatives by the means and the log scales, and a few roundings of each term.
  static double DensityError(const Emission& e, const NormalParameters& normal,
                             const std::vector<double>& z) {
    double moved = 0, magnitude = 0;
    for (size_t i = 0; i < z.size(); ++i) {
      const double scale = std::exp(normal.log_scale[i]), u = (z[i] - normal.mean[i]) / scale;
      moved += std::abs(u) / scale + std::abs(u * u - 1);
    }
    LogDensity(normal, z, &magnitude);
    return moved * NetError(e) +
           4 * static_cast<double>(z.size()) * std::numeric_limits<double>::epsilon() * (magnitude + moved);
  }

  std::vector<T> context_;
};
using NumberTypes = testing::Types<float, double>;
TYPED_TEST_SUITE(EmitLatentTest, NumberTypes);

std::vector<int> Labels(int64_t rows, int first) {
  std::vector<int> labels(rows);
  for (int64_t r = 0; r < rows; ++r) labels[r] = first + static_cast<int>(r % (kClasses - first));
  return labels;
}

TYPED_TEST(EmitLatentTest, TakesChannelsOutAndGoesOnWithTheRest) {
  using T = TypeParam;
  this->ForEach([&](const Emission& e, int64_t rows) {
    const EmitLatentOp<T> op(e.emit(), e.op.in, e.context_size, &this->constants_);
    const std::vector<T> x = this->RandomNumbersOf(rows * e.op.in.size(), 1);
    Tile<T> tile = this->Prepare(e, rows, x, {}, Labels(rows, -1));
    tile = this->Run(tile, [&](Tile<T>* t) { op.Forward(t); });
    const std::vector<double> latents = this->Latents(e);
    const std::vector<T> rest = this->FromDevice(tile.x, rows * e.op.in.size() - rows * e.size());
    const std::vector<int64_t>&emit = e.emit().emit, &keep = e.emit().keep;
    const int64_t positions = e.op.in.positions();
    for (int64_t r = 0; r < rows; ++r) {
      const ReferenceEvent event = this->EventOf(e.op.in, x, r);
      ASSERT_EQ(std::vector<double>(latents.begin() + r * e.size(), latents.begin() + (r + 1) * e.size()),
                PickChannels(event, emit).values);
      for (int64_t p = 0; p < positions; ++p) {
        for (size_t k = 0; k < keep.size(); ++k) {
          ASSERT_EQ(static_cast<double>(rest[(r * positions + p) * keep.size() + k]), event.at(keep[k], p));
        }
      }
    }
  });
}

TYPED_TEST(EmitLatentTest, DensitiesAreTheGoldStandards) {
  using T = TypeParam;
  this->ForEach([&](const Emission& e, int64_t rows) {
    const EmitLatentOp<T> op(e.emit(), e.op.in, e.context_size, &this->constants_);
    const std::vector<T> x = this->RandomNumbersOf(rows * e.op.in.size(), 2);
    const std::vector<int> labels = Labels(rows, -1);
    Tile<T> tile = this->Prepare(e, rows, x, {}, labels);
    this->Run(tile, [&](Tile<T>* t) { op.Forward(t); });
    const int64_t classes = this->state_.num_classes;
    const std::vector<double> got = this->FromDevice(this->state_.log_density, rows);
    const std::vector<double> per_class = this->FromDevice(this->state_.class_log_density, rows * classes);
    for (int64_t r = 0; r < rows; ++r) {
      const ReferenceEvent event = this->EventOf(e.op.in, x, r);
      const std::vector<double> z = PickChannels(event, e.emit().emit).values;
      const ReferenceEvent kept = PickChannels(event, e.emit().keep);
      for (int64_t k = 0; k < std::max<int64_t>(classes, 1); ++k) {
        const NormalParameters normal = this->ParametersOfRow(e, kept, r, static_cast<int>(k));
        double want = LogDensity(normal, z, nullptr);
        if (e.emit().density.kind == NormalDensity::Kind::kFixed) {  // the rest is in the plan's constant
          for (const double l : normal.log_scale) want += l + 0.5 * std::log(2 * M_PI);
        }
        if (classes == 0) {
          ASSERT_NEAR(got[r], want, this->DensityError(e, normal, z)) << r << " of " << rows;
        } else if (labels[r] < 0 || labels[r] == k) {
          ASSERT_NEAR(per_class[r * classes + k], want, this->DensityError(e, normal, z)) << r << ", " << k;
        } else {
          ASSERT_EQ(per_class[r * classes + k], 0) << "not the row's class: " << k;
        }
      }
      ASSERT_TRUE(classes == 0 || got[r] == 0) << got[r];
    }
  });
}

TYPED_TEST(EmitLatentTest, InverseOfLatentsPutsTheSameBitsBack) {
  using T = TypeParam;
  this->ForEach([&](const Emission& e, int64_t rows) {
    const EmitLatentOp<T> op(e.emit(), e.op.in, e.context_size, &this->constants_);
    const std::vector<T> x = this->RandomNumbersOf(rows * e.op.in.size(), 3);
    Tile<T> tile = this->Prepare(e, rows, x, {}, Labels(rows, -1));
    tile = this->Run(tile, [&](Tile<T>* t) {
      op.Forward(t);
      op.Inverse(t);
    });
    ASSERT_EQ(this->FromDevice(tile.x, rows * e.op.in.size()), x);
  });
}

TYPED_TEST(EmitLatentTest, InverseOfNoiseScalesAndShiftsIt) {
  using T = TypeParam;
  this->ForEach([&](const Emission& e, int64_t rows) {
    const EmitLatentOp<T> op(e.emit(), e.op.in, e.context_size, &this->constants_);
    const int64_t positions = e.op.in.positions(), n = e.size();
    const std::vector<T> kept_numbers = this->RandomNumbersOf(rows * (e.op.in.size() - n), 4);
    const std::vector<double> noise = RandomNumbers(5).Normals(rows * n, 0, 1);
    const std::vector<int> labels = Labels(rows, 0);
    Tile<T> tile = this->Prepare(e, rows, kept_numbers, noise, labels);
    this->state_.latent_is_noise = true;
    tile = this->Run(tile, [&](Tile<T>* t) { op.Inverse(t); });
    const std::vector<T> x = this->FromDevice(tile.x, rows * e.op.in.size());
    EventShape kept_shape = e.op.in;
    kept_shape.channels = static_cast<int64_t>(e.emit().keep.size());
    for (int64_t r = 0; r < rows; ++r) {
      const ReferenceEvent event = this->EventOf(e.op.in, x, r);
      const ReferenceEvent kept = this->EventOf(kept_shape, kept_numbers, r);
      ASSERT_EQ(PickChannels(event, e.emit().keep).values, kept.values);
      const NormalParameters normal = this->ParametersOfRow(e, kept, r, labels[r]);
      const std::vector<double> z = PickChannels(event, e.emit().emit).values;
      for (int64_t i = 0; i < n; ++i) {
        const double moved = std::exp(normal.log_scale[i]) * noise[r * n + i], want = normal.mean[i] + moved;
        // Roundings of the exponential, the product, the sum and the result.
        const double rounding =
            (std::abs(normal.mean[i]) + std::abs(moved)) *
            (4 * std::numeric_limits<double>::epsilon() + std::numeric_limits<T>::epsilon());
        ASSERT_NEAR(z[i], want, rounding + (1 + std::abs(moved)) * this->NetError(e))
            << i % positions << " of " << positions;
      }
    }
  });
}

class LikelihoodTest : public KernelTest {
 protected:
  std::vector<double> Finish(double constant, const std::vector<double>& log_density,
                             const std::vector<double>& log_class_weight,
                             const std::vector<double>& per_class, const std::vector<int>& labels) {
    const auto rows = static_cast<int64_t>(log_density.size());
    state_.rows = rows;
    state_.num_classes = static_cast<int64_t>(log_class_weight.size());
    state_.log_density = ToDevice(log_density);
    state_.class_log_density = ToDevice(per_class);
    state_.class_label = ToDevice(labels);
    const double* weight = ToDevice(log_class_weight);
    double* out = ToDevice(std::vector<double>(rows));
    Run([&] { FinishLogLikelihood(state_, constant, weight, out); });
    return FromDevice(out, rows);
  }
};

TEST_F(LikelihoodTest, WithoutClassesItIsTheConstantAndTheSum) {
  EXPECT_EQ(Finish(0.5, {1, -2, -HUGE_VAL}, {}, {}, {-1, -1, -1}),
            (std::vector<double>{1.5, -1.5, -HUGE_VAL}));
}

TEST_F(LikelihoodTest, ALabelPicksItsClassAndNoneSumsThemByWeight) {
  for (const int64_t rows : {1, 3, 31, 33, 257}) {
    for (const int64_t classes : {1, 2, 7}) {
      RandomNumbers random(static_cast<uint64_t>(rows * 10 + classes));
      const std::vector<double> log_density = random.Normals(rows, -100, 10);
      const std::vector<double> per_class = random.Normals(rows * classes, -50, 30);
      const std::vector<double> weight = LogSoftmax(random.Normals(classes, 0, 1));
      std::vector<int> labels(rows);
      for (int64_t r = 0; r < rows; ++r) labels[r] = static_cast<int>(r % (classes + 1)) - 1;
      const std::vector<double> got = Finish(3, log_density, weight, per_class, labels);
      for (int64_t r = 0; r < rows; ++r) {
        std::vector<double> terms(per_class.begin() + r * classes, per_class.begin() + (r + 1) * classes);
        double want = 3 + log_density[r];
        if (labels[r] >= 0) {
          want += terms[labels[r]];
        } else {
          for (int64_t k = 0; k < classes; ++k) terms[k] += weight[k];
          want += LogSumExp(terms);
        }
        // Roundings of a few sums of numbers below 400.
        ASSERT_NEAR(got[r], want, 8 * 400 * std::numeric_limits<double>::epsilon()) << r << " of " << rows;
      }
    }
  }
}

TEST_F(LikelihoodTest, NoClassAtAllIsMinusInfinity) {
  EXPECT_EQ(Finish(0, {1}, {std::log(0.5), std::log(0.5)}, {-HUGE_VAL, -HUGE_VAL}, {-1})[0], -HUGE_VAL);
}

}  // namespace
}  // namespace glowworm::cuda
