// Images in a grid, as one PNG. Only entry: GridPng(). Tested by tests/client/image_grid_test.cc.

#ifndef GLOWWORM_CLIENT_IMAGE_GRID_H_
#define GLOWWORM_CLIENT_IMAGE_GRID_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/optional.h"
#include "absl/types/span.h"
#include "client/array.h"

namespace glowworm {
namespace client {

constexpr int64_t kMaxGridImages = 4096;
constexpr int64_t kMaxGridPixels = 64 << 20;

struct GridOptions {
  // Values at `low` and below are black, at `high` and above white (each channel for itself); absent: the
  // smallest and the largest finite value of all images. REQUIRES: both or none; low < high
  absl::optional<double> low;
  absl::optional<double> high;
  int64_t scale = 0;  // pixels along the side of one value; 0: images at least 32 pixels high and wide
};

// INVALID_ARGUMENT unless the event is [1, H, W] (grey) or [3, H, W] (RGB).
absl::Status CheckImageShape(absl::Span<const int64_t> event_shape);

// A PNG file: images in rows, as near to a square as can be, with lines of one pixel between them. NaN is
// black. INVALID_ARGUMENT if there are no images, more than kMaxGridImages, or the PNG would exceed
// kMaxGridPixels.
absl::StatusOr<std::string> GridPng(const Array& images,  // (n, c, h, w)
                                    const GridOptions& options);

}  // namespace client
}  // namespace glowworm

#endif  // GLOWWORM_CLIENT_IMAGE_GRID_H_
