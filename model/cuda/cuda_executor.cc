// Implements model/cuda/cuda_executor.h: rows in, one tile through the whole plan, rows out.

#include "model/cuda/cuda_executor.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "model/cuda/compute.h"
#include "model/cuda/device_memory.h"
#include "model/cuda/device_weights.h"
#include "model/cuda/worker_pool.h"
#include "model/row_io.h"

namespace glowworm::cuda {
namespace {

// A worker's scratch memory for several rows stays below this, and with all the others' below that share of
// what is free.
constexpr int64_t kMaxArenaBytes = int64_t{1} << 30;
constexpr double kMaxShare = 0.8;
// Kernels count in 32 bits where they divide, so no buffer may hold this many numbers, not for one row
// either.
constexpr int64_t kNumbersLimit = int64_t{1} << 31;

int64_t RoundUpOnLadder(int64_t rows) {
  return *std::lower_bound(std::begin(kRowLadder), std::end(kRowLadder), rows);
}

// A device computes a product in tiles of about so many outputs by columns, one a multiprocessor at a time.
constexpr int64_t kProductTile = 128;
// Outputs of a wide conditioner's products.
constexpr int64_t kWideOutputs = 512;
constexpr int64_t kMaxImageColumns = 4096;

// As many columns as keep all of a device's multiprocessors busy with one wide product, and thus cost hardly
// more time than fewer; for rows without positions no more than the longest tile has. The least of the
// devices', so that all give the same bits.
absl::StatusOr<int64_t> ColumnsFor(const Plan& plan, const std::vector<int>& ordinals) {
  int64_t columns = plan.event.positions() > 1 ? kMaxImageColumns : *std::rbegin(kRowLadder);
  for (const int ordinal : ordinals) {
    cudaDeviceProp properties;
    const absl::Status status = StatusOf(cudaGetDeviceProperties(&properties, ordinal), "be described");
    if (!status.ok()) return status;
    const int64_t busy = properties.multiProcessorCount * kProductTile * kProductTile / kWideOutputs;
    columns = std::min(columns, std::max(kColumns, busy / kColumns * kColumns));
  }
  return columns;
}

template <typename T>
class CudaExecutor final : public Executor {
 public:
  CudaExecutor(const Plan& plan, int64_t columns)
      : event_(plan.event),
        context_size_(plan.context_size),
        num_classes_(plan.num_classes),
        cumulative_class_weight_(plan.cumulative_class_weight),
        compute_(plan, columns) {}

  absl::Status Prepare(const CudaPluginOptions& options) {
    const auto devices = static_cast<int64_t>(options.ordinals.size());
    const int64_t workers = std::max<int64_t>(options.workers, devices);
    int64_t least_free = std::numeric_limits<int64_t>::max();
    for (const int ordinal : options.ordinals) {
      absl::StatusOr<DeviceWeights> weights = DeviceWeights::Create(ordinal, compute_.constants());
      if (!weights.ok()) return weights.status();
      least_free = std::min(least_free, weights->free_bytes());
      weights_.push_back(*std::move(weights));
    }
    const int64_t each = (workers + devices - 1) / devices;  // on one device
    const absl::Status chosen =
        ChooseTile(static_cast<int64_t>(kMaxShare * static_cast<double>(least_free)) / each);
    if (!chosen.ok()) return chosen;
    for (int64_t w = 0; w < workers; ++w) {
      const auto device = static_cast<size_t>(w % devices);
      absl::StatusOr<std::unique_ptr<Worker>> worker = Worker::Create(
          options.ordinals[device], weights_[device].get(), {*io_, arena_bytes_, compute_.columns()});
      if (!worker.ok()) return worker.status();
      const absl::Status captured = Capture(worker->get());
      if (!captured.ok()) return captured;
      pool_.Add(*std::move(worker));
    }
    return absl::OkStatus();
  }

  int64_t max_tile_rows() const override { return max_tile_rows_; }

