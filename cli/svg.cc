#include "cli/svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "base/check.h"

namespace lutdb::cli {
namespace {

constexpr const char* kReplacement = "\xef\xbf\xbd";

// Bytes of the well-formed UTF-8 sequence at the front of `text`, or 0. XML's own exceptions (most
// control characters, U+FFFE and U+FFFF) count as not well-formed.
size_t XmlCharacterBytes(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t first = byte(0);
  if (first < 0x80) return first >= 0x20 || first == '\t' || first == '\n' ? 1 : 0;
  const size_t count = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < count) return 0;
  uint32_t point = first & (0xffu >> (count + 1));
  for (size_t i = 1; i < count; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
    point = point << 6 | (byte(i) & 0x3fu);
  }
  constexpr uint32_t kLowest[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = point >= 0xd800 && point <= 0xdfff;
  if (point < kLowest[count] || point > 0x10ffff || surrogate || (point & 0xfffe) == 0xfffe) {
    return 0;
  }
  return count;
}

const char* AnchorName(SvgPicture::Anchor anchor) {
  switch (anchor) {
    case SvgPicture::Anchor::kStart:
      return "start";
    case SvgPicture::Anchor::kMiddle:
      return "middle";
    case SvgPicture::Anchor::kEnd:
      return "end";
  }
  return "start";
}

// SVG numbers: two places are less than anyone sees. NaN and infinities are mistakes of ours.
std::string Number(double value) {
  LUTDB_CHECK(std::isfinite(value));
  return fmt::format("{:.2f}", value == 0 ? 0.0 : value);
}

}  // namespace

std::string EscapeXml(std::string_view text) {
  std::string escaped;
  while (!text.empty()) {
    const size_t bytes = XmlCharacterBytes(text);
    if (bytes == 0) {
      escaped += kReplacement;
      text.remove_prefix(1);
      continue;
    }
    switch (text[0]) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      default:
        escaped += text.substr(0, bytes);
    }
    text.remove_prefix(bytes);
  }
  return escaped;
}

void SvgPicture::Rectangle(double x, double y, double width, double height, const char* colour) {
  body_ += fmt::format("<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" fill=\"{}\"/>\n",
                       Number(x), Number(y), Number(width), Number(height), colour);
}

void SvgPicture::Line(double x1, double y1, double x2, double y2, const char* colour,
                      double width) {
  body_ += fmt::format(
      "<line x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\" stroke=\"{}\" stroke-width=\"{}\"/>\n",
      Number(x1), Number(y1), Number(x2), Number(y2), colour, Number(width));
}

void SvgPicture::Circle(double x, double y, double radius, const char* colour) {
  body_ += fmt::format("<circle cx=\"{}\" cy=\"{}\" r=\"{}\" fill=\"{}\" fill-opacity=\"0.6\"/>\n",
                       Number(x), Number(y), Number(radius), colour);
}

void SvgPicture::Path(const std::vector<std::pair<double, double>>& points, const char* colour) {
  std::string list;
  for (const auto& [x, y] : points) {
    list += fmt::format("{}{},{}", list.empty() ? "" : " ", Number(x), Number(y));
  }
  body_ += fmt::format("<polyline points=\"{}\" fill=\"none\" stroke=\"{}\" stroke-width=\"2\"/>\n",
                       list, colour);
}

void SvgPicture::Text(double x, double y, std::string_view text, Anchor anchor, int size,
                      const char* colour) {
  body_ += fmt::format(
      "<text x=\"{}\" y=\"{}\" font-size=\"{}\" text-anchor=\"{}\" fill=\"{}\">{}</text>\n",
      Number(x), Number(y), size, AnchorName(anchor), colour, EscapeXml(text));
}

std::string SvgPicture::Finish(double width, double height, std::string_view title) const {
  return fmt::format(
      "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" "
      "viewBox=\"0 0 {0} {1}\" font-family=\"sans-serif\">\n<title>{2}</title>\n"
      "<rect width=\"{0}\" height=\"{1}\" fill=\"#ffffff\"/>\n{3}</svg>\n",
      Number(width), Number(height), EscapeXml(title), body_);
}

}  // namespace lutdb::cli
