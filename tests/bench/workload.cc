// Implements tests/bench/workload.h.

#include "tests/bench/workload.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <random>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "model/cpu/product.h"

namespace glowworm {
namespace bench {
namespace {

constexpr uint64_t kSeed = 42;
constexpr int64_t kCpuTileRows = 256;
constexpr int64_t kMaxTileRows = 1024;  // the server's --max_batch_rows

std::vector<float> Inputs(const Flow& flow, Method method, int64_t rows) {
  switch (method) {
    case Method::kLogLikelihood:
    case Method::kEncode:
      return DrawRows(flow, rows, kSeed);
    case Method::kDecode: {
      std::mt19937_64 bits(kSeed);
      std::normal_distribution<float> normal;
      std::vector<float> z(rows * flow.info().latent_size);
      std::generate(z.begin(), z.end(), [&] { return normal(bits); });
      return z;
    }
    case Method::kSample:
      break;
  }
  return {};
}

// Ends the program if a device failed: what is timed then would be nothing.
void MustCompute(const absl::Status& status) {
  if (status.ok()) return;
  std::fprintf(stderr, "glowworm-bench: %s\n", std::string(status.message()).c_str());
  std::_Exit(1);
}

}  // namespace

absl::StatusOr<Method> ParseMethod(absl::string_view name) {
  if (name == "log_likelihood") return Method::kLogLikelihood;
  if (name == "encode") return Method::kEncode;
  if (name == "decode") return Method::kDecode;
  if (name == "sample") return Method::kSample;
  return absl::InvalidArgumentError(
      absl::StrCat("a method is log_likelihood, encode, decode or sample, not ", name));
}

std::vector<float> DrawRows(const Flow& flow, int64_t n, uint64_t seed) {
  const int64_t d = flow.info().event_size;
  const std::vector<float> context(flow.info().context_size, 0.f);
  std::vector<float> x(n * d);
  std::vector<RowStatus> status(n);
  std::vector<SampleRow> rows(n);
  for (int64_t i = 0; i < n; ++i) {
    rows[i].seed = seed;
    rows[i].index = static_cast<uint64_t>(i);
    if (!context.empty()) rows[i].context = {context.data(), DataType::kFloat32};
    rows[i].x = {&x[i * d], DataType::kFloat32};
    rows[i].status = &status[i];
  }
  MustCompute(flow.Sample(rows));
  return x;
}

int64_t TileRows(int64_t rows, int threads, int64_t most) {
  const int64_t share = std::min((rows + threads - 1) / threads, most);
  if (share <= kCpuTileRows) return RoundUpOnLadder(share);
  return share <= kMaxTileRows / 2 ? kMaxTileRows / 2 : kMaxTileRows;
}

Workload::Workload(const Flow* flow, TilePool* pool, Method method, int64_t rows)
    : flow_(flow), pool_(pool), method_(method), rows_(rows), inputs_(Inputs(*flow, method, rows)) {
  Prepare();
}

Workload::Workload(const Flow* flow, TilePool* pool, Method method, std::vector<float> inputs)
    : flow_(flow),
      pool_(pool),
      method_(method),
      rows_(static_cast<int64_t>(inputs.size()) / flow->info().event_size),
      inputs_(std::move(inputs)) {
  Prepare();
}

void Workload::Prepare() {
  const int64_t d = flow_->info().event_size;
  context_.assign(flow_->info().context_size, 0.f);
  outputs_.resize(rows_ * d);
  log_likelihoods_.resize(rows_);
  statuses_.resize(rows_);
  const RowInput context = {context_.empty() ? nullptr : context_.data(), DataType::kFloat32};
  for (int64_t i = 0; i < rows_; ++i) {
    const RowInput in = {inputs_.empty() ? nullptr : &inputs_[i * d], DataType::kFloat32};
    const RowOutput out = {&outputs_[i * d], DataType::kFloat32};
    switch (method_) {
      case Method::kLogLikelihood:
      case Method::kEncode: {
        EncodeRow row;
        row.x = in;
        row.context = context;
        if (method_ == Method::kEncode) row.z = out;
        row.log_likelihood = &log_likelihoods_[i];
        row.status = &statuses_[i];
        encode_.push_back(row);
        break;
      }
      case Method::kDecode:
        decode_.push_back({in, context, out, &statuses_[i]});
        break;
      case Method::kSample: {
        SampleRow row;
        row.seed = kSeed;
        row.index = static_cast<uint64_t>(i);
        row.context = context;
        row.x = out;
        row.status = &statuses_[i];
        sample_.push_back(row);
        break;
      }
    }
  }
}

void Workload::Run() {
  const int64_t tile_rows =
      TileRows(rows_, pool_->threads(), std::max(kCpuTileRows, flow_->info().max_tile_rows));
  pool_->Run((rows_ + tile_rows - 1) / tile_rows, [&](int64_t tile) {
    const size_t begin = tile * tile_rows;
    const auto cut = [&](const auto& rows) { return absl::MakeConstSpan(rows).subspan(begin, tile_rows); };
    if (method_ == Method::kDecode) {
      MustCompute(flow_->Decode(cut(decode_)));
    } else if (method_ == Method::kSample) {
      MustCompute(flow_->Sample(cut(sample_)));
    } else {
      MustCompute(flow_->Encode(cut(encode_)));
    }
  });
}

int64_t Workload::failed_rows() const {
  return std::count_if(statuses_.begin(), statuses_.end(), [](RowStatus s) { return s != RowStatus::kOk; });
}

}  // namespace bench
}  // namespace glowworm
