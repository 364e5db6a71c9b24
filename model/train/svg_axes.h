// Axes of an SVG picture: where numbers lie in it, its grid with round ticks, and curves. The colours are
// classes, which the picture's style sheet defines: frame, grid, tick and heading here, the curves' own
// there. Tested by tests/model/train/training_plot_test.cc.

#ifndef GLOWWORM_MODEL_TRAIN_SVG_AXES_H_
#define GLOWWORM_MODEL_TRAIN_SVG_AXES_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace glowworm {
namespace train {

// Text as XML holds it: escaped; bytes that are not UTF-8 and characters that XML has no place for replaced.
std::string XmlText(absl::string_view text);

// `anchor`: "start", "middle" or "end", what of the text stands at x.
std::string SvgText(absl::string_view style, double x, double y, absl::string_view text,
                    absl::string_view anchor = "start");

// Whether a number can be drawn: finite, and not so large that a difference would not be.
bool IsDrawable(double value);

struct Point {
  double x = 0, y = 0;
};

// A rectangle of the picture, in its units, and the numbers that it spans. REQUIRES: low < high, and y_low >
// 0 if y is logarithmic
struct SvgAxes {
  std::string id;  // unique in the picture
  double left = 0, top = 0, width = 0, height = 0;
  double x_low = 0, x_high = 1;
  double y_low = 0, y_high = 1;
  bool y_logarithmic = false;

  bool CanDraw(double y) const { return IsDrawable(y) && (!y_logarithmic || y > 0); }
  double X(double x) const;
  double Y(double y) const;  // REQUIRES: CanDraw(y)

  // Grid, frame, ticks and the heading above. Ticks of x are whole numbers.
  std::string Grid(absl::string_view heading, int x_ticks, int y_ticks) const;
  // A line through the points in order, cut at the frame; what cannot be drawn is a gap. A point between two
  // gaps is a dot.
  std::string Curve(absl::string_view style, const std::vector<Point>& points) const;
};

}  // namespace train
}  // namespace glowworm

#endif  // GLOWWORM_MODEL_TRAIN_SVG_AXES_H_
