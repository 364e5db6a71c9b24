// Tests of model/philox.h: the generator's published known answers and the normals that the API fixes.

#include "model/philox.h"

#include <gtest/gtest.h>

namespace glowworm {
namespace {

using Words = std::array<uint32_t, 4>;

TEST(Philox, GivesTheKnownAnswers) {
  EXPECT_EQ(Philox4x32({0, 0, 0, 0}, {0, 0}), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(Philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Philox, NormalsOfSeed42AreThoseOfTheApi) {
  double z[4];
  PhiloxNormals(42, 0, 1, 4, z);
  const double want[] = {-0.66537486780734856, 1.036023808655465, -1.4338891806537384, 0.42327818124445271};
  // To a few ulp: the words are exact everywhere, the math library's last bit is not.
  for (int d = 0; d < 4; ++d) EXPECT_NEAR(z[d], want[d], 1e-12 * std::abs(want[d])) << d;
  PhiloxNormals(42, 1, 1, 2, z);
  EXPECT_NEAR(z[0], -0.48595370776513486, 1e-12);
  EXPECT_NEAR(z[1], -1.9755590917286678, 1e-12);
}

TEST(Philox, AShorterRequestIsAPrefix) {
  double longer[7], shorter[4];
  PhiloxNormals(7, uint64_t{1} << 40, 0.5, 7, longer);
  PhiloxNormals(7, uint64_t{1} << 40, 0.5, 4, shorter);
  for (int d = 0; d < 4; ++d) EXPECT_EQ(longer[d], shorter[d]);
}

TEST(Philox, AnOddCountWritesNoNumberTooMany) {
  double z[4] = {0, 0, 0, 1234};
  PhiloxNormals(1, 2, 1, 3, z);
  EXPECT_EQ(z[3], 1234);
}

TEST(Philox, UniformsStayInTheirRanges) {
  for (uint64_t i = 0; i < 10000; ++i) {
    const UniformPair u = PhiloxUniforms(3, i, kClassBlock);
    ASSERT_GT(u.u1, 0);
    ASSERT_LE(u.u1, 1);
    ASSERT_GE(u.u2, 0);
    ASSERT_LT(u.u2, 1);
  }
}

}  // namespace
}  // namespace glowworm
