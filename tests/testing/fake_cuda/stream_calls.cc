// The calls upon streams and events.

#include "tests/testing/fake_cuda/machine.h"

namespace fake_cuda {
namespace {

// Runs what waits in the stream, and what comes while it does. Several threads may do so at once; each piece
// of work is run by one of them, in order.
void Drain(Call* call, const std::shared_ptr<Stream>& stream) {
  Machine& machine = call->machine();
  while (true) {
    machine.work_done.wait(call->lock(), [&] { return stream->running == nullptr; });
    if (stream->queue.empty()) return;
    const WorkPtr work = stream->running = stream->queue.front();
    stream->queue.pop_front();
    bool live = true;
    for (const uint64_t block : work->blocks) live = live && machine.memory.IsLive(block);
    if (live) {
      const uint64_t seed = ++stream->seed;
      call->lock().unlock();
      work->run(seed);
      call->lock().lock();
    } else {
      call->Misuse("a " + work->call + " comes to run on freed memory", cudaErrorIllegalAddress);
    }
    stream->running = nullptr;
    machine.work_done.notify_all();
  }
}

cudaError_t Record(Call* call, cudaEvent_t event, cudaStream_t stream, bool external) {
  if (call->fails()) return call->Fail(stream, cudaErrorLaunchFailure);
  const std::shared_ptr<Stream> found = call->FindStream(stream);
  if (found == nullptr) return LastError();
  Machine& machine = call->machine();
  const auto known = machine.events.find(event);
  if (known == machine.events.end()) {
    return call->Misuse("an event that was destroyed or never made", cudaErrorInvalidResourceHandle);
  }
  if (known->second.device != found->device) {
    return call->Misuse("an event of device " + std::to_string(known->second.device) +
                            " in a stream of device " + std::to_string(found->device),
                        cudaErrorInvalidResourceHandle);
  }
  known->second.captured = found->capture.has_value() && !external;
  if (known->second.captured) return cudaSuccess;  // only marks a place within the capture
  if (!found->capture.has_value()) known->second.time.reset();
  call->Enqueue(found.get(), {"", {}, [event](uint64_t) {
                                Machine& at = TheMachine();
                                const std::lock_guard<std::mutex> lock(at.mutex);
                                const auto live = at.events.find(event);
                                if (live != at.events.end())
                                  live->second.time = std::chrono::steady_clock::now();
                              }});
  return cudaSuccess;
}

}  // namespace

extern "C" {

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned int flags) {
  Call call("cudaStreamCreateWithFlags");
  if (call.fails()) return call.Return(cudaErrorMemoryAllocation);
  Machine& machine = call.machine();
  if (CurrentDevice() >= machine.options.devices) return call.Return(cudaErrorNoDevice);
  auto made = std::make_shared<Stream>();
  made->device = CurrentDevice();
  made->seed = (machine.options.seed << 40) + (++machine.made_streams << 28);
  *stream = machine.NewHandle<cudaStream_t>();
  machine.streams[*stream] = std::move(made);
  return cudaSuccess;
}

cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  Call call("cudaStreamDestroy");
  const std::shared_ptr<Stream> found = call.FindStream(stream, false);
  if (found == nullptr) return LastError();
  if (found->capture.has_value()) call.Misuse("the stream captures", cudaErrorStreamCaptureUnsupported);
  if (call.fails()) found->queue.clear();
  Drain(&call, found);
  call.machine().streams.erase(stream);
  return call.Return(call.fails() ? cudaErrorLaunchFailure : cudaSuccess);
}

cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  Call call("cudaStreamSynchronize");
  const std::shared_ptr<Stream> found = call.FindStream(stream, false);
  if (found == nullptr) return LastError();
  if (found->capture.has_value()) {
    found->capture->invalid = true;
    return call.Misuse("the stream captures", cudaErrorStreamCaptureUnsupported);
  }
  if (call.fails()) found->queue.clear();
  Drain(&call, found);
  return call.Return(call.fails() ? cudaErrorLaunchFailure : cudaSuccess);
}

cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
  Call call("cudaStreamBeginCapture");
  if (call.fails()) return call.Fail(stream, cudaErrorStreamCaptureUnsupported);
  const std::shared_ptr<Stream> found = call.FindStream(stream);
  if (found == nullptr) return LastError();
  if (found->capture.has_value()) return call.Misuse("the stream captures already");
  found->capture = Capture{mode, std::this_thread::get_id()};
  return cudaSuccess;
}

cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t* graph) {
  Call call("cudaStreamEndCapture");
  *graph = nullptr;
  const std::shared_ptr<Stream> found = call.FindStream(stream);
  if (found == nullptr) return LastError();
  if (!found->capture.has_value()) return call.Misuse("the stream does not capture");
  if (found->capture->mode != cudaStreamCaptureModeRelaxed &&
      found->capture->thread != std::this_thread::get_id()) {
    return call.Misuse("another thread began the capture", cudaErrorStreamCaptureWrongThread);
  }
  const Capture capture = std::move(*found->capture);
  found->capture.reset();
  if (call.fails() || capture.invalid) return call.Return(cudaErrorStreamCaptureInvalidated);
  *graph = call.machine().NewHandle<cudaGraph_t>();
  call.machine().graphs[*graph] = {found->device, capture.works};
  return cudaSuccess;
}

cudaError_t cudaEventCreate(cudaEvent_t* event) {
  Call call("cudaEventCreate");
  if (call.fails()) return call.Return(cudaErrorMemoryAllocation);
  if (CurrentDevice() >= call.machine().options.devices) return call.Return(cudaErrorNoDevice);
  *event = call.machine().NewHandle<cudaEvent_t>();
  call.machine().events[*event].device = CurrentDevice();
  return cudaSuccess;
}

cudaError_t cudaEventDestroy(cudaEvent_t event) {
  Call call("cudaEventDestroy");
  if (call.machine().events.erase(event) == 0) {
    return call.Misuse("an event that was destroyed or never made", cudaErrorInvalidResourceHandle);
  }
  return call.Return(call.fails() ? cudaErrorLaunchFailure : cudaSuccess);
}

cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
  Call call("cudaEventRecord");
  return Record(&call, event, stream, false);
}

cudaError_t cudaEventRecordWithFlags(cudaEvent_t event, cudaStream_t stream, unsigned int flags) {
  Call call("cudaEventRecordWithFlags");
  return Record(&call, event, stream, flags == cudaEventRecordExternal);
}

cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  Call call("cudaEventElapsedTime");
  if (call.fails()) return call.Return(cudaErrorLaunchFailure);
  std::optional<std::chrono::steady_clock::time_point> times[2];
  for (const cudaEvent_t event : {start, end}) {
    const auto known = call.machine().events.find(event);
    if (known == call.machine().events.end()) {
      return call.Misuse("an event that was destroyed or never made", cudaErrorInvalidResourceHandle);
    }
    if (known->second.captured) {
      return call.Misuse("an event last recorded in a capture, without cudaEventRecordExternal",
                         cudaErrorCapturedEvent);
    }
    if (!known->second.time.has_value()) {
      return call.Misuse("asked before the event's record ran", cudaErrorNotReady);
    }
    times[event == end] = known->second.time;
  }
  *milliseconds = std::chrono::duration<float, std::milli>(*times[1] - *times[0]).count();
  return cudaSuccess;
}

}  // extern "C"

}  // namespace fake_cuda
