// The calls of cuBLAS, with Eigen.

#define EIGEN_DONT_PARALLELIZE
#include <Eigen/Core>
#include <algorithm>

#include "tests/testing/fake_cuda/machine.h"

namespace fake_cuda {
namespace {

constexpr size_t kAlignment = 16;            // of a product's operands, for its fast paths
constexpr size_t kWorkspaceAlignment = 256;  // that cuBLAS asks for

struct Operand {
  const char* name;
  const void* data;
  int rows, columns, stride;  // column by column
};

template <typename T>
auto View(const Operand& x) {
  using Matrix = Eigen::Matrix<T, Eigen::Dynamic, Eigen::Dynamic>;
  return Eigen::Map<Matrix, Eigen::Unaligned, Eigen::OuterStride<>>(
      const_cast<T*>(static_cast<const T*>(x.data)), x.rows, x.columns, Eigen::OuterStride<>(x.stride));
}

template <typename T>
void Multiply(bool transpose_a, bool transpose_b, T alpha, const Operand& a_, const Operand& b_, T beta,
              const Operand& c_) {
  const auto a = View<T>(a_), b = View<T>(b_);
  auto c = View<T>(c_);
  if (beta == T(0)) {
    c.setZero();
  } else if (beta != T(1)) {
    c *= beta;
  }
  if (transpose_a && transpose_b) {
    c.noalias() += alpha * a.transpose() * b.transpose();
  } else if (transpose_a) {
    c.noalias() += alpha * a.transpose() * b;
  } else if (transpose_b) {
    c.noalias() += alpha * a * b.transpose();
  } else {
    c.noalias() += alpha * a * b;
  }
}

size_t Bytes(const Operand& x, size_t element) {
  return (static_cast<size_t>(x.stride) * (x.columns - 1) + x.rows) * element;
}

cublasStatus_t Refuse(Call* call, const std::string& sentence,
                      cublasStatus_t status = CUBLAS_STATUS_INVALID_VALUE) {
  const cudaError_t before = LastError();
  call->Misuse(sentence);
  LastError() = before;  // cuBLAS has errors of its own
  return status;
}

// The handle, if it is live and of the current device; else keeps the misuse and returns null.
Handle* Find(Call* call, cublasHandle_t handle) {
  const auto found = call->machine().handles.find(handle);
  if (found == call->machine().handles.end()) {
    Refuse(call, "a handle that was destroyed or never made");
    return nullptr;
  }
  if (found->second.device != CurrentDevice()) {
    Refuse(call, "a handle of device " + std::to_string(found->second.device) +
                     " while the current device is " + std::to_string(CurrentDevice()));
    return nullptr;
  }
  return &found->second;
}

// Why the operand cannot stand in a product in this stream, or nothing; adds its block.
std::string Check(const Memory& memory, const Operand& x, size_t element, int device,
                  std::vector<uint64_t>* blocks) {
  const std::string name = x.name;
  if (x.stride < std::max(1, x.rows)) {
    return name + " has leading dimension " + std::to_string(x.stride) + " for " + std::to_string(x.rows) +
           " rows";
  }
  if (reinterpret_cast<uintptr_t>(x.data) % kAlignment != 0) return name + " is not aligned to 16 bytes";
  const Place place = memory.Locate(x.data, Bytes(x, element));
  if (place.kind != Place::kDevice) return name + " is " + place.text + ", expected device memory";
  if (place.block->device != device) {
    return name + " is " + place.text + ", the stream of device " + std::to_string(device);
  }
  blocks->push_back(place.block->id);
  return "";
}

bool Overlap(const Operand& x, const Operand& y, size_t element) {
  const auto* from_x = static_cast<const unsigned char*>(x.data);
  const auto* from_y = static_cast<const unsigned char*>(y.data);
  return from_x < from_y + Bytes(y, element) && from_y < from_x + Bytes(x, element);
}

}  // namespace

extern "C" {

cublasStatus_t cublasCreate(cublasHandle_t* handle) {
  Call call("cublasCreate");
  *handle = nullptr;
  if (call.fails()) return CUBLAS_STATUS_ALLOC_FAILED;
  if (CurrentDevice() >= call.machine().options.devices) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (call.ForbiddenByCapture()) return CUBLAS_STATUS_NOT_INITIALIZED;
  *handle = call.machine().NewHandle<cublasHandle_t>();
  call.machine().handles[*handle].device = CurrentDevice();
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasDestroy(cublasHandle_t handle) {
  Call call("cublasDestroy");
  if (Find(&call, handle) == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  call.machine().handles.erase(handle);
  return call.fails() ? CUBLAS_STATUS_INTERNAL_ERROR : CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetStream(cublasHandle_t handle, cudaStream_t stream) {
  Call call("cublasSetStream");
  if (call.fails()) return CUBLAS_STATUS_MAPPING_ERROR;
  Handle* found = Find(&call, handle);
  if (found == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  const cudaError_t before = LastError();
  const bool known = call.FindStream(stream) != nullptr;
  LastError() = before;
  if (!known) return CUBLAS_STATUS_INVALID_VALUE;
  found->stream = stream;
  found->workspace = false;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetWorkspace(cublasHandle_t handle, void* workspace, size_t bytes) {
  Call call("cublasSetWorkspace");
  if (call.fails()) return CUBLAS_STATUS_INVALID_VALUE;
  Handle* found = Find(&call, handle);
  if (found == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (call.ForbiddenByCapture()) return CUBLAS_STATUS_INVALID_VALUE;
  if (bytes > 0) {
    const Place place = call.machine().memory.Locate(workspace, bytes);
    if (place.kind != Place::kDevice || place.block->device != found->device) {
      return Refuse(&call, "the workspace is " + place.text + ", expected memory of device " +
                               std::to_string(found->device));
    }
    if (reinterpret_cast<uintptr_t>(workspace) % kWorkspaceAlignment != 0) {
      return Refuse(&call, "the workspace is not aligned to 256 bytes");
    }
  }
  found->workspace = true;
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t mode) {
  Call call("cublasSetMathMode");
  if (call.fails()) return CUBLAS_STATUS_INVALID_VALUE;
  if (Find(&call, handle) == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  if (mode != CUBLAS_DEFAULT_MATH && mode != CUBLAS_PEDANTIC_MATH) {
    return Refuse(&call, "expected the default or the pedantic mode, got " + std::to_string(mode));
  }
  return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasGemmEx(cublasHandle_t handle, cublasOperation_t op_a, cublasOperation_t op_b, int m,
                            int n, int k, const void* alpha, const void* a, cudaDataType type_a, int lda,
                            const void* b, cudaDataType type_b, int ldb, const void* beta, void* c,
                            cudaDataType type_c, int ldc, cublasComputeType_t compute,
                            cublasGemmAlgo_t algorithm) {
  Call call("cublasGemmEx");
  const auto known = call.machine().handles.find(handle);
  if (call.fails()) {
    if (known != call.machine().handles.end()) call.Fail(known->second.stream, cudaSuccess);
    return CUBLAS_STATUS_EXECUTION_FAILED;
  }
  const Handle* found = Find(&call, handle);
  if (found == nullptr) return CUBLAS_STATUS_NOT_INITIALIZED;
  const cudaError_t before = LastError();
  const std::shared_ptr<Stream> stream = call.FindStream(found->stream);
  LastError() = before;
  if (stream == nullptr) return CUBLAS_STATUS_EXECUTION_FAILED;
  if (stream->capture.has_value() && !found->workspace) {
    return Refuse(&call,
                  "captured without a workspace given since cublasSetStream: the graph would allocate one");
  }
  const bool is_float = compute == CUBLAS_COMPUTE_32F_PEDANTIC;
  if (!is_float && compute != CUBLAS_COMPUTE_64F_PEDANTIC) {
    return Refuse(&call, "expected a pedantic compute type, got " + std::to_string(compute));
  }
  const cudaDataType type = is_float ? CUDA_R_32F : CUDA_R_64F;
  if (type_a != type || type_b != type || type_c != type) {
    return Refuse(&call, "expected operands of the compute type");
  }
  if (op_a == CUBLAS_OP_C || op_b == CUBLAS_OP_C) return Refuse(&call, "a conjugate of real numbers");
  if (m <= 0 || n <= 0 || k <= 0) {
    return Refuse(&call, "expected sizes above 0, got " + std::to_string(m) + ", " + std::to_string(n) +
                             ", " + std::to_string(k));
  }
  const Memory& memory = call.machine().memory;
  for (const void* scalar : {alpha, beta}) {
    if (memory.Locate(scalar, 1).kind == Place::kDevice) {
      return Refuse(&call, "alpha and beta are read on the host, and one lies on a device");
    }
  }
  const bool transpose_a = op_a == CUBLAS_OP_T, transpose_b = op_b == CUBLAS_OP_T;
  const Operand operand_a = {"a", a, transpose_a ? k : m, transpose_a ? m : k, lda};
  const Operand operand_b = {"b", b, transpose_b ? n : k, transpose_b ? k : n, ldb};
  const Operand operand_c = {"c", c, m, n, ldc};
  const size_t element = is_float ? sizeof(float) : sizeof(double);
  std::vector<uint64_t> blocks;
  for (const Operand& operand : {operand_a, operand_b, operand_c}) {
    const std::string wrong = Check(memory, operand, element, stream->device, &blocks);
    if (!wrong.empty()) return Refuse(&call, wrong);
  }
  if (Overlap(operand_c, operand_a, element) || Overlap(operand_c, operand_b, element)) {
    return Refuse(&call, "c overlaps a or b");
  }
  std::function<void(uint64_t)> run;
  if (is_float) {
    run = [=, alpha = *static_cast<const float*>(alpha), beta = *static_cast<const float*>(beta)](uint64_t) {
      Multiply<float>(transpose_a, transpose_b, alpha, operand_a, operand_b, beta, operand_c);
    };
  } else {
    run = [=, alpha = *static_cast<const double*>(alpha),
           beta = *static_cast<const double*>(beta)](uint64_t) {
      Multiply<double>(transpose_a, transpose_b, alpha, operand_a, operand_b, beta, operand_c);
    };
  }
  call.Enqueue(stream.get(), {"", std::move(blocks), std::move(run)});
  return CUBLAS_STATUS_SUCCESS;
}

const char* cublasGetStatusName(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_SUCCESS:
      return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_NOT_INITIALIZED:
      return "CUBLAS_STATUS_NOT_INITIALIZED";
    case CUBLAS_STATUS_ALLOC_FAILED:
      return "CUBLAS_STATUS_ALLOC_FAILED";
    case CUBLAS_STATUS_INVALID_VALUE:
      return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_ARCH_MISMATCH:
      return "CUBLAS_STATUS_ARCH_MISMATCH";
    case CUBLAS_STATUS_MAPPING_ERROR:
      return "CUBLAS_STATUS_MAPPING_ERROR";
    case CUBLAS_STATUS_EXECUTION_FAILED:
      return "CUBLAS_STATUS_EXECUTION_FAILED";
    case CUBLAS_STATUS_INTERNAL_ERROR:
      return "CUBLAS_STATUS_INTERNAL_ERROR";
    case CUBLAS_STATUS_NOT_SUPPORTED:
      return "CUBLAS_STATUS_NOT_SUPPORTED";
    case CUBLAS_STATUS_LICENSE_ERROR:
      return "CUBLAS_STATUS_LICENSE_ERROR";
  }
  return "unknown status";
}

const char* cublasGetStatusString(cublasStatus_t status) {
  return status == CUBLAS_STATUS_SUCCESS ? "success" : cublasGetStatusName(status);
}

}  // extern "C"

}  // namespace fake_cuda
