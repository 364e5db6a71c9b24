// Implements tests/bench/tile_pool.h.

#include "tests/bench/tile_pool.h"

#include <immintrin.h>

namespace glowworm {
namespace bench {
namespace {

// Some 50 us: longer than the gap between two timed calls, far shorter than a peer's round.
constexpr int kSpins = 2000;

}  // namespace

TilePool::TilePool(int threads) {
  for (int i = 1; i < threads; ++i) workers_.emplace_back([this] { WorkerLoop(); });
}

TilePool::~TilePool() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stopping_ = true;
    ++generation_;
  }
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void TilePool::Run(int64_t tiles, absl::FunctionRef<void(int64_t)> run) {
  if (workers_.empty() || tiles <= 1) {
    for (int64_t i = 0; i < tiles; ++i) run(i);
    return;
  }
  run_ = &run;
  tiles_ = tiles;
  next_ = 0;
  working_ = static_cast<int>(workers_.size());
  ++generation_;
  if (sleeping_ > 0) {
    { std::lock_guard<std::mutex> lock(mutex_); }
    wake_.notify_all();
  }
  TakeTiles();
  while (working_ > 0) _mm_pause();
}

void TilePool::TakeTiles() {
  for (int64_t i = next_++; i < tiles_; i = next_++) (*run_)(i);
}

void TilePool::WorkerLoop() {
  uint64_t seen = 0;
  for (;;) {
    for (int i = 0; i < kSpins && generation_ == seen; ++i) _mm_pause();
    if (generation_ == seen) {
      std::unique_lock<std::mutex> lock(mutex_);
      ++sleeping_;
      wake_.wait(lock, [&] { return generation_ != seen; });
      --sleeping_;
    }
    seen = generation_;
    if (stopping_) return;
    TakeTiles();
    --working_;
  }
}

}  // namespace bench
}  // namespace glowworm
