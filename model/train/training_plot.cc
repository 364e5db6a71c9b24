// TrainingCurvesSvg(). Tested by tests/model/train/training_plot_test.cc.

#include "model/train/training_plot.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "model/train/progress.h"
#include "model/train/svg_axes.h"
#include "model/train/ticks.h"

namespace glowworm {
namespace train {
namespace {

// The picture's units are a browser's pixels at full size.
constexpr double kWidth = 760, kHeight = 540;
constexpr double kLeft = 72, kRight = 736;  // of the frames
constexpr size_t kLongestTitle = 68;        // bytes
constexpr double kPadding = 0.04;           // of a range, above and below
constexpr double kLeastFactor = 10;         // that a logarithmic axis spans

// The card has a background of its own, so that the picture is readable wherever it stands.
constexpr char kStyle[] = R"(<style>
text { font-family: system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; font-size: 12px }
.title { font-size: 17px; font-weight: 600 }
.curve { fill: none; stroke-width: 1.8; stroke-linecap: round; stroke-linejoin: round }
.dots { fill: none; stroke-width: 5; stroke-linecap: round }
.mark { fill: none; stroke-width: 1.2; stroke-dasharray: 3 4 }
.frame { fill: none }
.card { fill: #ffffff; stroke: #d0d7de }
.title, .heading { fill: #1f2328 }
.tick, .note { fill: #59636e }
.grid { stroke: #e4e8ec }
.frame { stroke: #c3cbd3 }
.train { stroke: #0969da }
.validation { stroke: #bc4c00 }
.other { stroke: #6639ba }
.mark { stroke: #59636e }
.best { fill: #bc4c00; stroke: #ffffff; stroke-width: 2 }
@media (prefers-color-scheme: dark) {
.card { fill: #0d1117; stroke: #30363d }
.title, .heading { fill: #e6edf3 }
.tick, .note { fill: #9198a1 }
.grid { stroke: #21262d }
.frame { stroke: #3d444d }
.train { stroke: #58a6ff }
.validation { stroke: #f0883e }
.other { stroke: #bc8cff }
.mark { stroke: #9198a1 }
.best { fill: #f0883e; stroke: #0d1117 }
}
</style>
)";

using Epochs = std::vector<EpochRecord>;

std::vector<Point> Series(const Epochs& epochs, double (*value)(const EpochRecord&)) {
  std::vector<Point> points;
  for (const EpochRecord& record : epochs)
    points.push_back({static_cast<double>(record.epoch), value(record)});
  return points;
}

// The last epoch that is marked as best and can be drawn; null without one.
const EpochRecord* BestEpoch(const Epochs& epochs) {
  const EpochRecord* best = nullptr;
  for (const EpochRecord& record : epochs) {
    if (record.best && IsDrawable(record.validation_nats)) best = &record;
  }
  return best;
}

void SpanEpochs(const Epochs& epochs, SvgAxes* axes) {
  if (epochs.empty()) return;
  const double first = static_cast<double>(epochs.front().epoch);
  const double last = static_cast<double>(epochs.back().epoch);
  const double margin = last > first ? 0 : 0.5;
  axes->x_low = first - margin;
  axes->x_high = last + margin;
}

std::vector<double> SortedDrawable(const SvgAxes& axes, const std::vector<Point>& points) {
  std::vector<double> values;
  for (const Point& point : points) {
    if (axes.CanDraw(point.y)) values.push_back(point.y);
  }
  std::sort(values.begin(), values.end());
  return values;
}

// Spans the values, but for a few that are far above all others: the first epochs would flatten all the rest.
// Returns the highest value if it is above the picture, else NaN.
double SpanNats(const std::vector<double>& sorted, SvgAxes* axes) {
  if (sorted.empty()) return std::nan("");
  const double low = sorted.front(), most = sorted[(sorted.size() - 1) * 9 / 10];
  const bool cut = most > low && sorted.back() - low > 3 * (most - low);
  const double high = cut ? most + (most - low) / 4 : sorted.back();
  const double padding = kPadding * VisibleRange(low, high);
  axes->y_low = low - padding;
  axes->y_high = high + padding;
  return cut ? sorted.back() : std::nan("");
}

void SpanPowers(const std::vector<double>& sorted, SvgAxes* axes) {
  if (sorted.empty()) return;
  // A rate that falls to 0 passes through every power of ten: its last steps are cut off.
  const double low = std::max(sorted.front(), sorted[sorted.size() / 10] / kLeastFactor);
  const double factor = sorted.back() / low;
  const double spread = std::max(std::pow(factor, kPadding), std::sqrt(std::max(1.0, kLeastFactor / factor)));
  axes->y_low = low / spread;
  axes->y_high = sorted.back() * spread;
}

std::string MarkLine(const SvgAxes& axes, const EpochRecord& best) {
  const double x = axes.X(static_cast<double>(best.epoch));
  return absl::StrFormat("<path class=\"mark\" d=\"M%.1f %.1fV%.1f\"/>\n", x, axes.top,
                         axes.top + axes.height);
}

// Train and validation nats, with the best epoch and the legend.
std::string NatsPanel(const Epochs& epochs, const EpochRecord* best) {
  SvgAxes axes{"nats", kLeft, 104, kRight - kLeft, 244};
  const auto train = Series(epochs, [](const EpochRecord& r) { return r.train_nats; });
  const auto validation = Series(epochs, [](const EpochRecord& r) { return r.validation_nats; });
  auto both = train;
  both.insert(both.end(), validation.begin(), validation.end());
  SpanEpochs(epochs, &axes);
  const double above = SpanNats(SortedDrawable(axes, both), &axes);
  std::string heading = "mean -log p, nats, by epoch";
  if (IsDrawable(above)) absl::StrAppend(&heading, "; the highest, ", NatsText(above), ", is cut off");
  std::string svg = axes.Grid(heading, 10, 7);
  if (best != nullptr) absl::StrAppend(&svg, MarkLine(axes, *best));
  absl::StrAppend(&svg, axes.Curve("train", train), axes.Curve("validation", validation));
  if (best != nullptr) {
    absl::StrAppendFormat(&svg, "<circle class=\"best\" cx=\"%.1f\" cy=\"%.1f\" r=\"5\"/>\n",
                          axes.X(static_cast<double>(best->epoch)), axes.Y(best->validation_nats));
  }
  return svg;
}

std::string Legend(bool best) {
  constexpr double kTop = 95 - 4;
  const double x = best ? 510 : 575;
  std::string svg = absl::StrFormat("<path class=\"curve train\" d=\"M%.0f %.0fh20\"/>\n", x, kTop);
  absl::StrAppend(&svg, SvgText("note", x + 26, kTop + 4, "train"));
  absl::StrAppendFormat(&svg, "<path class=\"curve validation\" d=\"M%.0f %.0fh20\"/>\n", x + 72, kTop);
  absl::StrAppend(&svg, SvgText("note", x + 98, kTop + 4, "validation"));
  if (best) {
    absl::StrAppendFormat(&svg, "<circle class=\"best\" cx=\"%.0f\" cy=\"%.0f\" r=\"5\"/>\n", x + 182, kTop);
    absl::StrAppend(&svg, SvgText("note", x + 192, kTop + 4, "best"));
  }
  return svg;
}

// One of the three small ones, on a logarithmic axis.
std::string SmallPanel(int column, const Epochs& epochs, absl::string_view heading,
                       double (*value)(const EpochRecord&), const EpochRecord* best) {
  constexpr double kColumn = 240, kFrame = 184;
  SvgAxes axes{absl::StrCat("small", column), kLeft + kColumn * column, 412, kFrame, 92};
  axes.y_low = 1;
  axes.y_high = kLeastFactor;
  axes.y_logarithmic = true;
  const std::vector<Point> points = Series(epochs, value);
  const std::vector<double> sorted = SortedDrawable(axes, points);
  SpanEpochs(epochs, &axes);
  SpanPowers(sorted, &axes);
  std::string svg = axes.Grid(heading, 5, 4);
  if (best != nullptr) absl::StrAppend(&svg, MarkLine(axes, *best));
  if (sorted.empty()) {
    absl::StrAppend(&svg, SvgText("note", axes.left + kFrame / 2, axes.top + 50, "none", "middle"));
  }
  return svg + axes.Curve("other", points);
}

std::string Subtitle(const Epochs& epochs, const EpochRecord* best) {
  if (epochs.empty()) return "no epoch yet";
  std::string text = absl::StrCat(epochs.size(), epochs.size() == 1 ? " epoch, " : " epochs, ",
                                  DurationText(epochs.back().seconds));
  if (best == nullptr) return text;
  return absl::StrFormat("%s; best: epoch %d, validation %s nats (%.3f bits/dim)", text, best->epoch,
                         NatsText(best->validation_nats), best->validation_bits_per_dim);
}

// At most kLongestTitle bytes, cut between characters.
std::string ShortTitle(absl::string_view title) {
  if (title.size() <= kLongestTitle) return std::string(title);
  size_t end = kLongestTitle - 3;
  while (end > 0 && (static_cast<unsigned char>(title[end]) & 0xc0) == 0x80) --end;
  return absl::StrCat(title.substr(0, end), "...");
}

}  // namespace

std::string TrainingCurvesSvg(absl::string_view title, const std::vector<EpochRecord>& epochs) {
  const EpochRecord* best = BestEpoch(epochs);
  const auto condition = [](const EpochRecord& r) { return r.conditioning.max_condition_number; };
  const auto rate = [](const EpochRecord& r) { return r.learning_rate; };
  const auto gradient = [](const EpochRecord& r) { return r.gradient_norm; };
  return absl::StrCat(
      absl::StrFormat("<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" width=\"%.0f\" "
                      "height=\"%.0f\" role=\"img\">\n<title>%s</title>\n",
                      kWidth, kHeight, kWidth, kHeight, XmlText(title)),
      kStyle,
      absl::StrFormat("<rect class=\"card\" x=\"0.5\" y=\"0.5\" width=\"%.0f\" height=\"%.0f\" rx=\"8\"/>\n",
                      kWidth - 1, kHeight - 1),
      SvgText("title", 24, 36, ShortTitle(title)), SvgText("note", 24, 58, Subtitle(epochs, best)),
      NatsPanel(epochs, best), Legend(best != nullptr),
      SmallPanel(0, epochs, "largest cond(W)", condition, best),
      SmallPanel(1, epochs, "learning rate", rate, best),
      SmallPanel(2, epochs, "gradient norm", gradient, best), "</svg>\n");
}

}  // namespace train
}  // namespace glowworm
