// Compute<T>: a plan's two directions as work for a queue, from what lies in an I/O block to what lies there
// then. Tested by tests/model/cuda/executor_test.cc.

#ifndef GLOWWORM_MODEL_CUDA_COMPUTE_H_
#define GLOWWORM_MODEL_CUDA_COMPUTE_H_

#include <cstdint>
#include <vector>

#include "model/cuda/constants.h"
#include "model/cuda/io_block.h"
#include "model/cuda/program.h"
#include "model/cuda/queue.h"
#include "model/cuda/tile.h"
#include "model/cuda/worker.h"
#include "model/plan.h"

namespace glowworm::cuda {

// Immutable after creation. T: what the plan's ops run in, but for the leading ones.
template <typename T>
class Compute {
 public:
  // columns: of every matrix product's call.
  Compute(const Plan& plan, int64_t columns);
  int64_t columns() const { return columns_; }

  // What a device needs to hold for Run.
  const std::vector<unsigned char>& constants() const { return pool_.bytes(); }
  IoLayout Layout(int64_t max_rows) const;
  // Of scratch memory, for a tile of `rows`.
  int64_t ArenaBytes(int64_t rows, const IoLayout& io) const;

  // Puts into the queue: for kEncode io.values (x) -> io.result (z), io.log_likelihood, io.outside,
  // io.overflow; for kDecode io.values (z), for kSample io.seed, io.index and io.temperature -> io.result
  // (x), io.overflow. io.class_label and io.context are read too. block: on the queue's device, laid out as
  // `io`.
  void Run(Work work, int64_t rows, const IoLayout& io, void* block, Queue* queue) const;

 private:
  void Encode(const IoLayout& io, void* block, TileState* state) const;
  void Invert(const IoLayout& io, void* block, TileState* state) const;
  // Numbers of a buffer for `rows` rows of the plan's widest op.
  int64_t TileSize(int64_t rows) const;

  const int64_t columns_;
  const EventShape event_;
  const int64_t context_size_, num_classes_;
  const double constant_log_det_;
  std::vector<EventShape> shapes_;  // of all that the ops read and leave
  ConstantPool pool_;
  Constant<double> log_class_weight_;  // (K)
  Program<double> leading_;
  Program<T> main_;
};

}  // namespace glowworm::cuda

#endif  // GLOWWORM_MODEL_CUDA_COMPUTE_H_
