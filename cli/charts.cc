// The charts of cli/svg.h.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "cli/svg.h"

namespace lutdb::cli {
namespace {

// Told apart by people who see few colours, too.
constexpr const char* kBlue = "#2a6fbb";
constexpr const char* kOrange = "#d1661f";
constexpr const char* kColours[] = {kBlue, kOrange, "#2e8b57", "#7a4fa3"};
constexpr const char* kGrey = "#888888";
constexpr const char* kLightGrey = "#dddddd";
using Anchor = SvgPicture::Anchor;

// About how wide a text of 12 pixels is: fonts differ, so there is room to spare.
double TextWidth(const std::string& text, size_t longest) {
  return 7.2 * static_cast<double>(std::min(text.size(), longest));
}

// The whole text, or its beginning and an ellipsis.
std::string Shortened(const std::string& text, size_t longest) {
  if (text.size() <= longest) return text;
  size_t end = longest - 1;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return text.substr(0, end) + "…";
}

// A linear or logarithmic axis from values to pixels.
struct Axis {
  double low, high;  // values, transformed
  double from, to;   // pixels
  bool log;

  double At(double value) const {
    const double v = log ? std::log10(value) : value;
    return from + (v - low) / (high - low) * (to - from);
  }
};

bool Drawable(const ChartSeries::Point& point, bool log_y) {
  return std::isfinite(point.x) && point.x >= 0 && std::isfinite(point.y) &&
         (!log_y || point.y > 0);
}

// Ticks of a linear axis: about `count` round numbers.
std::vector<double> LinearTicks(double low, double high, int count) {
  const double rough = (high - low) / count;
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  const double factor = rough / power;
  const double step = power * (factor <= 1 ? 1 : factor <= 2 ? 2 : factor <= 5 ? 5 : 10);
  std::vector<double> ticks;
  for (double i = std::ceil(low / step - 1e-9); i * step <= high + step * 1e-9; ++i) {
    ticks.push_back(i * step);
  }
  return ticks;
}

// Of a logarithmic axis: 1, 2 and 5 times the powers of ten, or these powers alone when many.
std::vector<double> LogTicks(double low, double high) {
  std::vector<double> ticks;
  const bool few = high - low < 2.5;
  for (double power = std::floor(low); power <= high; ++power) {
    for (const double digit : {1.0, 2.0, 5.0}) {
      if (digit > 1 && !few) continue;
      const double tick = digit * std::pow(10.0, power);
      if (std::log10(tick) >= low - 1e-9 && std::log10(tick) <= high + 1e-9) ticks.push_back(tick);
    }
  }
  return ticks;
}

Axis VerticalAxis(const std::vector<ChartSeries>& series, bool log, double top, double bottom) {
  double low = std::numeric_limits<double>::infinity(), high = -low;
  for (const ChartSeries& one : series) {
    for (const ChartSeries::Point& point : one.points) {
      if (!Drawable(point, log)) continue;
      low = std::min(low, log ? std::log10(point.y) : point.y);
      high = std::max(high, log ? std::log10(point.y) : point.y);
    }
  }
  if (low > high) low = 0, high = 1;                     // nothing to draw
  if (!log && low >= 0 && high <= 1) low = 0, high = 1;  // a fraction
  if (high - low < 1e-9 * std::max(1.0, std::abs(high))) low -= 0.5, high += 0.5;
  return {.low = low, .high = high, .from = bottom, .to = top, .log = log};
}

// Where each share lies: 0 at the left end, the others by their logarithms.
class ShareAxis {
 public:
  ShareAxis(const std::vector<ChartSeries>& series, bool log_y, double from, double to)
      : from_(from), to_(to) {
    for (const ChartSeries& one : series) {
      for (const auto& point : one.points) {
        if (Drawable(point, log_y)) shares_[point.x] = 0;
      }
    }
    const auto first = shares_.upper_bound(0.0);
    if (first == shares_.end()) return;
    const bool zero = shares_.begin()->first == 0;
    low_ = std::log10(first->first);
    high_ = std::log10(shares_.rbegin()->first);
    if (high_ - low_ < 1e-9) low_ -= 0.5, high_ += 0.5;
    // A tenth of the axis lies between 0 and the smallest share.
    first_ = zero ? from + (to - from) * 0.1 : from;
  }
  double At(double share) const {
    if (share == 0) return from_;
    return first_ + (std::log10(share) - low_) / (high_ - low_) * (to_ - first_);
  }
  const std::map<double, int>& shares() const { return shares_; }

