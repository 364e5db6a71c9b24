#include "tests/testing/fake_cuda/machine.h"

#include <unistd.h>

#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <utility>

namespace fake_cuda {
namespace {

thread_local int current_device = 0;
thread_local cudaError_t last_error = cudaSuccess;

[[noreturn]] void End(const std::string& sentence) {
  std::fprintf(stderr, "fake_cuda: %s\n", sentence.c_str());
  std::abort();
}

// Of GLOWWORM_FAKE_CUDA: "name=number,...".
void SetOption(const std::string& part, Machine* machine) {
  const size_t equals = part.find('=');
  if (equals == std::string::npos) End("expected name=number in GLOWWORM_FAKE_CUDA, got " + part);
  const std::string name = part.substr(0, equals);
  char* end = nullptr;
  const uint64_t value = std::strtoull(part.c_str() + equals + 1, &end, 10);
  if (*end != '\0' || equals + 1 == part.size()) End("expected a number in GLOWWORM_FAKE_CUDA, got " + part);
  Options& options = machine->options;
  if (name == "driver") {
    options.driver = value != 0;
  } else if (name == "devices") {
    options.devices = static_cast<int>(value);
  } else if (name == "major") {
    options.capability_major = static_cast<int>(value);
  } else if (name == "memory") {
    options.memory_bytes = value;
  } else if (name == "threads") {
    options.threads = static_cast<int>(value);
  } else if (name == "seed") {
    options.seed = value;
  } else if (name == "abort") {
    options.abort = value != 0;
  } else if (name == "fail") {
    machine->failing_call = static_cast<int64_t>(value);
  } else {
    End("expected driver, devices, major, memory, threads, seed, abort or fail in GLOWWORM_FAKE_CUDA, got " +
        name);
  }
}

LiveObjects CountLive(const Machine& machine) {
  LiveObjects live;
  live.allocations = machine.memory.device_blocks();
  live.pinned = machine.memory.pinned_blocks();
  live.streams = static_cast<int64_t>(machine.streams.size());
  live.events = static_cast<int64_t>(machine.events.size());
  live.graphs = static_cast<int64_t>(machine.graphs.size());
  live.execs = static_cast<int64_t>(machine.execs.size());
  live.handles = static_cast<int64_t>(machine.handles.size());
  return live;
}

}  // namespace

Machine::Machine() {
  const char* text = std::getenv("GLOWWORM_FAKE_CUDA");
  if (text == nullptr) return;
  std::string rest = text;
  while (!rest.empty()) {
    const size_t comma = rest.find(',');
    SetOption(rest.substr(0, comma), this);
    rest = comma == std::string::npos ? "" : rest.substr(comma + 1);
  }
}

Machine& TheMachine() {
  static Machine machine;
  return machine;
}

void KeepMisuse(const std::string& sentence) {
  Machine& machine = TheMachine();
  const std::lock_guard<std::mutex> lock(machine.mutex);
  machine.misuses.push_back(sentence);
  if (machine.options.abort) End(sentence);
}

int CurrentDevice() { return current_device; }
void SetCurrentDevice(int device) { current_device = device; }
cudaError_t& LastError() { return last_error; }

namespace {

// Whether the devices are gone for good: see fake_cuda.h.
bool IsLost() {
  static const char* const path = std::getenv("GLOWWORM_FAKE_CUDA_LOST");
  return path != nullptr && access(path, F_OK) == 0;
}

}  // namespace

Call::Call(std::string name) : machine_(TheMachine()), name_(std::move(name)), lock_(machine_.mutex) {
  fails_ = ++machine_.calls == machine_.failing_call || IsLost();
  if (fails_) machine_.failed_call = name_;
}

cudaError_t Call::Return(cudaError_t error) const {
  if (error != cudaSuccess) last_error = error;
  return error;
}

cudaError_t Call::Misuse(const std::string& sentence, cudaError_t error) {
  machine_.misuses.push_back(name_ + ": " + sentence);
  if (machine_.options.abort) End(machine_.misuses.back());
  return Return(error);
}

std::shared_ptr<Stream> Call::FindStream(cudaStream_t stream, bool work) {
  const auto found = machine_.streams.find(stream);
  if (found == machine_.streams.end()) {
    Misuse(stream == nullptr ? "the default stream, expected one of our own"
                             : "a stream that was destroyed or never made",
           cudaErrorInvalidResourceHandle);
    return nullptr;
  }
  if (work && found->second->device != current_device) {
    Misuse("a stream of device " + std::to_string(found->second->device) + " while the current device is " +
               std::to_string(current_device),
           cudaErrorInvalidResourceHandle);
    return nullptr;
  }
  return found->second;
}

cudaError_t Call::Fail(cudaStream_t stream, cudaError_t error) const {
  const auto found = machine_.streams.find(stream);
  if (found != machine_.streams.end() && found->second->capture.has_value()) {
    found->second->capture->invalid = true;
  }
  return Return(error);
}

bool Call::ForbiddenByCapture() {
  bool forbidden = false;
  for (auto& [handle, stream] : machine_.streams) {
    std::optional<Capture>& capture = stream->capture;
    if (!capture.has_value() || capture->mode == cudaStreamCaptureModeRelaxed) continue;
    if (capture->mode == cudaStreamCaptureModeThreadLocal && capture->thread != std::this_thread::get_id()) {
      continue;
    }
    forbidden = capture->invalid = true;
  }
  if (forbidden) Misuse("called while a stream captures", cudaErrorStreamCaptureUnsupported);
  return forbidden;
}

void Call::Enqueue(Stream* stream, Work work) {
  work.call = name_;
  Enqueue(stream, std::make_shared<const Work>(std::move(work)));
}

void Call::Enqueue(Stream* stream, WorkPtr work) {
  if (stream->capture.has_value()) {
    stream->capture->works.push_back(std::move(work));
  } else {
    stream->queue.push_back(std::move(work));
  }
}

void Configure(const Options& options) {
  Machine& machine = TheMachine();
  const std::lock_guard<std::mutex> lock(machine.mutex);
  const LiveObjects live = CountLive(machine);
  if (live.total() != 0) {
    End("Configure: expected nothing live, got " + std::to_string(live.allocations) + " allocations, " +
        std::to_string(live.pinned) + " pinned blocks, " + std::to_string(live.streams) + " streams, " +
        std::to_string(live.events) + " events, " + std::to_string(live.graphs) + " graphs, " +
        std::to_string(live.execs) + " executable graphs, " + std::to_string(live.handles) + " handles");
  }
  machine.options = options;
  machine.made_streams = 0;
  machine.calls = machine.failing_call = 0;
  machine.failed_call.clear();
  machine.misuses.clear();
  current_device = 0;
  last_error = cudaSuccess;
}

std::vector<std::string> Misuses() {
  Machine& machine = TheMachine();
  const std::lock_guard<std::mutex> lock(machine.mutex);
  return machine.misuses;
}

LiveObjects Live() {
  Machine& machine = TheMachine();
  const std::lock_guard<std::mutex> lock(machine.mutex);
  return CountLive(machine);
}

int64_t Calls() {
  Machine& machine = TheMachine();
  const std::lock_guard<std::mutex> lock(machine.mutex);
  return machine.calls;
}

std::string FailedCall() {
  Machine& machine = TheMachine();
  const std::lock_guard<std::mutex> lock(machine.mutex);
  return machine.failed_call;
}

void FailCall(int64_t n) {
  Machine& machine = TheMachine();
  const std::lock_guard<std::mutex> lock(machine.mutex);
  machine.failing_call = n == 0 ? 0 : machine.calls + n;
}

}  // namespace fake_cuda
