// A row's answer has the same bits whatever rows it was batched with, whatever the batch's size, its
// position, the thread, and whether latents were asked for; and no row, however broken, changes a neighbour.
// ctest runs this twice, the second time with DNNL_MAX_CPU_ISA=AVX2, where oneDNN chooses other kernels.

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <ostream>
#include <string>
#include <thread>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "model/flow.h"
#include "tests/testing/flow_rows.h"
#include "tests/testing/random_flow.h"
#include "tests/testing/test_device.h"

namespace glowworm {
namespace {

constexpr int64_t kPoolRows = 61;
constexpr int kBatches = 12;

struct FlowCase {
  const char* name;
  EventShape event;
  int64_t context_size;
  int64_t num_classes;
  int64_t max_batch;
  uint64_t seed;
  friend std::ostream& operator<<(std::ostream& out, const FlowCase& flow_case) {
    return out << flow_case.name;
  }
};
const FlowCase kCases[] = {{"OneNumber", RowShape(1), 0, 0, 300, 1},
                           {"Rows5", RowShape(5), 0, 0, 300, 2},
                           {"Rows12Context", RowShape(12), 3, 0, 270, 3},
                           {"Rows48Classes", RowShape(48), 0, 3, 270, 4},
                           {"Rows192", RowShape(192), 1, 0, 130, 5},
                           {"Image3x8x8", ImageShape(3, 8, 8), 0, 0, 70, 6},
                           {"Image2x6x4All", ImageShape(2, 6, 4), 2, 3, 130, 7},
                           {"Image12x4x4", ImageShape(12, 4, 4), 0, 3, 70, 8},
                           {"Image1x3x5", ImageShape(1, 3, 5), 1, 0, 130, 9}};

// A flow with every kind of product and elementwise op that the shape allows.
FlowSpec RichFlow(const FlowCase& flow_case) {
  RandomFlow flow(flow_case.seed, flow_case.event, flow_case.context_size, flow_case.num_classes);
  RandomNumbers random(flow_case.seed);
  flow.AddAffine(true);
  for (int kind = 0; kind < 7; ++kind) {
    flow.AddPlu(Side::kOutput, true, true);
    if (kind == 2 && flow.Fits(LayerKind::kSqueezeChannelMajor)) flow.AddSqueeze(SqueezeOrder::kSpatialMajor);
    if (!flow.Fits(LayerKind::kCouplingAffine)) continue;
    CouplingOptions options;
    options.scale_map = static_cast<ScaleMap>(kind);
    options.net.activation = static_cast<ActivationKind>(kind + (flow_case.event.image ? 1 : 0));
    options.net.kernel = kind % 2 == 0 ? 3 : 1;
    options.net.pad = static_cast<Pad>(kind % 3);
    options.net.hidden = 8 + 9 * (kind % 3);
    options.net.residual = options.net.gate = kind % 2 == 1;
    options.net.concat = kind % 3 == 0;
    if (kind % 3 == 1) options.spline = AnySpline(random);
    if (kind % 3 == 2) options.identity_spline = AnySpline(random);
    flow.AddCoupling(options);
    if (kind == 4) flow.AddSplit(Half::kFirst, flow_case.num_classes > 0 ? BaseKind::kClass : BaseKind::kNet);
  }
  for (const ParallelDirection parallel : {ParallelDirection::kForward, ParallelDirection::kInverse}) {
    if (!flow.Fits(LayerKind::kAutoregressive)) continue;
    AutoregressiveOptions options;
    options.parallel = parallel;
    options.net.residual = options.net.gate = options.net.concat = true;
    flow.AddAutoregressive(options);
    options.spline = AnySpline(random);
    flow.AddAutoregressive(options);
  }
  return flow.Finish(flow_case.num_classes > 0 ? BaseKind::kClass : BaseKind::kDiagElement);
}

std::unique_ptr<const Flow> Make(const FlowSpec& spec, Precision precision, int workers = 1) {
  auto flow = Flow::Create(spec, OnTestDevice(precision, workers));
  EXPECT_TRUE(flow.ok()) << flow.status();
  return flow.ok() ? *std::move(flow) : nullptr;
}

// What a call says of one row.
struct RowAnswer {
  std::vector<double> numbers;
  double log_likelihood = 0, tail_probability = 0;
  RowStatus status = RowStatus::kOk;
  friend bool operator==(const RowAnswer& a, const RowAnswer& b) {
    return SameBits(a.numbers, b.numbers) && SameBits(a.log_likelihood, b.log_likelihood) &&
           SameBits(a.tail_probability, b.tail_probability) && a.status == b.status;
  }
};
RowAnswer At(const FlowAnswer& answer, int64_t row) {
  RowAnswer out;
  if (!answer.numbers.empty()) out.numbers = answer.Numbers(row);
  if (!answer.log_likelihood.empty()) out.log_likelihood = answer.log_likelihood[row];
  if (!answer.tail_probability.empty()) out.tail_probability = answer.tail_probability[row];
  out.status = answer.status[row];
  return out;
}

using Call = FlowAnswer (*)(const Flow&, const FlowRows&, const AnswerOptions&);

// Each row's answer when it is alone in its call.
std::vector<RowAnswer> Alone(const Flow& flow, const FlowRows& pool, Call call) {
  std::vector<RowAnswer> answers;
  for (int64_t row = 0; row < pool.rows; ++row) answers.push_back(At(call(flow, pool.Pick({row}), {}), 0));
  return answers;
}

// Rows of the pool, drawn with repetition.
std::vector<int64_t> RandomComposition(RandomNumbers& random, int64_t pool, int64_t max_batch) {
  std::vector<int64_t> index(1 + random.Below(max_batch));
  for (int64_t& row : index) row = random.Below(pool);
  return index;
}

// Number of rows, of some random batches, whose bits differ from those of the row alone.
int64_t DifferingRows(const Flow& flow, const FlowRows& pool, const std::vector<RowAnswer>& alone, Call call,
                      int64_t max_batch, uint64_t seed) {
  RandomNumbers random(seed);
  int64_t differing = 0;
  for (int batch = 0; batch < kBatches; ++batch) {
    const std::vector<int64_t> index = RandomComposition(random, pool.rows, max_batch);
    const FlowAnswer answer = call(flow, pool.Pick(index), {});
    for (size_t i = 0; i < index.size(); ++i) differing += !(At(answer, i) == alone[index[i]]);
  }
  return differing;
}

class InvarianceTest : public testing::TestWithParam<std::tuple<FlowCase, Precision>> {
 protected:
  void SetUp() override {
    const absl::Status can_compute = CheckTestPrecision(precision());
    if (!can_compute.ok()) GTEST_SKIP() << can_compute.message();
    spec_ = RichFlow(flow_case());
    flow_ = Make(spec_, precision());
    ASSERT_NE(flow_, nullptr);
    pool_ = RandomRows(spec_, 77, kPoolRows);
  }
  FlowCase flow_case() const { return std::get<0>(GetParam()); }
  Precision precision() const { return std::get<1>(GetParam()); }

