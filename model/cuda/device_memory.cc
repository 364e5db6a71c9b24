// Implements model/cuda/device_memory.h.

#include "model/cuda/device_memory.h"

#include "absl/strings/str_cat.h"

namespace glowworm::cuda {

absl::Status StatusOf(cudaError_t error, absl::string_view doing) {
  switch (error) {
    case cudaSuccess:
      return absl::OkStatus();
    case cudaErrorMemoryAllocation:
      return absl::ResourceExhaustedError(
          absl::StrCat("the device could not ", doing, ": its memory, or pinned host memory, ran out"));
    case cudaErrorNoDevice:
    case cudaErrorInsufficientDriver:
      return absl::FailedPreconditionError(
          absl::StrCat("the device could not ", doing, ": ", cudaGetErrorString(error)));
    default:
      return absl::InternalError(absl::StrCat("the device could not ", doing, ": ", cudaGetErrorName(error),
                                              ", ", cudaGetErrorString(error)));
  }
}

absl::Status StatusOf(cublasStatus_t error, absl::string_view doing) {
  if (error == CUBLAS_STATUS_SUCCESS) return absl::OkStatus();
  const std::string why = absl::StrCat("the device could not ", doing, ": ", cublasGetStatusString(error));
  if (error == CUBLAS_STATUS_ALLOC_FAILED) return absl::ResourceExhaustedError(why);
  return absl::InternalError(why);
}

}  // namespace glowworm::cuda
