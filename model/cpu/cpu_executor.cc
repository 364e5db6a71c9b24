// Implements model/cpu/cpu_executor.h: rows in, one tile through the whole plan, rows out.

#include "model/cpu/cpu_executor.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "model/cpu/float_mode.h"
#include "model/cpu/program.h"
#include "model/cpu/row_width.h"
#include "model/cpu/workspace.h"
#include "model/philox.h"
#include "model/row_io.h"

namespace glowworm {
namespace {

// The widest activation of a tile stays below this, so that a tile's way through the plan stays in cache.
constexpr int64_t kMaxActivationBytes = 2 << 20;
// A flow whose widest buffer for one row exceeds this is refused.
constexpr int64_t kMaxRowBytes = 256 << 20;

// The calls that compute at this moment in the whole process, of whatever flow: a core is idle only while
// they are fewer than the workers.
class RunningCall {
 public:
  RunningCall() : others_(count_.fetch_add(1, std::memory_order_relaxed)) {}
  ~RunningCall() { count_.fetch_sub(1, std::memory_order_relaxed); }
  RunningCall(const RunningCall&) = delete;
  RunningCall& operator=(const RunningCall&) = delete;
  int others() const { return others_; }

 private:
  static inline std::atomic<int> count_{0};
  const int others_;
};

// A tile's buffers, all from the workspace's arena.
struct TileBuffers {
  TileState state;
  double *x, *y;          // (p, positions, c): the leading ops' and the boundary's
  double* context;        // (p, context_size)
  unsigned char* finite;  // (p): every input number is
};

template <typename T>
class CpuExecutor final : public Executor {
 public:
  CpuExecutor(const Plan& plan, ProductType conditioner_type, int64_t max_tile_rows, int workers)
      : event_(plan.event),
        context_size_(plan.context_size),
        num_classes_(plan.num_classes),
        log_class_weight_(plan.log_class_weight),
        cumulative_class_weight_(plan.cumulative_class_weight),
        constant_log_det_(plan.constant_log_det),
        max_tile_rows_(max_tile_rows),
        workers_(workers),
        primitives_(workers > 1, conditioner_type),
        pool_(&primitives_) {}

  absl::Status Prepare(const Plan& plan) {
    const absl::Span<const PlanOp> ops(plan.ops);
    auto leading =
        Program<double>::Create(ops.subspan(0, plan.leading), context_size_, max_tile_rows_, &primitives_);
    if (!leading.ok()) return leading.status();
    leading_ = *std::move(leading);
    auto main = Program<T>::Create(ops.subspan(plan.leading), context_size_, max_tile_rows_, &primitives_);
    if (!main.ok()) return main.status();
    main_ = *std::move(main);
    if (primitives_.shares()) {
      companion_ = std::make_unique<Companion>();
      companion_primitives_ = std::make_unique<PrimitiveRunner>(&primitives_);
    }
    return WarmUp();
  }

  int64_t max_tile_rows() const override { return max_tile_rows_; }

  absl::Status Encode(absl::Span<const EncodeRow> rows) const override {
    const FloatMode mode;
    const RunningCall call;
    const WorkspacePool::Lease workspace = pool_.Take();
    const Companion::Lease companion(rows.size() == 1 && call.others() < workers_ - 1 ? companion_.get()
                                                                                      : nullptr);
    const Arena::Mark mark = workspace->arena.mark();
    TileBuffers tile = Begin(workspace.operator->(), companion.get(), static_cast<int64_t>(rows.size()));
    bool latent_wanted = false;
    for (size_t r = 0; r < rows.size(); ++r) {
      Load(rows[r].x, event_.channels, event_.positions(), rows[r].context, r, tile.x, &tile);
      tile.state.class_label[r] = rows[r].class_label;
      latent_wanted |= rows[r].z.data != nullptr;
    }
    if (latent_wanted) tile.state.latent = workspace->arena.Take<double>(tile.state.padded * event_.size());
    Forward(&tile);
    for (size_t r = 0; r < rows.size(); ++r) Finish(rows[r], tile, r);
    workspace->arena.Release(mark);
    return absl::OkStatus();
  }