  absl::Status Encode(absl::Span<const EncodeRow> rows) const override {
    const WorkerPool::Lease worker = pool_.Take();
    HostTile tile = Open(worker.get(), static_cast<int64_t>(rows.size()));
    bool latent_wanted = false;
    for (size_t r = 0; r < rows.size(); ++r) {
      Load(rows[r].x, event_.channels, event_.positions(), rows[r].context, r, &tile);
      tile.class_label[r] = rows[r].class_label;
      latent_wanted |= rows[r].z.data != nullptr;
    }
    const absl::Status status = Run(Work::kEncode, latent_wanted, worker.get(), tile);
    if (!status.ok()) return status;
    for (size_t r = 0; r < rows.size(); ++r) {
      FinishEncode(rows[r], FlagsOf(tile, r), tile.log_likelihood[r], tile.result + r * event_.size(),
                   event_.size());
    }
    return absl::OkStatus();
  }

  absl::Status Decode(absl::Span<const DecodeRow> rows) const override {
    const WorkerPool::Lease worker = pool_.Take();
    HostTile tile = Open(worker.get(), static_cast<int64_t>(rows.size()));
    for (size_t r = 0; r < rows.size(); ++r) Load(rows[r].z, 1, event_.size(), rows[r].context, r, &tile);
    const absl::Status status = Run(Work::kDecode, true, worker.get(), tile);
    if (!status.ok()) return status;
    for (size_t r = 0; r < rows.size(); ++r) Finish(tile, r, rows[r].x, rows[r].status);
    return absl::OkStatus();
  }

  absl::Status Sample(absl::Span<const SampleRow> rows) const override {
    const WorkerPool::Lease worker = pool_.Take();
    HostTile tile = Open(worker.get(), static_cast<int64_t>(rows.size()));
    for (size_t r = 0; r < rows.size(); ++r) {
      const SampleRow& row = rows[r];
      tile.finite[r] = LoadContext(row.context, r, &tile);
      tile.seed[r] = row.seed;
      tile.index[r] = row.index;
      tile.temperature[r] = row.temperature;
      if (num_classes_ == 0) continue;
      tile.class_label[r] =
          row.class_label >= 0 ? row.class_label : DrawClass(row.seed, row.index, cumulative_class_weight_);
      if (row.class_drawn != nullptr) *row.class_drawn = tile.class_label[r];
    }
    const absl::Status status = Run(Work::kSample, true, worker.get(), tile);
    if (!status.ok()) return status;
    for (size_t r = 0; r < rows.size(); ++r) Finish(tile, r, rows[r].x, rows[r].status);
    return absl::OkStatus();
  }

 private:
  // One call's rows in a worker's pinned memory: see IoLayout. step: `rows`, rounded up on the ladder.
  struct HostTile {
    int64_t rows, step;
    double* values;
    double* context;
    int* class_label;
    uint64_t *seed, *index;
    double* temperature;
    const double* result;
    const double* log_likelihood;
    const unsigned char *outside, *overflow;
    unsigned char* finite;  // (rows): every input number is
  };

  // The longest tile whose scratch memory fits.
  absl::Status ChooseTile(int64_t bytes) {
    for (const int64_t rows : kRowLadder) {
      const IoLayout io = compute_.Layout(rows);
      const int64_t arena = compute_.ArenaBytes(rows, io);
      if (rows > 1 && arena > kMaxArenaBytes) break;
      constexpr int64_t kLimit = kNumbersLimit * static_cast<int64_t>(sizeof(T));
      if (arena >= kLimit) {
        return absl::UnimplementedError(
            absl::StrCat("expected a flow that a device can compute with less than ", kLimit,
                         " bytes of scratch memory for one row, got ", arena));
      }
      if (arena + io.bytes + kBlasWorkspaceBytes > bytes) {
        if (rows > 1) break;
        return absl::ResourceExhaustedError(
            absl::StrCat("expected at least ", arena + io.bytes + kBlasWorkspaceBytes,
                         " bytes of a device's memory for each worker, got ", bytes));
      }
      max_tile_rows_ = rows;
      arena_bytes_ = arena;
      io_ = io;
    }
    return absl::OkStatus();
  }

  absl::Status Capture(Worker* worker) const {
    for (const Work work : {Work::kEncode, Work::kDecode, Work::kSample}) {
      int64_t rows = kRowLadder[0];
      const auto compute = [&](Queue* queue) { compute_.Run(work, rows, *io_, worker->device_io(), queue); };
      absl::Status status = worker->WarmUp(compute);
      for (const int64_t step : kRowLadder) {
        if (step > max_tile_rows_ || !status.ok()) break;
        rows = step;
        status = worker->Capture(work, rows, compute);
      }
      if (!status.ok()) return status;
    }
    return absl::OkStatus();
  }

