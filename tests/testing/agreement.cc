// See agreement.h.

#include "tests/testing/agreement.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <memory>
#include <set>
#include <vector>

#include "tests/testing/flow_rows.h"
#include "tests/testing/random_flow.h"
#include "tests/testing/reference_flow.h"
#include "tests/testing/test_device.h"

namespace glowworm {
namespace {

constexpr double kFloat32Epsilon = 1.2e-7;
constexpr double kWidestNet = 32 * 9;  // terms of the longest sum in the nets that random_net.h makes, nearly

double LargestOf(const std::vector<double>& values) {
  double largest = 1;
  for (double v : values) largest = std::max(largest, std::fabs(v));
  return largest;
}

// A dozen rows: the first, the last, and those beside the borders that tiles and packets have.
std::vector<int64_t> ProbedRows(int64_t rows) {
  std::set<int64_t> probed;
  for (int64_t row : {0, 1, 2, 7, 8, 15, 16, 17, 63, 64, 255, 256})
    probed.insert(std::min<int64_t>(row, rows - 1));
  probed.insert(rows - 1);
  return {probed.begin(), probed.end()};
}

class Comparison {
 public:
  Comparison(const FlowSpec& spec, const AgreementOptions& options, const Flow& flow)
      : spec_(spec), options_(options), flow_(flow), reference_(spec) {
    answer_options_.in = options.in;
    answer_options_.out = options.in == DataType::kFloat32 ? DataType::kFloat32 : DataType::kFloat64;
  }

  Agreement Run(const FlowRows& rows) {
    const FlowAnswer encoded = EncodeRows(flow_, rows, answer_options_);
    CheckStatus(encoded, "Encode");
    for (int64_t row : ProbedRows(rows.rows)) CompareEncoded(rows, encoded, row);
    if (options_.round_trip) CompareRoundTrip(rows, encoded);
    if (options_.decode) CompareDecoded();
    return out_;
  }

 private:
  bool float64() const { return options_.precision == Precision::kFloat64; }

  double Tolerance(double norm) const {
    double tolerance = float64() ? 1e-8 * norm : Float32Tolerance(spec_, norm);
    if (answer_options_.out == DataType::kFloat32) tolerance += kFloat32Epsilon * norm;
    return tolerance;
  }

  // Worst error of a row's numbers as a share of their tolerance.
  double Share(const std::vector<double>& got, const std::vector<double>& want) const {
    if (got.size() != want.size()) return HUGE_VAL;
    const double tolerance = Tolerance(LargestOf(want));
    double worst = 0;
    for (size_t i = 0; i < got.size(); ++i) {
      const double error = std::fabs(got[i] - want[i]) / tolerance;
      worst = std::max(worst, std::isfinite(error) ? error : HUGE_VAL);
    }
    return worst;
  }

  void CheckStatus(const FlowAnswer& answer, const char* call) {
    if (!answer.computed.ok()) out_.failure = answer.computed.ToString();
    for (size_t row = 0; row < answer.status.size() && out_.failure.empty(); ++row) {
      if (answer.status[row] == RowStatus::kOk) continue;
      out_.failure = std::string(call) + ": row " + std::to_string(row) + " has status " +
                     std::to_string(static_cast<int>(answer.status[row]));
    }
  }

  double LogProbGate(const ReferenceEncoding& want) const {
    if (float64()) return 1e-8 * std::max(1.0, std::fabs(want.log_prob));
    double magnitude = std::fabs(want.base_log_prob);
    for (double term : want.per_layer_log_det) magnitude += std::fabs(term);
    return 2e-6 * magnitude + 1e-5;
  }

  void CompareEncoded(const FlowRows& rows, const FlowAnswer& got, int64_t row) {
    const ReferenceEncoding want =
        reference_.Encode(rows.Numbers(row), rows.Context(row), rows.class_label[row]);
    const double gate = LogProbGate(want);
    const double error = std::fabs(got.log_likelihood[row] - want.log_prob) / gate;
    out_.log_prob = std::max(out_.log_prob, std::isfinite(error) ? error : HUGE_VAL);
    out_.latent = std::max(out_.latent, Share(got.Numbers(row), want.latent));
    if (!spec_.calibration.has_value()) return;
    const double low = reference_.TailProbability(want.log_prob - gate);
    const double high = reference_.TailProbability(want.log_prob + gate);
    const double middle = 0.5 * (low + high), half = 0.5 * (high - low) + 1e-14;
    const double tail = std::fabs(got.tail_probability[row] - middle) / half;
    out_.tail = std::max(out_.tail, std::isfinite(tail) ? tail : HUGE_VAL);
  }

  void CompareRoundTrip(const FlowRows& rows, const FlowAnswer& encoded) {
    FlowRows latents = rows;
    latents.numbers = encoded.numbers;
    AnswerOptions options = answer_options_;
    options.in = answer_options_.out;
    const FlowAnswer decoded = DecodeRows(flow_, latents, options);
    CheckStatus(decoded, "Decode of Encode's latents");
    for (int64_t row = 0; row < rows.rows; ++row) {
      out_.round_trip = std::max(out_.round_trip, Share(decoded.Numbers(row), rows.Numbers(row)));
    }
  }

  void CompareDecoded() {
    const FlowRows latents = RandomLatents(spec_, options_.seed + 1, options_.rows);
    AnswerOptions options;
    options.out = answer_options_.out;
    const FlowAnswer decoded = DecodeRows(flow_, latents, options);
    CheckStatus(decoded, "Decode");
    for (int64_t row : ProbedRows(options_.rows)) {
      const std::vector<double> want = reference_.Decode(latents.Numbers(row), latents.Context(row));
      out_.decode = std::max(out_.decode, Share(decoded.Numbers(row), want));
    }
  }

  const FlowSpec& spec_;
  const AgreementOptions options_;
  const Flow& flow_;
  const ReferenceFlow reference_;
  AnswerOptions answer_options_;
  Agreement out_;
};

}  // namespace

double Agreement::Worst() const {
  return failure.empty() ? std::max({log_prob, tail, latent, decode, round_trip}) : HUGE_VAL;
}

void Agreement::Merge(const Agreement& other) {
  log_prob = std::max(log_prob, other.log_prob);
  tail = std::max(tail, other.tail);
  latent = std::max(latent, other.latent);
  decode = std::max(decode, other.decode);
  round_trip = std::max(round_trip, other.round_trip);
  if (failure.empty()) failure = other.failure;
}

std::string Agreement::Text() const {
  char text[200];
  std::snprintf(text, sizeof(text),
                "log p %.2g, tail %.2g, latent %.2g, decode %.2g, round trip %.2g of their gates", log_prob,
                tail, latent, decode, round_trip);
  return failure.empty() ? text : text + ("; " + failure);
}

Agreement CompareWithReference(const FlowSpec& spec, const AgreementOptions& options) {
  return CompareWithReference(spec, options, RandomRows(spec, options.seed, options.rows, options.in));
}

Agreement CompareWithReference(const FlowSpec& spec, const AgreementOptions& options, const FlowRows& rows) {
  auto flow = Flow::Create(spec, OnTestDevice(options.precision));
  if (!flow.ok()) {
    Agreement refused;
    refused.failure = std::string(flow.status().message());
    return refused;
  }
  return Comparison(spec, options, **flow).Run(rows);
}

double Float32Tolerance(const FlowSpec& spec, double norm) {
  const double layers = static_cast<double>(spec.layers.size());
  const double terms = std::max(kWidestNet, 4.0 * spec.event.channels);
  return (layers + 1) * std::sqrt(terms) * kFloat32Epsilon * norm;
}

}  // namespace glowworm
