// LaunchKernel: queues a kernel, and runs its indices in shuffled order over some threads.

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <numeric>
#include <random>

#include "tests/testing/fake_cuda/machine.h"

namespace fake_cuda {
namespace {

constexpr int64_t kMaxLanes = 64;
constexpr int64_t kBlocks = 16;  // that a launch is cut into at least, if it can be

// A permutation of 0 .. count-1: blocks of neighbouring indices in shuffled order, each shuffled within.
class Order {
 public:
  Order(int64_t count, uint64_t seed) : count_(count) {
    while (lanes_ < kMaxLanes && 2 * lanes_ * kBlocks <= count) lanes_ *= 2;
    blocks_ = (count + lanes_ - 1) / lanes_;
    std::mt19937_64 random(seed);
    const auto below = [&](int64_t n) { return static_cast<int64_t>(random() % static_cast<uint64_t>(n)); };
    stride_ = 1 + below(std::min<int64_t>(blocks_, 1 << 20));
    while (std::gcd(stride_, blocks_) != 1) ++stride_;
    start_ = below(blocks_);
    lane_stride_ = 2 * below(kMaxLanes) + 1;
    lane_start_ = below(kMaxLanes);
  }

  int64_t blocks() const { return blocks_; }
  // The indices of the block that comes `position`-th; returns how many.
  int64_t Fill(int64_t position, int64_t* indices) const {
    const int64_t block = (start_ + stride_ * position) % blocks_;
    int64_t n = 0;
    for (int64_t lane = 0; lane < lanes_; ++lane) {
      const int64_t index = block * lanes_ + ((lane_start_ + lane_stride_ * lane) & (lanes_ - 1));
      if (index < count_) indices[n++] = index;
    }
    return n;
  }

 private:
  const int64_t count_;
  int64_t lanes_ = 1;  // a power of two
  int64_t blocks_, stride_, start_, lane_stride_, lane_start_;
};

void Run(const Kernel& kernel, int64_t count, uint64_t seed, int threads) {
  const Order order(count, seed);
  const auto run = [&](int64_t from, int64_t to) {
    int64_t indices[kMaxLanes];
    for (int64_t position = from; position < to; ++position) kernel(indices, order.Fill(position, indices));
  };
  const int64_t parts = std::min<int64_t>(std::max(threads, 1), order.blocks());
  std::vector<std::thread> others;
  for (int64_t part = 1; part < parts; ++part) {
    others.emplace_back(run, order.blocks() * part / parts, order.blocks() * (part + 1) / parts);
  }
  run(0, order.blocks() / parts);
  for (std::thread& other : others) other.join();
}

// Whether it is an address of this process, as far as one can be told from a number.
bool IsHostAddress(uintptr_t word) {
  constexpr uintptr_t kLowest = uintptr_t{1} << 40, kHighest = uintptr_t{1} << 47;
  if (word < kLowest || word >= kHighest) return false;
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  unsigned char resident = 0;
  return mincore(reinterpret_cast<void*>(word / page * page), 1, &resident) == 0;
}

}  // namespace

void LaunchKernel(cudaStream_t stream, int64_t count, Kernel kernel,
                  const std::vector<uintptr_t>& arguments) {
  Call call("launch");
  if (call.fails()) {
    call.Fail(stream, cudaErrorLaunchOutOfResources);
    return;
  }
  const std::shared_ptr<Stream> found = call.FindStream(stream);
  if (found == nullptr) return;
  if (count <= 0) {
    call.Misuse("expected indices, got " + std::to_string(count), cudaErrorInvalidConfiguration);
    return;
  }
  const Memory& memory = call.machine().memory;
  std::vector<uint64_t> blocks;
  for (const uintptr_t word : arguments) {
    const Block* block = memory.Find(word);
    if (block != nullptr) {
      if (block->device != kPinned && block->device != found->device) {
        call.Misuse("an argument is memory of device " + std::to_string(block->device) +
                    ", the stream of device " + std::to_string(found->device));
        return;
      }
      blocks.push_back(block->id);
    } else if (memory.WasFreed(word)) {
      call.Misuse("an argument is freed memory");
      return;
    } else if (IsHostAddress(word)) {
      call.Misuse("an argument is an address of the host, not of a device");
      return;
    }
  }
  const int threads = call.machine().options.threads;
  call.Enqueue(found.get(),
               {"", std::move(blocks), [kernel = std::move(kernel), count, threads](uint64_t seed) {
                  Run(kernel, count, seed, threads);
                }});
}

}  // namespace fake_cuda