  FlowSpec spec_;
  std::unique_ptr<const Flow> flow_;
  FlowRows pool_;
};

TEST_P(InvarianceTest, EncodeHasTheSameBitsInEveryBatch) {
  const std::vector<RowAnswer> alone = Alone(*flow_, pool_, EncodeRows);
  EXPECT_EQ(DifferingRows(*flow_, pool_, alone, EncodeRows, flow_case().max_batch, 1), 0);
}

TEST_P(InvarianceTest, DecodeHasTheSameBitsInEveryBatch) {
  const std::vector<RowAnswer> alone = Alone(*flow_, pool_, DecodeRows);
  EXPECT_EQ(DifferingRows(*flow_, pool_, alone, DecodeRows, flow_case().max_batch, 2), 0);
}

TEST_P(InvarianceTest, LogLikelihoodHasTheSameBitsWithoutLatents) {
  AnswerOptions without;
  without.want_numbers = false;
  const FlowAnswer with_z = EncodeRows(*flow_, pool_);
  const FlowAnswer without_z = EncodeRows(*flow_, pool_, without);
  EXPECT_TRUE(SameBits(with_z.log_likelihood, without_z.log_likelihood));
  EXPECT_TRUE(SameBits(with_z.tail_probability, without_z.tail_probability));
}

TEST_P(InvarianceTest, TwoThreadsAtOnceGetTheSameBits) {
  const std::vector<RowAnswer> encoded = Alone(*flow_, pool_, EncodeRows);
  const std::vector<RowAnswer> decoded = Alone(*flow_, pool_, DecodeRows);
  for (const int workers : {1, 2}) {  // with 1 the second caller brings a workspace of its own
    const std::unique_ptr<const Flow> shared = Make(spec_, precision(), workers);
    ASSERT_NE(shared, nullptr);
    int64_t differing[2] = {0, 0};
    const auto work = [&](int thread) {
      differing[thread] =
          DifferingRows(*shared, pool_, encoded, EncodeRows, flow_case().max_batch, 10 + thread) +
          DifferingRows(*shared, pool_, decoded, DecodeRows, flow_case().max_batch, 20 + thread);
    };
    std::thread first(work, 0), second(work, 1);
    first.join();
    second.join();
    EXPECT_EQ(differing[0] + differing[1], 0) << workers << " workers";
  }
}

// Rows with every kind of number that a float can be.
FlowRows WithBrokenRows(FlowRows pool, const std::vector<int64_t>& broken) {
  const double values[] = {std::numeric_limits<double>::quiet_NaN(),
                           std::numeric_limits<double>::infinity(),
                           -std::numeric_limits<double>::infinity(),
                           1e38,
                           -1e38,
                           1e308,
                           1e-310,
                           1e-40,
                           -0.0};
  const int64_t size = static_cast<int64_t>(pool.numbers.size()) / pool.rows;
  for (size_t i = 0; i < broken.size(); ++i) {
    for (int64_t d = static_cast<int64_t>(i) % 2; d < size; d += 1 + static_cast<int64_t>(i) % 3) {
      pool.numbers[broken[i] * size + d] = values[i % 9];
    }
  }
  return pool;
}

TEST_P(InvarianceTest, BrokenRowsChangeNoNeighbour) {
  const std::vector<int64_t> broken = {0, 3, 4, 9, 15, 16, 20, 31, 32, 47, 48, 49, 50, 60};
  const FlowRows poisoned = WithBrokenRows(pool_, broken);
  for (const Call call : {Call{EncodeRows}, Call{DecodeRows}}) {
    const FlowAnswer clean = call(*flow_, pool_, {});
    const FlowAnswer answer = call(*flow_, poisoned, {});
    const std::vector<RowAnswer> alone = Alone(*flow_, poisoned, call);
    for (int64_t row = 0; row < pool_.rows; ++row) {
      EXPECT_TRUE(At(answer, row) == alone[row]) << "row " << row;
      if (std::find(broken.begin(), broken.end(), row) != broken.end()) continue;
      EXPECT_TRUE(At(answer, row) == At(clean, row)) << "row " << row;
      EXPECT_EQ(answer.status[row], RowStatus::kOk) << "row " << row;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Flows, InvarianceTest,
                         testing::Combine(testing::ValuesIn(kCases),
                                          testing::Values(Precision::kFloat64, Precision::kFloat32,
                                                          Precision::kBfloat16)),
                         [](const auto& param_info) {
                           return absl::StrCat(std::get<0>(param_info.param).name, "_",
                                               PrecisionName(std::get<1>(param_info.param)));
                         });

}  // namespace
}  // namespace glowworm