 private:
  double from_, to_, first_ = 0, low_ = 0, high_ = 1;
  std::map<double, int> shares_;
};

void DrawSeries(const ChartSeries& series, bool log_y, const ShareAxis& x, const Axis& y,
                const char* colour, SvgPicture* picture) {
  std::map<double, std::pair<double, int>> sums;
  for (const ChartSeries::Point& point : series.points) {
    if (!Drawable(point, log_y)) continue;
    picture->Circle(x.At(point.x), y.At(point.y), 3, colour);
    sums[point.x].first += point.y;
    ++sums[point.x].second;
  }
  std::vector<std::pair<double, double>> line;
  for (const auto& [share, sum] : sums)
    line.emplace_back(x.At(share), y.At(sum.first / sum.second));
  picture->Path(line, colour);
}

}  // namespace

std::string BarChart(const std::string& title, const std::vector<BarGroup>& groups) {
  constexpr double kBarHeight = 20, kBarsWidth = 360, kMargin = 12;
  constexpr size_t kLongest = 48;
  double label_width = 0, note_width = 0;
  for (const BarGroup& group : groups) {
    for (const Bar& bar : group.bars) {
      label_width = std::max(label_width, TextWidth(bar.label, kLongest));
      note_width = std::max(note_width, TextWidth(bar.note, kLongest));
    }
  }
  const double left = kMargin + label_width + 8, right = left + kBarsWidth;
  const double width = right + 8 + note_width + kMargin;
  SvgPicture picture;
  double y = 26;
  picture.Text(kMargin, y, Shortened(title, 110), Anchor::kStart, 15);
  for (const BarGroup& group : groups) {
    y += 28;
    picture.Text(kMargin, y, Shortened(group.title, 120), Anchor::kStart, 12, kGrey);
    y += 8;
    double low = 0, high = 0;
    for (const Bar& bar : group.bars) {
      low = std::min(low, bar.value);
      high = std::max(high, bar.value);
    }
    const double unit = high > low ? kBarsWidth / (high - low) : 0;
    const double zero = left - low * unit;
    const double top = y;
    for (const Bar& bar : group.bars) {
      const double size = std::abs(bar.value) * unit;
      picture.Rectangle(bar.value < 0 ? zero - size : zero, y + 3, size, kBarHeight - 6,
                        bar.value < 0 ? kOrange : kBlue);
      picture.Text(left - 8, y + 14, Shortened(bar.label, kLongest), Anchor::kEnd);
      picture.Text(right + 8, y + 14, Shortened(bar.note, kLongest));
      y += kBarHeight;
    }
    picture.Line(zero, top, zero, y, kGrey);
  }
  return picture.Finish(width, y + kMargin, title);
}

std::string LineChart(const LineChartLabels& labels, const std::vector<ChartSeries>& series) {
  constexpr double kWidth = 640, kHeight = 400, kLeft = 76, kRight = 620, kTop = 60, kBottom = 340;
  const Axis y = VerticalAxis(series, labels.log_y, kTop, kBottom);
  const ShareAxis x(series, labels.log_y, kLeft, kRight);
  SvgPicture picture;
  picture.Text(kLeft, 24, Shortened(labels.title, 80), Anchor::kStart, 15);
  for (const double tick : y.log ? LogTicks(y.low, y.high) : LinearTicks(y.low, y.high, 6)) {
    picture.Line(kLeft, y.At(tick), kRight, y.At(tick), kLightGrey);
    picture.Text(kLeft - 8, y.At(tick) + 4, fmt::format("{:.4g}", tick), Anchor::kEnd);
  }
  double last = -1e9;
  for (const auto& [share, unused] : x.shares()) {
    picture.Line(x.At(share), kBottom, x.At(share), kBottom + 5, kGrey);
    if (x.At(share) - last < 34) continue;  // no room for another number
    last = x.At(share);
    picture.Text(last, kBottom + 20, fmt::format("{:.4g} %", share * 100), Anchor::kMiddle, 11);
  }
  picture.Line(kLeft, kTop, kLeft, kBottom, kGrey);
  picture.Line(kLeft, kBottom, kRight, kBottom, kGrey);
  picture.Text((kLeft + kRight) / 2, kBottom + 44, labels.x, Anchor::kMiddle);
  picture.Text(kLeft, kTop - 12, labels.y);
  double legend = kRight;
  for (size_t i = series.size(); i-- > 0;) {
    const char* colour = kColours[i % std::size(kColours)];
    DrawSeries(series[i], labels.log_y, x, y, colour, &picture);
    legend -= TextWidth(series[i].name, 40) + 30;
    picture.Line(legend, kTop - 16, legend + 18, kTop - 16, colour, 3);
    picture.Text(legend + 23, kTop - 12, Shortened(series[i].name, 40));
  }
  return picture.Finish(kWidth, kHeight, labels.title);
}

}  // namespace lutdb::cli
