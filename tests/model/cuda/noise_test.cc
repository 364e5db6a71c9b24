// model/cuda/noise.h: the host's normals, drawn on the device.

#include "model/cuda/noise.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <cstring>
#include <vector>

#include "model/philox.h"
#include "tests/model/cuda/kernel_fixture.h"

namespace glowworm::cuda {
namespace {

// The fake device computes with the host's math library: tests/model/on_device_test.cc allows a GPU 4 ulp.
uint64_t BitsOf(double v) {
  uint64_t bits;
  std::memcpy(&bits, &v, sizeof(bits));
  return bits;
}

class NoiseTest : public KernelTest {
 protected:
  struct Request {
    std::vector<uint64_t> seed, index;
    std::vector<double> temperature;
  };
  // Rows of several requests, with every word of seed and index in use.
  static Request Rows(int64_t rows) {
    Request request;
    for (int64_t r = 0; r < rows; ++r) {
      const auto row = static_cast<uint64_t>(r);
      request.seed.push_back(row % 3 == 0 ? 42 : row << 33 | 7);
      request.index.push_back(row % 2 == 0 ? row : ~row);
      request.temperature.push_back(r % 5 == 4 ? 0 : 0.25 * static_cast<double>(r % 7 + 1));
    }
    return request;
  }
  std::vector<double> Fill(const Request& request, int64_t count) {
    const auto rows = static_cast<int64_t>(request.seed.size());
    double* noise = ToDevice(std::vector<double>(rows * count + 1, 1234));
    const uint64_t* seed = ToDevice(request.seed);
    const uint64_t* index = ToDevice(request.index);
    const double* temperature = ToDevice(request.temperature);
    Run([&] { FillNoise(&queue_, rows, count, seed, index, temperature, noise); });
    std::vector<double> got = FromDevice(noise, rows * count + 1);
    EXPECT_EQ(got.back(), 1234) << "wrote beyond the noise";
    got.pop_back();
    return got;
  }
};

TEST_F(NoiseTest, NormalsAreTheHosts) {
  for (const int64_t rows : {1, 3, 31, 33, 257}) {
    for (const int64_t count : {1, 2, 3, 32, 33}) {
      const Request request = Rows(rows);
      const std::vector<double> got = Fill(request, count);
      for (int64_t r = 0; r < rows; ++r) {
        std::vector<double> want(count);
        PhiloxNormals(request.seed[r], request.index[r], request.temperature[r], count, want.data());
        for (int64_t d = 0; d < count; ++d) {
          ASSERT_EQ(BitsOf(got[r * count + d]), BitsOf(want[d])) << r << ", " << d << " of " << rows;
        }
      }
    }
  }
}

TEST_F(NoiseTest, ARowsNormalsDoNotDependOnTheRowsBesideIt) {
  Request request = Rows(33);
  const std::vector<double> all = Fill(request, 5);
  const std::vector<double> alone =
      Fill({{request.seed[17]}, {request.index[17]}, {request.temperature[17]}}, 5);
  for (int64_t d = 0; d < 5; ++d) EXPECT_EQ(all[17 * 5 + d], alone[d]);
}

}  // namespace
}  // namespace glowworm::cuda
