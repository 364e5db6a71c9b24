// The management library: asked where it is there, done without where it is not.

#include "model/cuda/nvml.h"

#include <gtest/gtest.h>

namespace glowworm::cuda {
namespace {

TEST(Nvml, TellsTheShareOfTimeInWhichADeviceComputed) {
  const auto nvml = Nvml::Open(FAKE_NVML);
  ASSERT_NE(nvml, nullptr);
  EXPECT_DOUBLE_EQ(nvml->Utilization("0000:01:00.0"), 0.37);
}

TEST(Nvml, IsMinusOneWhereADeviceDoesNotTell) {
  const auto nvml = Nvml::Open(FAKE_NVML);
  ASSERT_NE(nvml, nullptr);
  EXPECT_EQ(nvml->Utilization("0000:02:00.0"), -1);
  EXPECT_EQ(nvml->Utilization("0000:03:00.0"), -1);  // there is none
}

TEST(Nvml, IsAbsentWithoutTheLibraryOrWithAnother) {
  EXPECT_EQ(Nvml::Open("libglowworm-has-no-such.so.1"), nullptr);
  EXPECT_EQ(Nvml::Open("libm.so.6"), nullptr);
}

TEST(Nvml, OfAPlaceWithoutADeviceIsNotKnown) {
  EXPECT_EQ(DeviceUtilization("0000:00:00.0"), -1);  // whether this machine has the library or not
}

}  // namespace
}  // namespace glowworm::cuda
