# The sources of the CUDA executor. Included by model/cuda/CMakeLists.txt, which has nvcc compile them for devices, and
# by tests/model/cuda/CMakeLists.txt, which has the C++ compiler compile them for the host.
set(GLOWWORM_CUDA_KERNELS
  emit_latent.cu
  likelihood.cu
  noise.cu
  normal_density.cu
  pointwise.cu
  product.cu)
list(TRANSFORM GLOWWORM_CUDA_KERNELS PREPEND ${CMAKE_CURRENT_LIST_DIR}/)
