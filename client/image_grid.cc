// GridPng: lays the images out in 8-bit pixels and hands them to libpng's simplified interface (which does
// not longjmp through our frames).

#include "client/image_grid.h"

#include <png.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "absl/strings/str_cat.h"

namespace glowworm {
namespace client {
namespace {

constexpr int64_t kSmallestSide = 32;
constexpr uint8_t kLineGrey = 96;

struct Range {
  double low = 0;
  double high = 1;
};

Range RangeOf(const std::vector<double>& values, const GridOptions& options) {
  if (options.low && options.high) return {*options.low, *options.high};
  Range range{std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()};
  for (double value : values) {
    if (!std::isfinite(value)) continue;
    range.low = std::min(range.low, value);
    range.high = std::max(range.high, value);
  }
  return range.low < range.high ? range : Range{range.low - 0.5, range.low + 0.5};
}

uint8_t Pixel(double value, const Range& range) {
  const double share = (value - range.low) / (range.high - range.low);
  return share > 0 ? static_cast<uint8_t>(std::lround(255 * std::min(share, 1.0))) : 0;  // NaN is not > 0
}

}  // namespace

absl::Status CheckImageShape(absl::Span<const int64_t> event_shape) {
  if (event_shape.size() == 3 && (event_shape[0] == 1 || event_shape[0] == 3)) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "expected images of shape (1, H, W) or (3, H, W), the model's event is ", ShapeText(event_shape)));
}

absl::StatusOr<std::string> GridPng(const Array& images, const GridOptions& options) {
  absl::Status status = images.Validate();
  if (status.ok()) status = CheckImageShape(absl::MakeConstSpan(images.shape).subspan(1));
  if (!status.ok()) return status;
  const int64_t n = images.rows(), c = images.shape[1], h = images.shape[2], w = images.shape[3];
  if (n == 0 || n > kMaxGridImages || h == 0 || w == 0 || h > kMaxGridPixels || w > kMaxGridPixels) {
    return absl::InvalidArgumentError(absl::StrCat(
        "expected 1 to ", kMaxGridImages, " images, got an array of shape ", ShapeText(images.shape)));
  }
  const int64_t scale = options.scale > 0
                            ? options.scale
                            : std::max<int64_t>(1, (kSmallestSide + std::min(h, w) - 1) / std::min(h, w));
  const int64_t columns = static_cast<int64_t>(std::ceil(std::sqrt(static_cast<double>(n))));
  const int64_t lines = (n + columns - 1) / columns;
  const double width_wanted =
      static_cast<double>(columns) * (static_cast<double>(w) * static_cast<double>(scale) + 1) - 1;
  const double height_wanted =
      static_cast<double>(lines) * (static_cast<double>(h) * static_cast<double>(scale) + 1) - 1;
  if (width_wanted * height_wanted > static_cast<double>(kMaxGridPixels)) {
    return absl::InvalidArgumentError(absl::StrCat("a picture of ", width_wanted, " x ", height_wanted,
                                                   " pixels; expected at most ", kMaxGridPixels));
  }
  const int64_t width = static_cast<int64_t>(width_wanted);
  const int64_t height = static_cast<int64_t>(height_wanted);

  const std::vector<double> values = images.ToDoubles();  // (n, c, h, w)
  const Range range = RangeOf(values, options);
  std::vector<uint8_t> pixels(static_cast<size_t>(width * height * c), kLineGrey);  // (height, width, c)
  for (int64_t i = 0; i < n; ++i) {
    const int64_t top = i / columns * (h * scale + 1), left = i % columns * (w * scale + 1);
    for (int64_t y = 0; y < h * scale; ++y) {
      for (int64_t x = 0; x < w * scale; ++x) {
        for (int64_t k = 0; k < c; ++k) {
          const double value = values[static_cast<size_t>(((i * c + k) * h + y / scale) * w + x / scale)];
          pixels[static_cast<size_t>(((top + y) * width + left + x) * c + k)] = Pixel(value, range);
        }
      }
    }
  }

  png_image image;
  std::memset(&image, 0, sizeof(image));
  image.version = PNG_IMAGE_VERSION;
  image.width = static_cast<png_uint_32>(width);
  image.height = static_cast<png_uint_32>(height);
  image.format = c == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB;
  png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(image);
  std::string file(size, '\0');
  if (png_image_write_to_memory(&image, &file[0], &size, 0, pixels.data(), 0, nullptr) == 0) {
    const std::string why = image.message;
    png_image_free(&image);
    return absl::InternalError(absl::StrCat("the PNG could not be made: ", why));
  }
  file.resize(size);
  return file;
}

}  // namespace client
}  // namespace glowworm
