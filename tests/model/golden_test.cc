// Real trained flows against the numbers that their training libraries computed in float64. Prints, for each
// fixture and precision, the worst error as a share of its gate.

#include "tests/testing/golden.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <string>
#include <tuple>
#include <vector>

#include "model/flow.h"
#include "tests/testing/flow_rows.h"
#include "tests/testing/test_device.h"

namespace glowworm {
namespace {

class GoldenTest : public testing::TestWithParam<std::tuple<const char*, Precision>> {
 protected:
  void SetUp() override {
    const std::string folder = FixtureFolder(std::get<0>(GetParam()));
    ASSERT_FALSE(folder.empty()) << std::get<0>(GetParam()) << " is missing in tests/golden";
    golden_ = ReadGolden(folder);
    auto flow = Flow::Load(FixtureFlowPath(folder), OnTestDevice(std::get<1>(GetParam())));
    ASSERT_TRUE(flow.ok()) << flow.status();
    flow_ = *std::move(flow);
  }

  bool float64() const { return std::get<1>(GetParam()) == Precision::kFloat64; }

  FlowRows Rows() const {
    FlowRows rows;
    rows.rows = golden_.At("x").rows();
    rows.numbers = golden_.At("x").values;
    if (golden_.Has("context")) rows.context = golden_.At("context").values;
    rows.class_label.assign(rows.rows, -1);
    for (int64_t i = 0; golden_.Has("class_label") && i < rows.rows; ++i) {
      rows.class_label[i] = static_cast<int>(golden_.At("class_label").values[i]);
    }
    return rows;
  }

  // Rows whose golden value this precision is judged by.
  std::vector<int64_t> JudgedRows() const {
    std::vector<int64_t> judged;
    const std::vector<double>& log_prob = golden_.At("log_prob").values;
    for (int64_t row = 0; row < static_cast<int64_t>(log_prob.size()); ++row) {
      const bool extreme = row >= kFirstExtremeRow || std::fabs(log_prob[row]) >= kExtremeLogProb;
      if (std::isfinite(log_prob[row]) && (float64() || !extreme)) judged.push_back(row);
    }
    return judged;
  }

  // How far log p of this row may be off: rounding relative to the terms that it adds, or three times what
  // the training library itself loses in float32.
  double LogProbGate(int64_t row) const {
    const double log_prob = golden_.At("log_prob").values[row];
    const double scale = std::max(1.0, std::fabs(log_prob));
    if (float64()) return 1e-8 * scale;
    double sum = 0, magnitude = 0;
    const GoldenTensor& terms = golden_.At("per_layer_log_det");  // (L, rows)
    for (int64_t layer = 0; layer < terms.rows(); ++layer) {
      const double term = terms.Row(layer)[row];
      sum += term;
      magnitude += std::fabs(term);
    }
    return std::max(2e-6 * (std::fabs(log_prob - sum) + magnitude) + 1e-5,
                    3 * golden_.library_float32_error * scale);
  }

  double WorstLogProb(const std::vector<double>& got, const char* golden_name) const {
    double worst = 0;
    for (int64_t row : JudgedRows()) {
      const double error = std::fabs(got[row] - golden_.At(golden_name).values[row]);
      worst = std::max(worst, std::isfinite(error) ? error / LogProbGate(row) : HUGE_VAL);
    }
    return worst;
  }

  // Worst |got - want| / (tolerance * max(1, |want|)).
  static double Worst(const std::vector<double>& got, const std::vector<double>& want, double tolerance) {
    if (got.size() != want.size()) return HUGE_VAL;
    double worst = 0;
    for (size_t i = 0; i < got.size(); ++i) {
      const double error = std::fabs(got[i] - want[i]) / (tolerance * std::max(1.0, std::fabs(want[i])));
      worst = std::max(worst, std::isfinite(error) ? error : HUGE_VAL);
    }
    return worst;
  }

  void Report(const char* what, double share) const {
    std::printf("%s %s: %s %.2g of its gate\n", float64() ? "float64" : "float32", std::get<0>(GetParam()),
                what, share);
  }

  Golden golden_;
  std::unique_ptr<const Flow> flow_;
};

TEST_P(GoldenTest, LogLikelihoodIsWithinItsGate) {
  const FlowAnswer answer = EncodeRows(*flow_, Rows());
  const double share = WorstLogProb(answer.log_likelihood, "log_prob");
  Report("log p", share);
  EXPECT_LE(share, 1);
  for (int64_t row : JudgedRows()) EXPECT_EQ(answer.status[row], RowStatus::kOk) << "row " << row;
  if (!golden_.Has("log_prob_any_class")) return;
  FlowRows unlabelled = Rows();
  unlabelled.class_label.assign(unlabelled.rows, -1);
  const double any = WorstLogProb(EncodeRows(*flow_, unlabelled).log_likelihood, "log_prob_any_class");
  Report("any class", any);
  EXPECT_LE(any, 1);
}

TEST_P(GoldenTest, LogLikelihoodHasTheSameBitsWithoutLatents) {
  AnswerOptions without;
  without.want_numbers = false;
  EXPECT_TRUE(SameBits(EncodeRows(*flow_, Rows()).log_likelihood,
                       EncodeRows(*flow_, Rows(), without).log_likelihood));
}

TEST_P(GoldenTest, LatentsAreWithinTheirGate) {
  const FlowAnswer answer = EncodeRows(*flow_, Rows());
  double share = 0;
  for (int64_t row : JudgedRows()) {
    share =
        std::max(share, Worst(answer.Numbers(row), golden_.At("latent").Row(row), float64() ? 1e-8 : 1e-3));
  }
  Report("latent", share);
  EXPECT_LE(share, 1);
}

TEST_P(GoldenTest, DecodeIsWithinItsGate) {
  FlowRows rows;
  rows.rows = golden_.At("decode_in").rows();
  rows.numbers = golden_.At("decode_in").values;
  if (golden_.Has("decode_context")) rows.context = golden_.At("decode_context").values;
  rows.class_label.assign(rows.rows, -1);
  const FlowAnswer answer = DecodeRows(*flow_, rows);
  const double share = Worst(answer.numbers, golden_.At("decode_out").values, float64() ? 1e-7 : 1e-3);
  Report("decode", share);
  EXPECT_LE(share, 1);
}

TEST_P(GoldenTest, TailProbabilityIsWithinItsGate) {
  ASSERT_EQ(flow_->info().has_calibration, golden_.Has("tail_probability"));
  if (!golden_.Has("tail_probability")) return;  // that the flow has none either is all there is to check
  const FlowAnswer answer = EncodeRows(*flow_, Rows());
  double share = 0;
  for (int64_t row : JudgedRows()) {
    const double error = std::fabs(answer.tail_probability[row] - golden_.At("tail_probability").values[row]);
    share = std::max(share, error / (float64() ? 1e-6 : 1e-3));
  }
  Report("tail", share);
  EXPECT_LE(share, 1);
}

INSTANTIATE_TEST_SUITE_P(Fixtures, GoldenTest,
                         testing::Combine(testing::Values("tiny-plu", "thyroid-glow", "digits-glow",
                                                          "pendigits-qr", "mammography-context",
                                                          "shuttle-nsf", "cardio-maf", "thyroid-iaf",
                                                          "image-extras"),
                                          testing::Values(Precision::kFloat64, Precision::kFloat32)));

}  // namespace
}  // namespace glowworm
