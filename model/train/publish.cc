#include "model/train/publish.h"

#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "model/flow.h"
#include "model/flow_file.h"
#include "model/train/atomic_file.h"
#include "model/train/evaluation.h"

namespace glowworm {
namespace train {
namespace {

constexpr size_t kMaxQuantiles = 512;
constexpr int64_t kRowsReadBack = 64;  // compared once more, with the file as it lies on the disk

// The serving library's log p of each row, in float64, nats.
absl::StatusOr<std::vector<double>> ServedLogLikelihoods(const Flow& flow, const DataSet& data) {
  const torch::Tensor x = data.x.contiguous();
  const torch::Tensor context =
      data.context.defined() ? data.context.to(torch::kFloat64).contiguous() : torch::Tensor();
  const int64_t row_bytes = x.stride(0) * x.element_size();
  const auto n = static_cast<size_t>(data.rows());
  std::vector<double> log_likelihood(n);
  std::vector<RowStatus> status(n);
  std::vector<EncodeRow> rows(n);
  for (size_t i = 0; i < n; ++i) {
    const auto row = static_cast<int64_t>(i);
    rows[i].x = {static_cast<const char*>(x.data_ptr()) + row * row_bytes,
                 data.event.image ? DataType::kUint8 : DataType::kFloat64};
    if (context.defined()) {
      rows[i].context = {context.data_ptr<double>() + row * context.stride(0), DataType::kFloat64};
    }
    if (data.label.defined()) rows[i].class_label = static_cast<int>(data.label[row].item<int64_t>());
    rows[i].log_likelihood = &log_likelihood[i];
    rows[i].status = &status[i];
  }
  const absl::Status computed = flow.Encode(rows);
  if (!computed.ok()) return computed;
  return log_likelihood;
}

// The values at up to kMaxQuantiles evenly spaced ranks, and P(log p <= value) as rank / (n + 1). Equal
// values are one.
Calibration Quantiles(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t n = values.size();
  const size_t wanted = std::min(n, kMaxQuantiles);
  Calibration calibration;
  for (size_t k = 0; k < wanted; ++k) {
    const size_t at = wanted == 1 ? 0 : k * (n - 1) / (wanted - 1);
    const double probability = static_cast<double>(at + 1) / static_cast<double>(n + 1);
    if (!calibration.log_likelihood.empty() && calibration.log_likelihood.back() == values[at]) {
      calibration.probability.back() = probability;
      continue;
    }
    calibration.log_likelihood.push_back(values[at]);
    calibration.probability.push_back(probability);
  }
  return calibration;
}

// `count` rows, evenly spaced. REQUIRES: 1 <= count <= data.rows()
DataSet SpacedRows(const DataSet& data, int64_t count) {
  return Rows(data, (torch::arange(count, torch::kInt64) * data.rows()).div(count, "floor"));
}

// How many rows of each part are used: all, or each part's share of kMaxHeldOutRows.
std::vector<int64_t> RowsUsed(const std::vector<const DataSet*>& parts) {
  int64_t all = 0;
  for (const DataSet* part : parts) all += part->rows();
  std::vector<int64_t> used;
  for (const DataSet* part : parts) {
    used.push_back(all <= kMaxHeldOutRows ? part->rows() : part->rows() * kMaxHeldOutRows / all);
  }
  return used;
}

absl::StatusOr<double> Disagreement(const std::vector<double>& ours, const torch::Tensor& theirs) {
  double worst = 0;
  for (size_t i = 0; i < ours.size(); ++i) {
    const double expected = theirs[static_cast<int64_t>(i)].item<double>();
    const double relative = std::abs(ours[i] - expected) / std::max(1.0, std::abs(expected));
    if (!(relative <= kAgreement)) {
      return absl::InternalError(absl::StrFormat(
          "the serving library and libtorch disagree on held-out row %d: expected log p %.12g, got %.12g; no "
          "flow is written",
          i + 1, expected, ours[i]));
    }
    worst = std::max(worst, relative);
  }
  return worst;
}

FlowOptions InFloat64() {
  FlowOptions options;
  options.precision = Precision::kFloat64;
  return options;
}

// Whether the file at `path` answers `rows` with these bits.
absl::Status CheckStored(const std::string& path, const DataSet& rows,
                         const std::vector<double>& log_likelihood) {
  absl::StatusOr<std::unique_ptr<const Flow>> stored = Flow::Load(path, InFloat64());
  if (!stored.ok()) {
    return absl::InternalError(
        absl::StrCat("the flow cannot be read back from its file: ", stored.status().message()));
  }
  const absl::StatusOr<std::vector<double>> again = ServedLogLikelihoods(**stored, rows);
  if (!again.ok()) return again.status();
  if (std::equal(again->begin(), again->end(), log_likelihood.begin())) return absl::OkStatus();
  return absl::InternalError("the flow in the file gives other answers than the one that was written");
}

}  // namespace

absl::StatusOr<Published> Publish(FlowModel* model, const std::vector<const DataSet*>& held_out,
                                  const std::string& name, const std::string& description,
                                  const std::map<std::string, std::string>& provenance,
                                  const std::string& path) {
  model->to(torch::kFloat64);
  FlowSpec spec = model->Export();
  spec.name = name;
  spec.description = description;
  spec.provenance = provenance;
  return PublishAs(std::move(spec), model, held_out, path);
}

absl::StatusOr<Published> PublishAs(FlowSpec spec, FlowModel* model,
                                    const std::vector<const DataSet*>& held_out, const std::string& path) {
  // The file is read back before it has its quantiles, which are the serving library's own answers.
  absl::StatusOr<FlowFile> draft = ParseFlowFile(SerializeFlow(spec));
  if (!draft.ok()) {
    return absl::InternalError(absl::StrCat("the flow cannot be read back: ", draft.status().message()));
  }
  absl::StatusOr<std::unique_ptr<const Flow>> flow = Flow::Create(draft->spec, InFloat64());
  if (!flow.ok()) return flow.status();
  Published published;
  published.rows = RowsUsed(held_out);
  DataSet read_back;  // the first rows used
  for (size_t i = 0; i < held_out.size(); ++i) {
    if (published.rows[i] == 0) continue;
    const DataSet rows = SpacedRows(*held_out[i], published.rows[i]);
    if (read_back.rows() == 0) {
      read_back = Rows(rows, torch::arange(std::min(rows.rows(), kRowsReadBack), torch::kInt64));
    }
    const absl::StatusOr<std::vector<double>> ours = ServedLogLikelihoods(**flow, rows);
    if (!ours.ok()) return ours.status();
    absl::StatusOr<double> worst = Disagreement(*ours, LogProbs(model, rows, PixelNoise::kNone));
    if (!worst.ok()) return worst.status();
    published.disagreement = std::max(published.disagreement, *worst);
    published.log_likelihood.insert(published.log_likelihood.end(), ours->begin(), ours->end());
  }
  spec.calibration = Quantiles(published.log_likelihood);
  const std::string bytes = SerializeFlow(spec);
  const absl::Status written = WriteWhole(path, bytes);
  if (!written.ok()) return written;
  const absl::Status stored = CheckStored(path, read_back, published.log_likelihood);
  if (!stored.ok()) {
    unlink(path.c_str());
    return stored;
  }
  return published;
}

}  // namespace train
}  // namespace glowworm
