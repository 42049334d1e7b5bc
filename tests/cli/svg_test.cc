// Pictures are well-formed whatever their texts hold.
#include "cli/svg.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/cli/xml_check.h"

namespace lutdb::cli {
namespace {

TEST(Svg, TextIsEscaped) {
  EXPECT_EQ(EscapeXml("a<b>&\"c\""), "a&lt;b&gt;&amp;&quot;c&quot;");
  EXPECT_EQ(EscapeXml("größe €𝄞"), "größe €𝄞");
  const std::string bad = "\xef\xbf\xbd";
  EXPECT_EQ(EscapeXml(std::string("\0x\x1b", 3)), bad + "x" + bad);
  EXPECT_EQ(EscapeXml("\xc3"), bad);                       // cut short
  EXPECT_EQ(EscapeXml("\xc0\xaf"), bad + bad);             // overlong
  EXPECT_EQ(EscapeXml("\xed\xa0\x80").substr(0, 3), bad);  // a surrogate
  EXPECT_EQ(EscapeXml("\xef\xbf\xbf").substr(0, 3), bad);  // no character of XML
  EXPECT_EQ(EscapeXml(""), "");
}

TEST(Svg, BarChartsAreWellFormed) {
  const std::string svg = BarChart(
      "what <b> & \x01",
      {{"neuron '<'", {{"t[1, 2, 3]", 1.5, "weights"}, {"a&b", -0.5, "\xff"}, {"zero", 0, ""}}},
       {"nothing", {}},
       {"all zero", {{"x", 0, ""}}}});
  EXPECT_EQ(XmlProblem(svg), "");
  EXPECT_NE(svg.find("t[1, 2, 3]"), std::string::npos);
  EXPECT_EQ(svg.find("nan"), std::string::npos);
}

TEST(Svg, LineChartsAreWellFormedForAnyPoints) {
  const double nan = std::nan(""), infinity = std::numeric_limits<double>::infinity();
  const std::vector<std::vector<ChartSeries>> all = {
      {},
      {{"<none>", {}}},
      {{"one", {{0, 0.5}}}},
      {{"one", {{0.1, 3}}}, {"same", {{0.1, 3}}}},
      {{"dead", {{0, 0.9}, {0.001, 0.89}, {0.5, 0.1}}}, {"flipped", {{0, 0.9}, {0.5, 0.2}}}},
      {{"odd", {{0, nan}, {0.1, infinity}, {0.2, -1}, {0.3, 1e30}, {nan, 1}}}}};
  for (const auto& series : all) {
    for (const bool log_y : {false, true}) {
      const std::string svg = LineChart({"t&t", "x", "y", log_y}, series);
      EXPECT_EQ(XmlProblem(svg), "");
      EXPECT_EQ(svg.find("nan"), std::string::npos);
      EXPECT_EQ(svg.find("inf"), std::string::npos);
    }
  }
}

TEST(Svg, TheCheckSeesMistakes) {
  EXPECT_EQ(XmlProblem("<a b=\"c\"><d/>x &amp; y</a>\n"), "");
  EXPECT_NE(XmlProblem("<a><b></a></b>"), "");
  EXPECT_NE(XmlProblem("<a>&</a>"), "");
  EXPECT_NE(XmlProblem("<a b=c></a>"), "");
  EXPECT_NE(XmlProblem("<a>"), "");
  EXPECT_NE(XmlProblem("<a></a><b></b>"), "");
  EXPECT_NE(XmlProblem("<a>\x01</a>"), "");
}

}  // namespace
}  // namespace lutdb::cli
