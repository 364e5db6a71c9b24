// The calls that ask for devices, and the names of errors.

#include <algorithm>
#include <cstdio>

#include "tests/testing/fake_cuda/machine.h"

namespace fake_cuda {
namespace {

constexpr int kVersion = 13000;

// Whether there is such a device, as an error.
cudaError_t CheckDevice(const Options& options, int device) {
  if (!options.driver) return cudaErrorInsufficientDriver;
  if (options.devices == 0) return cudaErrorNoDevice;
  return device >= 0 && device < options.devices ? cudaSuccess : cudaErrorInvalidDevice;
}

}  // namespace

extern "C" {

cudaError_t cudaDriverGetVersion(int* version) {
  Call call("cudaDriverGetVersion");
  if (call.fails()) return call.Return(cudaErrorUnknown);
  *version = call.machine().options.driver ? kVersion : 0;  // 0: none is installed
  return cudaSuccess;
}

cudaError_t cudaRuntimeGetVersion(int* version) {
  Call call("cudaRuntimeGetVersion");
  if (call.fails()) return call.Return(cudaErrorUnknown);
  *version = kVersion;
  return cudaSuccess;
}

cudaError_t cudaGetDeviceCount(int* count) {
  Call call("cudaGetDeviceCount");
  *count = 0;
  if (call.fails()) return call.Return(cudaErrorInitializationError);
  const cudaError_t error = CheckDevice(call.machine().options, 0);
  if (error == cudaSuccess) *count = call.machine().options.devices;
  return call.Return(error);
}

cudaError_t cudaSetDevice(int device) {
  Call call("cudaSetDevice");
  if (call.fails()) return call.Return(cudaErrorDevicesUnavailable);
  const cudaError_t error = CheckDevice(call.machine().options, device);
  if (error == cudaSuccess) SetCurrentDevice(device);
  return call.Return(error);
}

cudaError_t cudaGetDevice(int* device) {
  Call call("cudaGetDevice");
  if (call.fails()) return call.Return(cudaErrorInitializationError);
  *device = CurrentDevice();
  return call.Return(CheckDevice(call.machine().options, *device));
}

cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  Call call("cudaGetDeviceProperties");
  if (call.fails()) return call.Return(cudaErrorInitializationError);
  const Options& options = call.machine().options;
  const cudaError_t error = CheckDevice(options, device);
  if (error != cudaSuccess) return call.Return(error);
  *properties = {};
  std::snprintf(properties->name, sizeof(properties->name), "Fake CUDA device");
  properties->totalGlobalMem = options.memory_bytes;
  properties->sharedMemPerBlock = 48 << 10;
  properties->warpSize = 32;
  properties->maxThreadsPerBlock = 1024;
  properties->maxGridSize[0] = 2147483647;
  properties->maxGridSize[1] = properties->maxGridSize[2] = 65535;
  properties->major = options.capability_major;
  properties->multiProcessorCount = options.multiprocessors;
  properties->pciBusID = device + 1;
  properties->memoryBusWidth = 64;
  properties->l2CacheSize = 1 << 20;
  return cudaSuccess;
}

cudaError_t cudaDeviceGetPCIBusId(char* id, int length, int device) {
  Call call("cudaDeviceGetPCIBusId");
  if (call.fails()) return call.Return(cudaErrorInvalidDevice);
  const cudaError_t error = CheckDevice(call.machine().options, device);
  if (error != cudaSuccess) return call.Return(error);
  constexpr int kLength = 13;  // of "0000:01:00.0" with its end
  if (length < kLength) return call.Return(cudaErrorInvalidValue);
  std::snprintf(id, static_cast<size_t>(length), "0000:%02x:00.0", static_cast<unsigned>(device + 1) & 0xFF);
  return cudaSuccess;
}

cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  Call call("cudaMemGetInfo");
  if (call.fails()) return call.Return(cudaErrorInitializationError);
  const cudaError_t error = CheckDevice(call.machine().options, CurrentDevice());
  if (error != cudaSuccess) return call.Return(error);
  *total = call.machine().options.memory_bytes;
  *free = *total - std::min(*total, call.machine().memory.used(CurrentDevice()));
  return cudaSuccess;
}

cudaError_t cudaGetLastError() {
  const cudaError_t error = LastError();
  LastError() = cudaSuccess;
  return error;
}

cudaError_t cudaPeekAtLastError() { return LastError(); }

// {name, text} of each error.
#define GLOWWORM_FAKE_CUDA_ERRORS(ERROR)                                                                   \
  ERROR(cudaSuccess, "no error")                                                                           \
  ERROR(cudaErrorInvalidValue, "invalid argument")                                                         \
  ERROR(cudaErrorMemoryAllocation, "out of memory")                                                        \
  ERROR(cudaErrorInitializationError, "initialization error")                                              \
  ERROR(cudaErrorInvalidConfiguration, "invalid configuration argument")                                   \
  ERROR(cudaErrorInvalidMemcpyDirection, "invalid copy direction for memcpy")                              \
  ERROR(cudaErrorInsufficientDriver, "the driver is missing or older than the runtime")                    \
  ERROR(cudaErrorDevicesUnavailable, "the device is busy or unavailable")                                  \
  ERROR(cudaErrorInvalidDeviceFunction, "invalid device function")                                         \
  ERROR(cudaErrorNoDevice, "no device was found")                                                          \
  ERROR(cudaErrorInvalidDevice, "invalid device ordinal")                                                  \
  ERROR(cudaErrorNoKernelImageForDevice, "no kernel image for this device")                                \
  ERROR(cudaErrorInvalidResourceHandle, "invalid resource handle")                                         \
  ERROR(cudaErrorNotReady, "device not ready")                                                             \
  ERROR(cudaErrorIllegalAddress, "an illegal memory access was encountered")                               \
  ERROR(cudaErrorLaunchOutOfResources, "too many resources requested for launch")                          \
  ERROR(cudaErrorLaunchFailure, "unspecified launch failure")                                              \
  ERROR(cudaErrorNotPermitted, "operation not permitted")                                                  \
  ERROR(cudaErrorNotSupported, "operation not supported")                                                  \
  ERROR(cudaErrorStreamCaptureUnsupported, "operation not permitted when stream is capturing")             \
  ERROR(cudaErrorStreamCaptureInvalidated, "operation failed due to a previous error during capture")      \
  ERROR(cudaErrorCapturedEvent, "operation not permitted on an event last recorded in a capturing stream") \
  ERROR(cudaErrorStreamCaptureWrongThread, "attempt to end a capture of another thread")                   \
  ERROR(cudaErrorUnknown, "unknown error")

const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
#define GLOWWORM_FAKE_CUDA_CASE(name, text) \
  case name:                                \
    return #name;
    GLOWWORM_FAKE_CUDA_ERRORS(GLOWWORM_FAKE_CUDA_CASE)
#undef GLOWWORM_FAKE_CUDA_CASE
  }
  return "unrecognized error code";
}

const char* cudaGetErrorString(cudaError_t error) {
  switch (error) {
#define GLOWWORM_FAKE_CUDA_CASE(name, text) \
  case name:                                \
    return text;
    GLOWWORM_FAKE_CUDA_ERRORS(GLOWWORM_FAKE_CUDA_CASE)
#undef GLOWWORM_FAKE_CUDA_CASE
  }
  return "unrecognized error code";
}

}  // extern "C"

}  // namespace fake_cuda
