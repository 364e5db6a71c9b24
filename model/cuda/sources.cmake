# The sources of the CUDA executor. Included by model/cuda/CMakeLists.txt, which has nvcc compile them for devices, by
# tests/model/cuda/CMakeLists.txt, which has the C++ compiler compile them for the host, and by model/CMakeLists.txt for
# the stamp.
set(GLOWWORM_CUDA_KERNELS
  autoregressive.cu
  conditioner.cu
  conditioner_build.cu
  convert.cu
  coupling.cu
  element_map.cu
  emit_latent.cu
  epilogue.cu
  fixed_spline.cu
  likelihood.cu
  noise.cu
  normal_density.cu
  pointwise.cu
  product.cu
  sequential_net.cu)
list(TRANSFORM GLOWWORM_CUDA_KERNELS PREPEND ${CMAKE_CURRENT_LIST_DIR}/)
# The host's side.
set(GLOWWORM_CUDA_HOST
  compute.cc
  cuda_executor.cc
  device_memory.cc
  device_seconds.cc
  device_weights.cc
  nvml.cc
  program.cc
  worker.cc
  worker_pool.cc)
list(TRANSFORM GLOWWORM_CUDA_HOST PREPEND ${CMAKE_CURRENT_LIST_DIR}/)
# What makes a plug-in of them: its one function, and what the executors share.
set(GLOWWORM_CUDA_PLUGIN cuda/plugin.cc flow_info.cc flow_spec.cc masked_net.cc row_io.cc sequential_plan.cc)
list(TRANSFORM GLOWWORM_CUDA_PLUGIN PREPEND ${CMAKE_CURRENT_LIST_DIR}/../)

# What passes between the server and the plug-in must mean the same to both: the headers that say what, and the compiler.
set(stamped "${CMAKE_CXX_COMPILER_ID} ${CMAKE_CXX_COMPILER_VERSION}")
foreach(header cuda/plugin.h devices.h executor.h flow.h flow_spec.h plan.h)
  set(header ${CMAKE_CURRENT_LIST_DIR}/../${header})
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${header})
  if(EXISTS ${header})
    file(SHA256 ${header} hash)
    string(APPEND stamped " ${hash}")
  endif()
endforeach()
string(SHA256 GLOWWORM_PLUGIN_BUILD "${stamped}")
