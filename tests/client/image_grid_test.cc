// PNG grids (client/image_grid.h), read back with libpng.

#include "client/image_grid.h"

#include <png.h>

#include <cmath>
#include <cstring>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace glowworm {
namespace client {
namespace {

using testing::HasSubstr;

struct Picture {
  int64_t width = 0, height = 0, channels = 0;
  std::vector<uint8_t> pixels;
  uint8_t At(int64_t x, int64_t y, int64_t k = 0) const {
    return pixels[static_cast<size_t>((y * width + x) * channels + k)];
  }
};

Picture Decode(const std::string& png) {
  png_image image;
  std::memset(&image, 0, sizeof(image));
  image.version = PNG_IMAGE_VERSION;
  Picture picture;
  EXPECT_NE(png_image_begin_read_from_memory(&image, png.data(), png.size()), 0) << image.message;
  picture.channels = PNG_IMAGE_SAMPLE_CHANNELS(image.format);
  picture.width = image.width;
  picture.height = image.height;
  picture.pixels.resize(PNG_IMAGE_SIZE(image));
  EXPECT_NE(png_image_finish_read(&image, nullptr, picture.pixels.data(), 0, nullptr), 0) << image.message;
  return picture;
}

GridOptions Scale(int64_t scale) {
  GridOptions options;
  options.scale = scale;
  return options;
}

TEST(ImageGrid, FiveGreyImagesStandInThreeColumnsWithLinesBetween) {
  std::vector<double> values;  // image i is all i
  for (int i = 0; i < 5; ++i) values.insert(values.end(), 4, i);
  const auto png = GridPng(Array::Of<double>({5, 1, 2, 2}, values), Scale(3));
  ASSERT_TRUE(png.ok()) << png.status();
  const Picture picture = Decode(*png);
  EXPECT_EQ(picture.channels, 1);
  EXPECT_EQ(picture.width, 3 * 6 + 2);
  EXPECT_EQ(picture.height, 2 * 6 + 1);
  EXPECT_EQ(picture.At(0, 0), 0);
  EXPECT_EQ(picture.At(5, 5), 0);
  EXPECT_EQ(picture.At(6, 0), 96);  // the line
  EXPECT_EQ(picture.At(7, 0), std::lround(255 / 4.0));
  EXPECT_EQ(picture.At(7, 12), 255);  // image 4: second row, second column
  EXPECT_EQ(picture.At(14, 12), 96);  // no sixth image
}

TEST(ImageGrid, ColoursAreChannelsOfOnePixel) {
  const auto png = GridPng(Array::Of<uint8_t>({1, 3, 1, 2}, {255, 0, 0, 255, 51, 102}), Scale(1));
  ASSERT_TRUE(png.ok()) << png.status();
  const Picture picture = Decode(*png);
  ASSERT_EQ(picture.channels, 3);
  EXPECT_EQ(picture.At(0, 0, 0), 255);
  EXPECT_EQ(picture.At(0, 0, 1), 0);
  EXPECT_EQ(picture.At(0, 0, 2), 51);
  EXPECT_EQ(picture.At(1, 0, 1), 255);
  EXPECT_EQ(picture.At(1, 0, 2), 102);
}

TEST(ImageGrid, AGivenRangeCutsWhatLiesOutside) {
  GridOptions options = Scale(1);
  options.low = 0;
  options.high = 10;
  const auto png = GridPng(Array::Of<float>({1, 1, 1, 5}, {-5, 0, 5, 10, 99}), options);
  ASSERT_TRUE(png.ok());
  const Picture picture = Decode(*png);
  EXPECT_EQ(picture.At(0, 0), 0);
  EXPECT_EQ(picture.At(2, 0), 128);
  EXPECT_EQ(picture.At(3, 0), 255);
  EXPECT_EQ(picture.At(4, 0), 255);
}

TEST(ImageGrid, NaNIsBlackAndDoesNotSpoilTheRange) {
  const auto png = GridPng(Array::Of<double>({1, 1, 1, 4}, {NAN, 1, 3, INFINITY}), Scale(1));
  ASSERT_TRUE(png.ok());
  const Picture picture = Decode(*png);
  EXPECT_EQ(picture.At(0, 0), 0);
  EXPECT_EQ(picture.At(1, 0), 0);
  EXPECT_EQ(picture.At(2, 0), 255);
  EXPECT_EQ(picture.At(3, 0), 255);
  EXPECT_TRUE(GridPng(Array::Of<double>({1, 1, 1, 1}, {NAN}), Scale(1)).ok());
}

TEST(ImageGrid, SmallImagesAreEnlargedByThemselves) {
  const auto png = GridPng(Array::Of<double>({1, 1, 8, 8}, std::vector<double>(64, 1)), GridOptions());
  ASSERT_TRUE(png.ok());
  EXPECT_EQ(Decode(*png).width, 32);
}

TEST(ImageGrid, RefusesWhatIsNoPicture) {
  const auto refusal = [](const Array& array, int64_t scale) {
    return std::string(GridPng(array, Scale(scale)).status().message());
  };
  EXPECT_THAT(refusal(Array::Of<double>({1, 2}, {1, 2}), 1), HasSubstr("expected images"));
  EXPECT_THAT(refusal(Array::Of<double>({1, 2, 1, 1}, {1, 2}), 1), HasSubstr("expected images"));
  EXPECT_THAT(refusal(Array::Of<double>({0, 1, 1, 1}, {}), 1), HasSubstr("expected 1 to 4096 images"));
  EXPECT_THAT(refusal(Array::Of<double>({1, 1, 1, 1}, {1}), int64_t{1} << 40), HasSubstr("pixels"));
}

}  // namespace
}  // namespace client
}  // namespace glowworm