  absl::Status Decode(absl::Span<const DecodeRow> rows) const override {
    const FloatMode mode;
    const RunningCall call;
    const WorkspacePool::Lease workspace = pool_.Take();
    const Companion::Lease companion(rows.size() == 1 && call.others() < workers_ - 1 ? companion_.get()
                                                                                      : nullptr);
    const Arena::Mark mark = workspace->arena.mark();
    TileBuffers tile = Begin(workspace.operator->(), companion.get(), static_cast<int64_t>(rows.size()));
    tile.state.latent = workspace->arena.Take<double>(tile.state.padded * event_.size());
    for (size_t r = 0; r < rows.size(); ++r) {
      Load(rows[r].z, 1, event_.size(), rows[r].context, r, tile.state.latent, &tile);
    }
    const double* x = Inverse(&tile);
    for (size_t r = 0; r < rows.size(); ++r) Finish(x, tile, r, rows[r].x, rows[r].status);
    workspace->arena.Release(mark);
    return absl::OkStatus();
  }

  absl::Status Sample(absl::Span<const SampleRow> rows) const override {
    const FloatMode mode;
    const RunningCall call;
    const WorkspacePool::Lease workspace = pool_.Take();
    const Companion::Lease companion(rows.size() == 1 && call.others() < workers_ - 1 ? companion_.get()
                                                                                      : nullptr);
    const Arena::Mark mark = workspace->arena.mark();
    TileBuffers tile = Begin(workspace.operator->(), companion.get(), static_cast<int64_t>(rows.size()));
    tile.state.latent = workspace->arena.Take<double>(tile.state.padded * event_.size());
    tile.state.latent_is_noise = true;
    for (size_t r = 0; r < rows.size(); ++r) {
      const SampleRow& row = rows[r];
      tile.finite[r] = LoadContext(row.context, r, &tile);
      PhiloxNormals(row.seed, row.index, row.temperature, event_.size(),
                    tile.state.latent + r * event_.size());
      if (num_classes_ == 0) continue;
      tile.state.class_label[r] =
          row.class_label >= 0 ? row.class_label : DrawClass(row.seed, row.index, cumulative_class_weight_);
      if (row.class_drawn != nullptr) *row.class_drawn = tile.state.class_label[r];
    }
    const double* x = Inverse(&tile);
    for (size_t r = 0; r < rows.size(); ++r) Finish(x, tile, r, rows[r].x, rows[r].status);
    workspace->arena.Release(mark);
    return absl::OkStatus();
  }

 private:
  TileBuffers Begin(Workspace* workspace, Companion* companion, int64_t rows) const {
    Arena& arena = workspace->arena;
    TileBuffers tile{};
    tile.state.rows = rows;
    tile.state.padded = RoundUpOnLadder(rows);
    tile.state.scratch = {&arena, &workspace->primitives, companion, companion_primitives_.get(),
                          workspace->measuring};
    tile.state.latent_size = event_.size();
    tile.state.num_classes = num_classes_;
    const int64_t p = tile.state.padded;
    const auto zeros = [&](int64_t n) {
      auto* v = arena.Take<double>(n);
      std::fill_n(v, RoundUpToLane(n), 0.0);
      return v;
    };
    tile.x = zeros(p * event_.size());
    tile.y = zeros(p * event_.size());
    tile.context = zeros(p * context_size_);
    tile.state.log_density = zeros(p);
    tile.state.class_log_density = zeros(p * num_classes_);
    tile.state.class_label = arena.Take<int>(p);
    std::fill_n(tile.state.class_label, p, -1);
    tile.state.outside = arena.Take<unsigned char>(p);
    std::fill_n(tile.state.outside, p, static_cast<unsigned char>(0));
    tile.state.overflow = arena.Take<unsigned char>(p);
    std::fill_n(tile.state.overflow, p, static_cast<unsigned char>(0));
    tile.finite = arena.Take<unsigned char>(p);
    return tile;
  }

