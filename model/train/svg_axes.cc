// SvgAxes. Tested by tests/model/train/training_plot_test.cc.

#include "model/train/svg_axes.h"

#include <cmath>
#include <cstddef>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "model/train/ticks.h"

namespace glowworm {
namespace train {
namespace {

constexpr double kLargestNumber = 1e30;
constexpr char kReplacement[] = "\xef\xbf\xbd";  // U+FFFD

// What is not UTF-8 becomes U+FFFD: JSON's writer has a decoder that does that.
std::string ValidUtf8(absl::string_view text) {
  const nlohmann::json json(std::string{text});
  return nlohmann::json::parse(json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace))
      .get<std::string>();
}

std::string GridLine(double x1, double y1, double x2, double y2) {
  return absl::StrFormat("<line class=\"grid\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n", x1, y1,
                         x2, y2);
}

}  // namespace

std::string XmlText(absl::string_view text) {
  std::string xml;
  for (const char c : ValidUtf8(text)) {
    switch (c) {
      case '&':
        xml += "&amp;";
        break;
      case '<':
        xml += "&lt;";
        break;
      case '>':
        xml += "&gt;";
        break;
      case '"':
        xml += "&quot;";
        break;
      case '\'':
        xml += "&#39;";
        break;
      default:
        xml += absl::ascii_iscntrl(static_cast<unsigned char>(c)) ? ' ' : c;
    }
  }
  // U+FFFE and U+FFFF are UTF-8 but not XML.
  for (const char* none : {"\xef\xbf\xbe", "\xef\xbf\xbf"}) {
    for (size_t at; (at = xml.find(none)) != std::string::npos;) xml.replace(at, 3, kReplacement);
  }
  return xml;
}

std::string SvgText(absl::string_view style, double x, double y, absl::string_view text,
                    absl::string_view anchor) {
  return absl::StrFormat("<text class=\"%s\" text-anchor=\"%s\" x=\"%.1f\" y=\"%.1f\">%s</text>\n", style,
                         anchor, x, y, XmlText(text));
}

bool IsDrawable(double value) { return std::fabs(value) < kLargestNumber; }

double SvgAxes::X(double x) const { return left + width * (x - x_low) / (x_high - x_low); }

double SvgAxes::Y(double y) const {
  const double share =
      y_logarithmic ? std::log(y / y_low) / std::log(y_high / y_low) : (y - y_low) / (y_high - y_low);
  return top + height * (1 - share);
}

std::string SvgAxes::Grid(absl::string_view heading, int x_ticks, int y_ticks) const {
  const double right = left + width, bottom = top + height;
  std::string svg = SvgText("heading", left, top - 9, heading);
  for (const Tick& tick : LinearTicks(x_low, x_high, x_ticks, 1)) {
    absl::StrAppend(&svg, GridLine(X(tick.value), top, X(tick.value), bottom),
                    SvgText("tick", X(tick.value), bottom + 16, tick.text, "middle"));
  }
  for (const Tick& tick :
       y_logarithmic ? LogTicks(y_low, y_high, y_ticks) : LinearTicks(y_low, y_high, y_ticks)) {
    absl::StrAppend(&svg, GridLine(left, Y(tick.value), right, Y(tick.value)),
                    SvgText("tick", left - 7, Y(tick.value) + 4, tick.text, "end"));
  }
  absl::StrAppendFormat(&svg,
                        "<clipPath id=\"%s\"><rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>"
                        "</clipPath>\n"
                        "<rect class=\"frame\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\"/>\n",
                        id, left, top, width, height, left, top, width, height);
  return svg;
}

std::string SvgAxes::Curve(absl::string_view style, const std::vector<Point>& points) const {
  std::string line, dots;
  for (size_t i = 0; i < points.size(); ++i) {
    if (!CanDraw(points[i].y)) continue;
    const bool joined = i > 0 && CanDraw(points[i - 1].y);
    const bool goes_on = i + 1 < points.size() && CanDraw(points[i + 1].y);
    const std::string at = absl::StrFormat("%.1f %.1f", X(points[i].x), Y(points[i].y));
    if (joined || goes_on) {
      absl::StrAppend(&line, joined ? "L" : "M", at);
    } else {
      absl::StrAppend(&dots, "M", at, "h0");  // a line of no length, with round ends
    }
  }
  std::string svg;
  for (const auto& path : {std::make_pair("curve", &line), std::make_pair("dots", &dots)}) {
    if (path.second->empty()) continue;
    absl::StrAppendFormat(&svg, "<path class=\"%s %s\" clip-path=\"url(#%s)\" d=\"%s\"/>\n", path.first,
                          style, id, *path.second);
  }
  return svg;
}

}  // namespace train
}  // namespace glowworm
