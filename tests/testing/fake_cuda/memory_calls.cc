// The calls that give, take, copy and fill memory.

#include <algorithm>
#include <cstring>
#include <string_view>

#include "tests/testing/fake_cuda/machine.h"

namespace fake_cuda {
namespace {

bool Uses(const WorkPtr& work, uint64_t block) {
  return work != nullptr && std::count(work->blocks.begin(), work->blocks.end(), block) > 0;
}

cudaError_t Allocate(Call* call, int device, void** pointer, size_t bytes) {
  *pointer = nullptr;
  if (bytes == 0) return cudaSuccess;
  const Block* block = call->machine().memory.Allocate(bytes, device);
  if (block == nullptr) return call->Return(cudaErrorMemoryAllocation);
  *pointer = block->data;
  return cudaSuccess;
}

// REQUIRES: the call forbids captures. `failed`: the call is to fail, and frees all the same.
cudaError_t Free(Call* call, void* pointer, bool pinned, bool failed) {
  const cudaError_t ok = failed ? call->Return(cudaErrorLaunchFailure) : cudaSuccess;
  if (pointer == nullptr) return ok;
  Memory& memory = call->machine().memory;
  const Place place = memory.Locate(pointer, 1);
  if (place.kind != (pinned ? Place::kPinnedHost : Place::kDevice))
    return call->Misuse("given " + place.text);
  if (place.block->data != pointer) return call->Misuse("given an address inside an allocation");
  const uint64_t id = place.block->id;
  for (const auto& [handle, stream] : call->machine().streams) {
    if (Uses(stream->running, id))
      return call->Misuse("freed while a " + stream->running->call + " runs on it");
    for (const WorkPtr& work : stream->queue) {
      if (!Uses(work, id)) continue;
      call->Misuse("freed while a " + work->call + " that uses it still waits in its stream");
      break;
    }
  }
  memory.Release(place.block);
  return ok;
}

size_t Hash(const unsigned char* data, size_t bytes) {
  return std::hash<std::string_view>{}({reinterpret_cast<const char*>(data), bytes});
}

Place::Kind Side(bool device) { return device ? Place::kDevice : Place::kPinnedHost; }

// Whether the place may stand on this side of work in this stream; else keeps the misuse.
bool Accept(Call* call, const Place& place, const char* side, Place::Kind expected, const Stream& stream) {
  if (place.kind != expected) {
    call->Misuse(std::string("the ") + side + " is " + place.text + ", expected " +
                     (expected == Place::kDevice ? "device memory" : "pinned host memory"),
                 place.kind == Place::kOverrun ? cudaErrorInvalidValue : cudaErrorInvalidMemcpyDirection);
    return false;
  }
  if (place.block->device != kPinned && place.block->device != stream.device) {
    call->Misuse(std::string("the ") + side + " is " + place.text + ", the stream of device " +
                 std::to_string(stream.device));
    return false;
  }
  return true;
}

}  // namespace

extern "C" {

cudaError_t cudaMalloc(void** pointer, size_t bytes) {
  Call call("cudaMalloc");
  const Options& options = call.machine().options;
  if (call.fails()) return call.Return(cudaErrorMemoryAllocation);
  if (call.ForbiddenByCapture()) return cudaErrorStreamCaptureUnsupported;
  const int device = CurrentDevice();
  if (device >= options.devices) return call.Return(cudaErrorNoDevice);
  if (bytes > options.memory_bytes - std::min(options.memory_bytes, call.machine().memory.used(device))) {
    return call.Return(cudaErrorMemoryAllocation);
  }
  return Allocate(&call, device, pointer, bytes);
}

cudaError_t cudaFree(void* pointer) {
  Call call("cudaFree");
  if (call.ForbiddenByCapture()) return cudaErrorStreamCaptureUnsupported;
  return Free(&call, pointer, false, call.fails());
}

cudaError_t cudaHostAlloc(void** pointer, size_t bytes, unsigned int flags) {
  Call call("cudaHostAlloc");
  if (call.fails()) return call.Return(cudaErrorMemoryAllocation);
  if (call.ForbiddenByCapture()) return cudaErrorStreamCaptureUnsupported;
  return Allocate(&call, kPinned, pointer, bytes);
}

cudaError_t cudaFreeHost(void* pointer) {
  Call call("cudaFreeHost");
  if (call.ForbiddenByCapture()) return cudaErrorStreamCaptureUnsupported;
  return Free(&call, pointer, true, call.fails());
}

cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind kind,
                            cudaStream_t stream) {
  Call call("cudaMemcpyAsync");
  if (call.fails()) return call.Fail(stream, cudaErrorIllegalAddress);
  const std::shared_ptr<Stream> found = call.FindStream(stream);
  if (found == nullptr) return LastError();
  if (kind < cudaMemcpyHostToHost || kind > cudaMemcpyDeviceToDevice) {
    return call.Misuse("expected a direction, got " + std::to_string(kind), cudaErrorInvalidMemcpyDirection);
  }
  if (bytes == 0) return cudaSuccess;
  const Place source = call.machine().memory.Locate(from, bytes);
  const Place destination = call.machine().memory.Locate(to, bytes);
  const bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  const bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  if (!Accept(&call, source, "source", Side(from_device), *found)) return LastError();
  if (!Accept(&call, destination, "destination", Side(to_device), *found)) return LastError();
  const auto* source_bytes = static_cast<const unsigned char*>(from);
  auto* destination_bytes = static_cast<unsigned char*>(to);
  if (source_bytes < destination_bytes + bytes && destination_bytes < source_bytes + bytes) {
    return call.Misuse("the source and the destination overlap");
  }
  // What a graph copies may change between its launches; what waits in a stream must not.
  const bool watched = !from_device && !found->capture.has_value();
  const size_t hash = watched ? Hash(source_bytes, bytes) : 0;
  call.Enqueue(found.get(), {"", {source.block->id, destination.block->id}, [=](uint64_t) {
                               if (watched && Hash(source_bytes, bytes) != hash) {
                                 KeepMisuse("cudaMemcpyAsync: the source changed while the copy waited");
                               }
                               std::memcpy(destination_bytes, source_bytes, bytes);
                             }});
  return cudaSuccess;
}

cudaError_t cudaMemsetAsync(void* pointer, int value, size_t bytes, cudaStream_t stream) {
  Call call("cudaMemsetAsync");
  if (call.fails()) return call.Fail(stream, cudaErrorIllegalAddress);
  const std::shared_ptr<Stream> found = call.FindStream(stream);
  if (found == nullptr) return LastError();
  if (bytes == 0) return cudaSuccess;
  const Place place = call.machine().memory.Locate(pointer, bytes);
  if (!Accept(&call, place, "destination", Place::kDevice, *found)) return LastError();
  call.Enqueue(found.get(), {"", {place.block->id}, [=](uint64_t) { std::memset(pointer, value, bytes); }});
  return cudaSuccess;
}

}  // extern "C"

}  // namespace fake_cuda