  bool LoadContext(const RowInput& context, size_t r, TileBuffers* tile) const {
    if (context_size_ == 0) return true;
    double* to = tile->context + r * context_size_;
    const bool finite = ReadRow(context, 1, context_size_, to);
    if (!finite) std::fill_n(to, context_size_, 0.0);
    return finite;
  }

  // A row that is not finite is carried through as zeros.
  void Load(const RowInput& input, int64_t channels, int64_t positions, const RowInput& context, size_t r,
            double* to, TileBuffers* tile) const {
    double* row = to + r * event_.size();
    const bool finite = ReadRow(input, channels, positions, row);
    if (!finite) std::fill_n(row, event_.size(), 0.0);
    tile->finite[r] = LoadContext(context, r, tile) && finite;
  }

  // The tile's buffers in T: the same ones in float64, rounded copies in float32.
  Tile<T> Narrow(const TileBuffers& tile, TileState* state) const {
    if constexpr (std::is_same_v<T, double>) {
      return {state, tile.x, tile.y, tile.context};
    } else {
      Arena& arena = *state->scratch.arena;
      const int64_t n = state->padded * event_.size(), k = state->padded * context_size_;
      T* x = arena.Take<T>(n);
      T* context = arena.Take<T>(k);
      const auto round = [](double v) { return static_cast<T>(v); };
      std::transform(tile.x, tile.x + n, x, round);
      std::transform(tile.context, tile.context + k, context, round);
      return {state, x, arena.Take<T>(n), context};
    }
  }

  void Forward(TileBuffers* buffers) const {
    Tile<double> wide{&buffers->state, buffers->x, buffers->y, buffers->context};
    leading_.Forward(&wide);
    buffers->x = wide.x;
    buffers->y = wide.y;
    Tile<T> tile = Narrow(*buffers, &buffers->state);
    main_.Forward(&tile);
  }

  // Returns x, (p, positions, c).
  const double* Inverse(TileBuffers* buffers) const {
    Tile<T> tile = Narrow(*buffers, &buffers->state);
    main_.Inverse(&tile);
    if constexpr (std::is_same_v<T, double>) {
      buffers->x = tile.x;
      buffers->y = tile.y;
    } else {
      std::copy_n(tile.x, buffers->state.padded * event_.size(), buffers->x);
    }
    Tile<double> wide{&buffers->state, buffers->x, buffers->y, buffers->context};
    leading_.Inverse(&wide);
    return wide.x;
  }

  double LogLikelihood(const TileState& state, size_t r) const {
    const double sum = constant_log_det_ + state.log_density[r];
    if (num_classes_ == 0) return sum;
    const double* per_class = state.class_log_density + r * num_classes_;
    if (state.class_label[r] >= 0) return sum + per_class[state.class_label[r]];
    double most = -std::numeric_limits<double>::infinity();
    for (int64_t k = 0; k < num_classes_; ++k) most = std::max(most, log_class_weight_[k] + per_class[k]);
    if (!std::isfinite(most)) return most;
    double total = 0;
    for (int64_t k = 0; k < num_classes_; ++k) total += std::exp(log_class_weight_[k] + per_class[k] - most);
    return sum + most + std::log(total);
  }

  static RowFlags FlagsOf(const TileBuffers& tile, size_t r) {
    return {tile.finite[r] != 0, tile.state.outside[r] != 0, tile.state.overflow[r] != 0};
  }
  void Finish(const EncodeRow& row, const TileBuffers& tile, size_t r) const {
    const double* z = tile.state.latent == nullptr ? nullptr : tile.state.latent + r * event_.size();
    FinishEncode(row, FlagsOf(tile, r), LogLikelihood(tile.state, r), z, event_.size());
  }
  void Finish(const double* x, const TileBuffers& tile, size_t r, const RowOutput& output,
              RowStatus* status) const {
    FinishInverse(x + r * event_.size(), FlagsOf(tile, r), event_.channels, event_.positions(), output,
                  status);
  }

