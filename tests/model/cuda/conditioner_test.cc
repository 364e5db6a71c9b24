// CUDA conditioners on the fake device against the gold standard's nets: every activation, padding and kind
// of residual, on rows and on images.

#include "model/cuda/conditioner.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "model/cuda/activation.h"
#include "tests/model/cuda/layer_fixture.h"
#include "tests/testing/random_net.h"
#include "tests/testing/random_numbers.h"

namespace glowworm::cuda {
namespace {

constexpr ActivationKind kActivations[] = {
    ActivationKind::kRelu, ActivationKind::kLeakyRelu, ActivationKind::kTanh,    ActivationKind::kElu,
    ActivationKind::kSilu, ActivationKind::kGelu,      ActivationKind::kSigmoid, ActivationKind::kSoftplus};

struct NetCase {
  std::string name;
  EventShape shape;  // of what the net reads
  int64_t context_size = 0;
  Net net;
};

template <typename T>
class ConditionerTest : public LayerTest<T> {
 protected:
  using LayerTest<T>::kEpsilon;
  static constexpr int64_t kRows = 33;

  // Sums of n terms, one product after another, each rounding by eps of the largest number that it meets; 8:
  // products in a net.
  static double Tolerance(int64_t terms, double norm) {
    return 8 * std::sqrt(static_cast<double>(terms)) * kEpsilon * std::max(1.0, norm);
  }

  void ExpectGoldStandard(const NetCase& c) {
    const EventShape& shape = c.shape;
    RandomNumbers random(shape.size() + c.context_size);
    const std::vector<double> x = this->Exact(random.Normals(kRows * shape.size(), 0, 1));
    const std::vector<double> context = this->Exact(random.Normals(kRows * c.context_size, 0, 1));
    const Conditioner<T> conditioner(c.net, {shape.channels, shape.height, shape.width, c.context_size},
                                     &this->constants_);
    T* out = nullptr;
    const std::vector<T> input = this->Rounded(x);
    this->Run(this->NewTile(kRows, shape, input, this->Rounded(context)), [&](Tile<T>* tile) {
      const Arena::Mark mark = tile->state->arena().mark();
      const auto buffers = conditioner.Allocate(*tile);
      if (tile->state->queue->running()) {
        EXPECT_EQ(cudaSuccess, cudaMemcpyAsync(buffers.input(), tile->x, input.size() * sizeof(T),
                                               cudaMemcpyDeviceToDevice, tile->state->queue->stream));
      }
      out = conditioner.Run(*tile, buffers);
      tile->state->arena().Release(mark);  // the numbers stay
    });
    const EventShape after{conditioner.out_width(), shape.height, shape.width, shape.image};
    const std::vector<T> got = this->FromDevice(out, kRows * after.size());
    for (int64_t r = 0; r < kRows; ++r) {
      const std::vector<double> mine(context.begin() + r * c.context_size,
                                     context.begin() + (r + 1) * c.context_size);
      const ReferenceEvent want = EvaluateNet(c.net, EventOf(input, r, shape), mine);
      const ReferenceEvent have = EventOf(got, r, after);
      ASSERT_EQ(want.values.size(), have.values.size()) << c.name;
      double norm = 0;
      for (const double v : want.values) norm = std::max(norm, std::abs(v));
      for (size_t i = 0; i < want.values.size(); ++i) {
        ASSERT_LE(std::abs(have.values[i] - want.values[i]), Tolerance(25 * 16, norm))
            << c.name << ", row " << r << ", number " << i;
      }
    }
  }
};

using Numbers = ::testing::Types<float, double>;
TYPED_TEST_SUITE(ConditionerTest, Numbers);

TYPED_TEST(ConditionerTest, NetsOverRowsAreTheGoldStandards) {
  RandomNumbers random(1);
  for (const ActivationKind activation : kActivations) {
    for (const int kind : {0, 1, 2, 3, 4, 5, 6, 7}) {
      NetOptions options;
      options.activation = activation;
      options.residual = (kind & 1) != 0;
      options.gate = (kind & 2) != 0;
      options.concat = (kind & 4) != 0;
      options.bias = activation != ActivationKind::kTanh;
      this->ExpectGoldStandard({"rows, kind " + std::to_string(kind),
                                {5, 1, 1, false},
                                3,
                                RandomNet(options, 5, 7, false, 3, random)});
    }
  }
}

TYPED_TEST(ConditionerTest, NetsOverImagesAreTheGoldStandards) {
  RandomNumbers random(2);
  for (const Pad pad : {Pad::kZero, Pad::kOne, Pad::kEdgeChannel}) {
    for (const int64_t kernel : {1, 3, 5}) {
      NetOptions options;
      options.pad = pad;
      options.kernel = kernel;
      options.residual = kernel == 3;
      options.gate = pad == Pad::kOne;
      this->ExpectGoldStandard({"image, kernel " + std::to_string(kernel),
                                {3, 4, 6, true},
                                2,
                                RandomNet(options, 3, 4, true, 2, random)});
    }
  }
}

// What an outer residual still needs is not written, whatever stands first in the inner one.
TYPED_TEST(ConditionerTest, NestedResidualsKeepTheirInputs) {
  RandomNumbers random(3);
  const auto dense = [&] {
    NetOp op;
    op.op = Dense{5, 5, random.Normals(25, 0, 0.3), random.Normals(5, 0, 0.3)};
    return op;
  };
  const auto as_op = [](auto value) {
    NetOp op;
    op.op = std::move(value);
    return op;
  };
  const NetOp relu = as_op(Activation{ActivationKind::kRelu, 0});
  Residual inner, bare, outer;
  inner.body.ops = {relu, dense()};
  bare.body.ops = {dense()};
  outer.body.ops = {as_op(inner), relu, as_op(bare), dense()};
  Residual activated;  // ends in no product
  activated.body.ops = {dense(), relu};
  Net net;
  net.ops = {as_op(outer), as_op(activated), as_op(inner), as_op(bare)};
  this->ExpectGoldStandard({"nested", {5, 1, 1, false}, 0, net});
}

TEST(ActivationTest, NanStaysNanAndLargeNumbersStayFiniteWhereTheirLimitIs) {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  for (const ActivationKind kind : kActivations) {
    EXPECT_TRUE(std::isnan(Activate(kind, 0.1, nan)));
    EXPECT_TRUE(std::isnan(Activate(kind, 0.1F, static_cast<float>(nan))));
    EXPECT_LE(std::abs(Activate(kind, 0.1, -1e4)), 1e3);
    EXPECT_LE(std::abs(Activate(kind, 0.1F, -1e4F)), 1.001e3F);
    const bool bounded = kind == ActivationKind::kTanh || kind == ActivationKind::kSigmoid;
    EXPECT_EQ(Activate(kind, 0.1, 1e4), bounded ? 1 : 1e4);
  }
}

}  // namespace
}  // namespace glowworm::cuda
