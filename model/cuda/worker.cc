// Implements model/cuda/worker.h.

#include "model/cuda/worker.h"

#include <cstring>

#include "model/cuda/device_seconds.h"

namespace glowworm::cuda {
namespace {

// What memory holds that nobody has written: NaN, in float32 and float64, so that it cannot pass for a
// result.
constexpr int kUnwritten = 0xFF;

}  // namespace

absl::StatusOr<std::unique_ptr<Worker>> Worker::Create(int ordinal, const void* constants,
                                                       const Sizes& sizes) {
  std::unique_ptr<Worker> worker(new Worker(ordinal));
  absl::Status status = worker->Prepare(constants, sizes);
  if (!status.ok()) return status;
  return worker;
}

Worker::~Worker() {
  cudaSetDevice(ordinal_);
  if (stream_.get() != nullptr) cudaStreamSynchronize(stream_.get());
}

absl::Status Worker::Prepare(const void* constants, const Sizes& sizes) {
  const auto scratch_bytes = static_cast<size_t>(sizes.arena_bytes);
  const auto io_bytes = static_cast<size_t>(sizes.io.bytes);
  absl::Status status;
  const auto ok = [&status](auto error, absl::string_view doing) {
    status = StatusOf(error, doing);
    return status.ok();
  };
  const bool made =
      ok(cudaSetDevice(ordinal_), "be chosen") &&
      ok(cudaStreamCreateWithFlags(stream_.out(), cudaStreamNonBlocking), "make a stream") &&
      ok(cudaEventCreate(events_[0].out()), "make an event") &&
      ok(cudaEventCreate(events_[1].out()), "make an event") &&
      ok(cudaEventCreate(events_[2].out()), "make an event") &&
      ok(cudaEventCreate(events_[3].out()), "make an event") &&
      ok(cudaMalloc(scratch_.out(), scratch_bytes), "hold a worker's memory") &&
      ok(cudaMalloc(device_io_.out(), io_bytes), "hold a worker's rows") &&
      ok(cudaMalloc(blas_workspace_.out(), kBlasWorkspaceBytes), "hold cuBLAS's memory") &&
      ok(cudaHostAlloc(host_io_.out(), io_bytes, cudaHostAllocDefault), "pin host memory") &&
      ok(cublasCreate(blas_.out()), "start cuBLAS") &&
      ok(cublasSetStream(blas_.get(), stream_.get()), "give cuBLAS a stream") &&
      ok(cublasSetWorkspace(blas_.get(), blas_workspace_.get(), kBlasWorkspaceBytes), "give cuBLAS memory") &&
      ok(cublasSetMathMode(blas_.get(), CUBLAS_PEDANTIC_MATH), "keep cuBLAS from TF32") &&
      ok(cudaMemsetAsync(scratch_.get(), kUnwritten, scratch_bytes, stream_.get()), "fill memory") &&
      ok(cudaMemsetAsync(device_io_.get(), 0, io_bytes, stream_.get()), "fill memory") &&
      ok(cudaStreamSynchronize(stream_.get()), "fill memory");
  if (!made) return status;
  std::memset(host_io_.get(), 0, io_bytes);
  arena_ = Arena(scratch_.get(), sizes.arena_bytes, sizes.columns);
  queue_.stream = stream_.get();
  queue_.blas = blas_.get();
  queue_.constants = static_cast<const unsigned char*>(constants);
  queue_.arena = &arena_;
  return absl::OkStatus();
}

absl::Status Worker::WarmUp(absl::FunctionRef<void(Queue*)> compute) {
  Reset();
  compute(&queue_);
  queue_.Note(cudaStreamSynchronize(stream_.get()));
  const absl::Status status = StatusOf(queue_.blas_error, "run a product");
  return status.ok() ? StatusOf(queue_.error, "run a kernel") : status;
}

absl::Status Worker::Capture(Work work, int64_t rows, absl::FunctionRef<void(Queue*)> compute) {
  absl::Status status = StatusOf(cudaSetDevice(ordinal_), "be chosen");
  if (!status.ok()) return status;
  status = StatusOf(cudaStreamBeginCapture(stream_.get(), cudaStreamCaptureModeThreadLocal), "begin a graph");
  if (!status.ok()) return status;
  Reset();
  compute(&queue_);
  Graph graph;
  const cudaError_t ended = cudaStreamEndCapture(stream_.get(), graph.out());  // whatever failed meanwhile
  status = StatusOf(queue_.blas_error, "capture a product");
  if (status.ok()) status = StatusOf(queue_.error, "capture a kernel");
  if (status.ok()) status = StatusOf(ended, "end a graph");
  if (status.ok() && arena_.overflowed()) {
    status = absl::InternalError("expected the plan to need no more scratch memory than it was measured to");
  }
  GraphExec exec;
  if (status.ok()) status = StatusOf(cudaGraphInstantiate(exec.out(), graph.get(), 0), "make a graph");
  if (status.ok()) graphs_[{work, rows}] = std::move(exec);
  return status;
}

void Worker::Begin() {
  Reset();
  Record(0);
}

void Worker::Reset() {
  cudaGetLastError();  // forgets what another call of this thread left: Launch would take it for its own
  queue_.error = cudaSetDevice(ordinal_);
  queue_.blas_error = CUBLAS_STATUS_SUCCESS;
}

void Worker::Record(int event) {
  if (queue_.running()) queue_.Note(cudaEventRecord(events_[event].get(), stream_.get()));
}

void Worker::Copy(int64_t offset, int64_t bytes, cudaMemcpyKind kind) {
  if (!queue_.running() || bytes == 0) return;
  auto* device = static_cast<unsigned char*>(device_io_.get()) + offset;
  auto* host = static_cast<unsigned char*>(host_io_.get()) + offset;
  const bool in = kind == cudaMemcpyHostToDevice;
  queue_.Note(cudaMemcpyAsync(in ? device : host, in ? host : device, static_cast<size_t>(bytes), kind,
                              stream_.get()));
}

void Worker::Run(Work work, int64_t rows) {
  Record(1);
  if (queue_.running()) queue_.Note(cudaGraphLaunch(graphs_.at({work, rows}).get(), stream_.get()));
  Record(2);
}

absl::Status Worker::Finish() {
  Record(3);
  const cudaError_t done = cudaStreamSynchronize(stream_.get());  // also after a failure: nothing may go on
  queue_.Note(done);
  if (queue_.ok()) {
    float in = 0, compute = 0, out = 0;  // milliseconds
    queue_.Note(cudaEventElapsedTime(&in, events_[0].get(), events_[1].get()));
    queue_.Note(cudaEventElapsedTime(&compute, events_[1].get(), events_[2].get()));
    queue_.Note(cudaEventElapsedTime(&out, events_[2].get(), events_[3].get()));
    AddSeconds(ordinal_, {(static_cast<double>(in) + static_cast<double>(out)) / 1e3,
                          static_cast<double>(compute) / 1e3});
  }
  return StatusOf(queue_.error, "carry rows through the flow");
}

}  // namespace glowworm::cuda
