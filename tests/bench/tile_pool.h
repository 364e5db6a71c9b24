// TilePool: threads that carry the tiles of one batch at a time, as the server's workers would, without its
// queue. They spin between batches that follow closely and sleep otherwise, so that nothing of ours runs
// while a peer is timed. Tested by tests/bench/smoke_test.py.

#ifndef GLOWWORM_TESTS_BENCH_TILE_POOL_H_
#define GLOWWORM_TESTS_BENCH_TILE_POOL_H_

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

#include "absl/functional/function_ref.h"

namespace glowworm {
namespace bench {

// One caller at a time.
class TilePool {
 public:
  // The caller is one of the `threads`. REQUIRES: threads >= 1
  explicit TilePool(int threads);
  ~TilePool();
  TilePool(const TilePool&) = delete;
  TilePool& operator=(const TilePool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls run(tile) for 0 <= tile < tiles, each in the next free thread; blocks until all have returned. A
  // single tile runs on the calling thread.
  void Run(int64_t tiles, absl::FunctionRef<void(int64_t tile)> run);

 private:
  void WorkerLoop();
  void TakeTiles();

  // Of the batch under way: written before generation_ moves, read after.
  const absl::FunctionRef<void(int64_t)>* run_ = nullptr;
  int64_t tiles_ = 0;
  std::atomic<int64_t> next_{0};
  std::atomic<int> working_{0};

  std::atomic<uint64_t> generation_{0};
  std::atomic<bool> stopping_{false};
  std::atomic<int> sleeping_{0};
  std::mutex mutex_;  // of wake_ alone
  std::condition_variable wake_;
  std::vector<std::thread> workers_;
};

}  // namespace bench
}  // namespace glowworm

#endif  // GLOWWORM_TESTS_BENCH_TILE_POOL_H_