  // Makes the workspaces: carries one full tile both ways through the first, without its products, to see how
  // much an arena must hold, so that no request is the first to grow one.
  absl::Status WarmUp() {
    const std::vector<double> zeros(event_.size() + context_size_, 0.0);
    std::vector<double> out(event_.size()), log_likelihood(max_tile_rows_);
    std::vector<RowStatus> status(max_tile_rows_);
    std::vector<EncodeRow> encode(max_tile_rows_);
    std::vector<SampleRow> sample(max_tile_rows_);
    for (int64_t r = 0; r < max_tile_rows_; ++r) {
      encode[r].x.data = zeros.data();
      encode[r].context.data = sample[r].context.data = zeros.data();
      encode[r].z.data = sample[r].x.data = out.data();
      encode[r].log_likelihood = &log_likelihood[r];
      encode[r].status = sample[r].status = &status[r];
    }
    pool_.Take()->measuring = true;  // goes back at once, to be the next one taken
    absl::Status status_of_call = Encode(encode);
    if (status_of_call.ok()) status_of_call = Sample(sample);
    if (!status_of_call.ok()) return status_of_call;
    std::vector<WorkspacePool::Lease> held;
    held.push_back(pool_.Take());
    held[0]->measuring = false;
    for (int w = 1; w < workers_; ++w) {
      held.push_back(pool_.Take());
      held.back()->arena.Reserve(held[0]->arena.capacity());
    }
    return absl::OkStatus();
  }

  const EventShape event_;
  const int64_t context_size_, num_classes_;
  const std::vector<double> log_class_weight_, cumulative_class_weight_;
  const double constant_log_det_;
  const int64_t max_tile_rows_;
  const int workers_;
  PrimitiveSet primitives_;
  Program<double> leading_;
  Program<T> main_;
  mutable WorkspacePool pool_;
  std::unique_ptr<Companion> companion_;  // of flows with products that are worth sharing
  std::unique_ptr<PrimitiveRunner> companion_primitives_;
};

template <typename T>
absl::StatusOr<std::unique_ptr<const Executor>> Make(const Plan& plan, ProductType conditioner_type,
                                                     int workers) {
  const FloatMode mode;  // also one thread for the primitives made here
  const RowWidth width = WidthOf(plan);
  const int64_t number = sizeof(T);
  if (width.buffer > kMaxRowBytes / number) {
    return absl::InvalidArgumentError(absl::StrCat("one row needs a buffer of ", width.buffer,
                                                   " numbers, at most ", kMaxRowBytes / number,
                                                   " are allowed"));
  }
  int64_t tile_rows = 1;
  for (int64_t step : kRowLadder) {
    if (step * width.activation * number <= kMaxActivationBytes) tile_rows = step;
  }
  auto executor = std::make_unique<CpuExecutor<T>>(plan, conditioner_type, tile_rows, workers);
  absl::Status status = executor->Prepare(plan);
  if (!status.ok()) return status;
  return std::unique_ptr<const Executor>(std::move(executor));
}

}  // namespace

absl::StatusOr<std::unique_ptr<const Executor>> CreateCpuExecutor(const Plan& plan, Precision precision,
                                                                  int workers) {
  switch (precision) {
    case Precision::kFloat64:
      return Make<double>(plan, ProductType::kFloat32, workers);
    case Precision::kFloat32:
      return Make<float>(plan, ProductType::kFloat32, workers);
    case Precision::kBfloat16:
      break;
  }
  return Make<float>(plan, ProductType::kBfloat16, workers);
}

}  // namespace glowworm
