// GLOWWORM_HOST_DEVICE stands before a function that both processors run. Compiled by every test of
// tests/model/cuda and by philox_test.cc.

#ifndef GLOWWORM_MODEL_HOST_DEVICE_H_
#define GLOWWORM_MODEL_HOST_DEVICE_H_

#ifdef __CUDACC__
#define GLOWWORM_HOST_DEVICE __host__ __device__
#else
#define GLOWWORM_HOST_DEVICE
#endif

#endif  // GLOWWORM_MODEL_HOST_DEVICE_H_
