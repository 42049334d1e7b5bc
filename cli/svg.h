// Pictures of results: self-contained SVG, with no script, style sheet or font of its own. Charts
// of two kinds, since two are needed: bars for contributions, lines for curves.
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace lutdb::cli {

// Text as XML holds it: markup characters escaped, what XML 1.0 or UTF-8 cannot hold replaced by
// U+FFFD.
std::string EscapeXml(std::string_view text);

// Elements in the order they are drawn. Coordinates are pixels from the top left corner.
class SvgPicture {
 public:
  enum class Anchor { kStart, kMiddle, kEnd };

  void Rectangle(double x, double y, double width, double height, const char* colour);
  void Line(double x1, double y1, double x2, double y2, const char* colour, double width = 1);
  void Circle(double x, double y, double radius, const char* colour);
  // (x, y) pairs joined by straight lines.
  void Path(const std::vector<std::pair<double, double>>& points, const char* colour);
  void Text(double x, double y, std::string_view text, Anchor anchor = Anchor::kStart,
            int size = 12, const char* colour = "#222222");

  // The whole file. `title` is what screen readers say.
  std::string Finish(double width, double height, std::string_view title) const;

 private:
  std::string body_;
};

struct Bar {
  std::string label;
  double value = 0;  // finite
  std::string note;  // at the right edge
};
struct BarGroup {
  std::string title;
  std::vector<Bar> bars;
};
// Horizontal bars, those of negative values to the left of a common zero; one scale per group.
std::string BarChart(const std::string& title, const std::vector<BarGroup>& groups);

struct ChartSeries {
  std::string name;
  struct Point {
    double x = 0;
    double y = 0;
  };
  // Several points of one x are drawn as dots, the line goes through their means. Points that are
  // not finite are left out.
  std::vector<Point> points;
};
struct LineChartLabels {
  std::string title;
  std::string x;
  std::string y;
  bool log_y = false;  // then points with y <= 0 are left out
};
// x is a share: on a logarithmic axis with a place for 0 at its left end, marked at every x that
// occurs, in percent.
std::string LineChart(const LineChartLabels& labels, const std::vector<ChartSeries>& series);

}  // namespace lutdb::cli