  // Rows beyond the caller's are zeros.
  HostTile Open(Worker* worker, int64_t rows) const {
    void* block = worker->host_io();
    HostTile tile{rows,
                  RoundUpOnLadder(rows),
                  io_->values.in(block),
                  io_->context.in(block),
                  io_->class_label.in(block),
                  io_->seed.in(block),
                  io_->index.in(block),
                  io_->temperature.in(block),
                  io_->result.in(block),
                  io_->log_likelihood.in(block),
                  io_->outside.in(block),
                  io_->overflow.in(block),
                  io_->finite.in(block)};
    std::fill(tile.values + rows * event_.size(), tile.values + tile.step * event_.size(), 0.0);
    std::fill(tile.context + rows * context_size_, tile.context + tile.step * context_size_, 0.0);
    std::fill(tile.class_label + rows, tile.class_label + tile.step, 0);
    std::fill(tile.temperature + rows, tile.temperature + tile.step, 0.0);
    return tile;
  }

  bool LoadContext(const RowInput& context, size_t r, HostTile* tile) const {
    if (context_size_ == 0) return true;
    double* to = tile->context + r * context_size_;
    const bool finite = ReadRow(context, 1, context_size_, to);
    if (!finite) std::fill_n(to, context_size_, 0.0);
    return finite;
  }

  // A row that is not finite is carried through as zeros.
  void Load(const RowInput& input, int64_t channels, int64_t positions, const RowInput& context, size_t r,
            HostTile* tile) const {
    double* row = tile->values + r * event_.size();
    const bool finite = ReadRow(input, channels, positions, row);
    if (!finite) std::fill_n(row, event_.size(), 0.0);
    tile->finite[r] = LoadContext(context, r, tile) && finite;
  }

  absl::Status Run(Work work, bool result_wanted, Worker* worker, const HostTile& tile) const {
    worker->Begin();
    if (work != Work::kSample) worker->In(io_->values, tile.step);
    worker->In(io_->context, tile.step);
    if (num_classes_ > 0) worker->In(io_->class_label, tile.step);
    if (work == Work::kSample) {
      worker->In(io_->seed, tile.step);
      worker->In(io_->index, tile.step);
      worker->In(io_->temperature, tile.step);
    }
    worker->Run(work, tile.step);
    if (work == Work::kEncode) {
      worker->Out(io_->log_likelihood, tile.rows);
      worker->Out(io_->outside, tile.rows);
    }
    worker->Out(io_->overflow, tile.rows);
    if (result_wanted) worker->Out(io_->result, tile.rows);
    return worker->Finish();
  }

  RowFlags FlagsOf(const HostTile& tile, size_t r) const {
    return {tile.finite[r] != 0, tile.outside[r] != 0, tile.overflow[r] != 0};
  }
  void Finish(const HostTile& tile, size_t r, const RowOutput& output, RowStatus* status) const {
    const RowFlags flags{tile.finite[r] != 0, false, tile.overflow[r] != 0};
    FinishInverse(tile.result + r * event_.size(), flags, event_.channels, event_.positions(), output,
                  status);
  }

  const EventShape event_;
  const int64_t context_size_, num_classes_;
  const std::vector<double> cumulative_class_weight_;
  const Compute<T> compute_;
  int64_t max_tile_rows_ = 0, arena_bytes_ = 0;
  std::optional<IoLayout> io_;          // of max_tile_rows_
  std::vector<DeviceWeights> weights_;  // one a device
  mutable WorkerPool pool_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<const Executor>> CreateCudaExecutor(const Plan& plan,
                                                                   const CudaPluginOptions& options) {
  const absl::StatusOr<int64_t> columns = ColumnsFor(plan, options.ordinals);
  if (!columns.ok()) return columns.status();
  const auto make = [&](auto executor) -> absl::StatusOr<std::unique_ptr<const Executor>> {
    const absl::Status status = executor->Prepare(options);
    if (!status.ok()) return status;
    return std::unique_ptr<const Executor>(std::move(executor));
  };
  if (options.precision == Precision::kFloat64)
    return make(std::make_unique<CudaExecutor<double>>(plan, *columns));
  return make(std::make_unique<CudaExecutor<float>>(plan, *columns));
}

}  // namespace glowworm::cuda
